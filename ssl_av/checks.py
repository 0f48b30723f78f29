"""What a command refuses before it begins, so that nothing is lost and nothing is left behind."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.errors import UserError

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from ssl_av.config import RunConfig

MOST = 2**32
"""Seeds lie below: numpy and scikit-learn take no other."""


def check_seeds(option: str, seeds: Sequence[Any]) -> list[int]:
    """Seeds that every library takes, each once.

    Raises:
        UserError: for none, one twice, or one that is no whole number from 0 to 2³² − 1.
    """
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < MOST:
            raise UserError(f"{option} {seed}: give whole numbers from 0 to {MOST - 1}")
    if not seeds:
        raise UserError(f"{option}: give at least one seed")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{option} {','.join(map(str, seeds))}: gives a seed twice")
    return list(seeds)


def check_groups(where: str, values: Mapping[str, Any], groups: Sequence[str]) -> None:
    """Groups of settings in a YAML file are mappings.

    Raises:
        UserError: names the first that is not.
    """
    for key in groups:
        if values.get(key) is not None and not isinstance(values[key], Mapping):
            given = json.dumps(values[key], default=str)
            raise UserError(f"{where}: '{key}' is a group of settings ({key}: {{name: value}}), got {given}")


def check_folder(option: str, folder: Path) -> None:
    """A folder that is there, or can be made, and can be written in; leaves nothing behind.

    Raises:
        UserError: if not.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{option} {folder}: is a file; give a folder")
    made: list[Path] = []
    try:
        for place in reversed(missing):
            place.mkdir()
            made.append(place)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise UserError(f"{option} {folder}: cannot be written ({e.strerror}); give another folder") from None
    finally:
        for place in reversed(made):
            place.rmdir()


def check_out(folder: Path, hint: str | None = None) -> None:
    """``--out`` of a run. The first of several processes sees to it; the others find it as that one has left it.

    Args:
        folder: of the run.
        hint: what to do if it holds something; None: it may.

    Raises:
        UserError: if it does, or cannot be written.
    """
    from ssl_av.training.group import is_first

    if is_first():
        if hint and folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"--out {folder}: exists already; {hint}")
        check_folder("--out", folder)


def check_resume(folder: Path, config: RunConfig) -> None:
    """A run in the folder is the one that is asked for; budget, trainer and speed of reading may differ.

    Raises:
        UserError: if it is of another method, other settings or other data.
    """
    from ssl_av.config import load_yaml

    about = folder / "config.yaml"
    if not about.is_file():
        return
    old, new = load_yaml(about), json.loads(json.dumps(config.to_dict()))
    found = list(differences({k: old.get(k) for k in RESUMED}, {k: new.get(k) for k in RESUMED}))
    found = [d for d in found if d.split(" ")[0] not in SPEED]
    if found:
        raise UserError(
            f"--resume: {folder} holds another run, which differs in {'; '.join(found[:3])}"
            + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            + "; give its own settings, or another --out"
        )


RESUMED = ("method", "data", "seed")
SPEED = tuple(f"data.{k}" for k in ("num_workers", "reader", "timeout", "max_bad", "threads", "make_flow"))
"""Settings that change how fast or how patiently samples are read and made ready, not which."""


def check_map(way: str) -> None:
    """Raises a `UserError` where maps of features are to be made by UMAP, which is not installed."""
    if way == "umap" and importlib.util.find_spec("umap") is None:
        raise UserError(
            "--evaluation.map umap needs the package umap-learn (pip install 'ssl-av[umap]'); tsne is built in"
        )


def check_settings(config: RunConfig) -> None:
    """The groups of settings of a run's method, and how its data are read, before any data are prepared.

    Raises:
        UserError: for a value that is refused.
    """
    from ssl_av.methods import method_class
    from ssl_av.methods.settings import resolve

    own = {k: v for k, v in config.method.items() if k != "name"}
    check_map(config.evaluation.map)
    _ = config.loading, resolve(method_class(config.method["name"]), own)


def check_trainer(settings: Mapping[str, Any]) -> pl.Trainer:
    """The Lightning trainer takes these arguments on this machine: one that has them, and nothing to do.

    Raises:
        UserError: with the trainer's own reason.
    """
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from ssl_av.quiet import quiet
    from ssl_av.training.compiling import check_compile, split_compile

    quiet()
    lightnings, backend = split_compile(settings)
    check_compile(backend)
    try:
        return pl.Trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            **{k: v for k, v in lightnings.items() if not k.startswith("enable_")},
        )  # fmt: skip
    except (MisconfigurationException, ValueError, TypeError, ImportError, RuntimeError) as e:
        raise UserError(f"--trainer.*: {' '.join(str(e).split())[:300]}") from None


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """What differs between two nested settings, leaf by leaf: "inputs.size (64 there, 112 here)"."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*new, *old]):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield f"{path} ({_short(old)} there, {_short(new)} here)"


def _short(value: Any) -> str:
    text = "none" if value is None else json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"
