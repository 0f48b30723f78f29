"""Reads checkpoint files without executing what is in them."""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from ssl_av.errors import UserError
from ssl_av.interop.pickles import PLAIN, UnsafePickleError, load_numpy, load_plain
from ssl_av.interop.sizes import TooMuchError, check_archive, check_tensors, check_values
from ssl_av.text import no_file

RATIO = 20
"""How much smaller a zip program may have made weights: it cannot halve them."""

PICKLES = 5
"""What torch wrote before version 1.6: two numbers, the machine, the tree, the names of its tensors' memory."""

NAMED = 3
"""How many names an error gives before it counts the others."""


def named(what: str, names: Sequence[str]) -> str:
    """``"2 missing: a, b"``; the first few by name."""
    if not names:
        return f"0 {what}"
    more = ", …" if len(names) > NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:NAMED])}{more}"


def read_file(path: Path) -> Any:
    """The contents of a torch, ``.npy`` or plain pickle file: containers, numbers, tensors and arrays, nothing else.

    A file that was zipped once more (CrissCross's ``.pth.tar.zip``) is unwrapped.

    Raises:
        UserError: if it is damaged, or would have to execute code to be read.
    """
    try:
        if not path.is_file():
            raise UserError(
                f"{path}: {'no such file' if not path.exists() else no_file(path.stat().st_mode)}"
            )
        with path.open("rb") as file:
            tree = _read(file)
        check_tensors(tree)
        return tree
    except UserError:
        raise
    except UnsafePickleError as e:
        raise UserError(
            f"{path}: not a checkpoint that can be read safely: it asks to run '{e}', which no weights need; nothing "
            "was run"
        ) from None
    except TooMuchError as e:
        raise UserError(f"{path}: not a checkpoint that can be read safely: {e}") from None
    except OSError as e:
        raise UserError(f"{path}: cannot be read ({e.strerror or e})") from None
    except Exception as e:  # a damaged file raises anything from EOFError to UnpicklingError
        raise UserError(
            f"{path}: not a checkpoint that can be read safely: damaged, cut off or of another kind "
            f"({type(e).__name__})"
        ) from e


def _read(file: IO[bytes], wrapped: bool = False) -> Any:
    start = file.read(8)
    file.seek(0)
    if start.startswith(b"\x93NUMPY"):
        return load_numpy(file)
    if start.startswith(b"PK"):
        inner = _only_member(file)
        if inner is None:
            return _torch(file)
        if wrapped:
            raise ValueError("a zip file in a zip file in a zip file")
        return _read(inner, wrapped=True)
    tree = load_plain(file)
    if tree == torch.serialization.MAGIC_NUMBER:  # torch's format from before 1.6: several pickles in a row
        file.seek(0)
        check_values(file, PICKLES, torchs=True)
        return _torch(file)
    return tree


def _only_member(file: IO[bytes]) -> IO[bytes] | None:
    """What a zip file wraps; None if it is torch's own."""
    with zipfile.ZipFile(file) as archive:
        members = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
        ours = any(n.endswith("data.pkl") for n in members)
        check_unpacked(archive, file.seek(0, io.SEEK_END), 1 if ours else RATIO)
        if ours:
            check_archive(archive)
            file.seek(0)
            return None
        if len(members) != 1:
            raise ValueError(f"a zip file of {len(members)} files")
        return io.BytesIO(archive.read(members[0]))


def check_unpacked(archive: zipfile.ZipFile, size: int, ratio: int = 1) -> None:
    """A zip file unpacks to no more than weights can: torch stores them as they are.

    Args:
        archive: the file.
        size: its bytes.
        ratio: how many times as much may be in it.

    Raises:
        ValueError: if more is.
    """
    whole = sum(member.file_size for member in archive.infolist())
    if whole > ratio * size:
        raise ValueError(f"{size} bytes that unpack to {whole}")


def _torch(file: IO[bytes]) -> Any:
    # What training scripts leave beside the weights, none of which can do anything.
    harmless: list[Any] = [argparse.Namespace, *(type(np.dtype(c)) for c in "?bBhHiIlLqQefd")]
    harmless += [(function, f"{module}.{name}") for (module, name), function in PLAIN.items()]
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as e:
        refused = re.search(r"GLOBAL (\S+)", str(e))
        if refused:
            raise UnsafePickleError(refused[1]) from None
        raise
