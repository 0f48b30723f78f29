"""How large the contents of a file are, beside the file: a few bytes may stand for more than any memory holds."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import torch

MOST = 10_000_000
"""Values that a pickle may come to when each that stands in several places is written out."""

GROWING = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
"""What puts more into an object that may have been kept before, under the same number."""

BYTES = ("builtins bytearray", "__builtin__ bytearray")

SLOW, LONGEST = re.compile("^[^a-z0-9]*(punycode|idna)[^a-z0-9]*$", re.IGNORECASE), 40
"""Encodings that take the square of a text's length, as Python knows them, and the signs of such a name."""

ROOM = 64 << 20
"""Bytes that tensors may come to in any case."""

RATIO = 20
"""How many times as large as their memory tensors may be together: one may stand under several names."""


class TooMuchError(ValueError):
    """A file holds more than can be meant."""


def check_values(file: IO[bytes], pickles: int = 1, torchs: bool = False) -> None:
    """Looks at pickles before anything is made of them; the file then stands where it stood.

    A tuple of two of the same tuple of two … is a few bytes, and as the key of a mapping it is hashed for ever.

    Args:
        file: in which they follow each other.
        pickles: how many.
        torchs: whether torch will read them, which makes as many bytes as a number says, and knows all encodings.

    Raises:
        TooMuchError: if one grows beyond `MOST`, or might.
        ValueError: if one is none.
    """
    begin = file.tell()
    for _ in range(pickles):
        _check(file, torchs)
    file.seek(begin)


def _check(file: IO[bytes], torchs: bool) -> None:
    memo: dict[int, list[int]] = {}
    # Of what is on the stack, each in a list that all the places of one object share: it may still grow.
    sizes: list[list[int]] = []
    marks: list[int] = []
    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        before, name = opcode.stack_before, opcode.name
        if torchs and name == "GLOBAL" and argument in BYTES:
            raise TooMuchError(f"'{argument}' may make any number of bytes")
        if torchs and isinstance(argument, str) and SLOW.search(argument[:LONGEST]):
            raise TooMuchError(f"'{argument[:LONGEST]}' may be an encoding that does not end")
        if name == "MARK":
            marks.append(len(sizes))
            continue
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = sizes[-1]
            continue
        if name in ("GET", "BINGET", "LONG_BINGET"):
            sizes.append(memo[argument])
            continue
        if name == "DUP":
            sizes.append(sizes[-1])
            continue
        size = 1
        if pickletools.markobject in before:
            mark = marks.pop()
            size += sum(one for (one,) in sizes[mark:])
            del sizes[mark:]
            before = before[: before.index(pickletools.markobject)]
        grown = sizes[-len(before)] if name in GROWING else [0]
        if before:
            size += sum(one for (one,) in sizes[-len(before) :])
            del sizes[-len(before) :]
        if size > MOST:
            raise TooMuchError(f"more than {MOST:,} values, written out")
        grown[0] = size
        sizes += [grown] * len(opcode.stack_after)


def check_archive(archive: zipfile.ZipFile) -> None:
    """The same of the pickle in a zip file of torch's.

    Raises:
        TooMuchError: as `check_values`.
    """
    for name in archive.namelist():
        if name.endswith("data.pkl"):
            check_values(io.BytesIO(archive.read(name)), torchs=True)


def check_tensors(tree: Any) -> None:
    """The tensors in a tree are not much larger than the memory behind them, and hold numbers.

    ``torch.zeros(1).expand(10**9, 128)`` is a file of a kilobyte.

    Raises:
        TooMuchError: if they are.
    """
    seen: set[int] = set()
    memory: dict[int, int] = {}
    whole, todo = 0, [tree]
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value
        elif isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.is_meta or value.is_quantized:
                raise TooMuchError("a tensor that does not hold its numbers")
            storage = value.untyped_storage()
            memory[storage.data_ptr()] = storage.nbytes()
            whole += value.numel() * value.element_size()
    held = sum(memory.values())
    if whole > ROOM + RATIO * held:
        raise TooMuchError(f"tensors of {whole:,} bytes, of which {held:,} are there")
