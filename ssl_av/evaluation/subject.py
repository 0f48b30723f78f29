"""What `ssl-av eval` measures: a checkpoint with its run, or an untrained reference by its name."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_av.checks import check_seeds
from ssl_av.config import RunConfig, load_yaml
from ssl_av.errors import UserError
from ssl_av.methods import list_methods, method_class
from ssl_av.methods.base import Method
from ssl_av.options import check
from ssl_av.resolve import resolve_suite


@dataclass(frozen=True)
class Subject:
    """A method and how it came about.

    Attributes:
        method: its backbones are measured.
        config: of its run; where there is none beside the file, that of the tiny suite.
        said: the file, or the reference's name.
        home: the run's folder, or the file's; None for a reference.
        own: whether it lies in a run's folder.
        trained_on: the data of its training, if that is known.
    """

    method: Method
    config: RunConfig
    said: str
    home: Path | None
    own: bool = False
    trained_on: Mapping[str, Any] | None = None


def load_subject(what: str, settings: Mapping[str, Any], seed: int | None) -> Subject:
    """What was asked for.

    Args:
        what: a checkpoint, a run's folder, or the name of a method that is never trained.
        settings: such a method's own settings; a checkpoint has its own.
        seed: of the weights of a reference and of the protocols; None: the run's, or 0.

    Raises:
        UserError: if there is neither, or settings do not fit.
    """
    if not Path(what).exists() and what in list_methods():
        return _reference(what, settings, 0 if seed is None else seed)
    if settings:
        raise UserError(
            "--method.* sets up an untrained reference (random, statistics); a checkpoint has its own settings"
        )
    from ssl_av.checkpoint import load_method

    path = Path(what)
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    method = load_method(path)
    found = run_of(Path(what))
    config = found or resolve_suite("tiny", None, {}, {}).run_config(method.name, 0)
    seed = check_seeds("--seed", [config.seed if seed is None else seed])[0]
    config = dataclasses.replace(config, seed=seed)
    own = found is not None
    home = _home(path) if own else path.parent
    return Subject(method, config, str(path), home, own, config.data if own and method.trains else None)


def run_of(path: Path) -> RunConfig | None:
    """The run that a checkpoint, or a run's folder, is of; None where there is none beside it.

    Raises:
        UserError: if the folder was named and its config.yaml is no run's.
    """
    beside = _home(path) / "config.yaml"
    if not beside.is_file():
        return None
    try:
        return RunConfig.from_dict(load_yaml(beside))
    except (UserError, AttributeError, KeyError, TypeError, ValueError) as e:
        said = f"{beside} is no run's ({type(e).__name__}: {e})"
        if path.is_dir():
            raise UserError(f"{said}: remove it, or name the checkpoint alone") from None
        # Many programs call their settings so, and their weights are to be measured.
        print(f"ssl-av: warning: {said}: what {path} was trained on is not known", file=sys.stderr)
        return None


def _home(path: Path) -> Path:
    """The folder of the run that a checkpoint would be of; a run's folder itself."""
    if path.is_dir():
        return path
    # ``last.ckpt`` alone has no parents.
    whole = Path(os.path.abspath(path)) if path.parent.name in ("", "..") else path
    return whole.parent.parent


def _reference(name: str, settings: Mapping[str, Any], seed: int) -> Subject:
    """An untrained reference, with the weights that a run of the same seed and settings has in `ssl-av bench`."""
    import pytorch_lightning as pl

    from ssl_av.methods import create_method

    cls = method_class(name)
    if cls.trains:
        raise UserError(
            f"{name}: no such file; the method '{name}' has to be trained first (`ssl-av fit --method {name}`), then "
            "give its run's folder"
        )
    seed = check_seeds("--seed", [seed])[0]
    own = check("method", cls, settings)
    config = resolve_suite("tiny", None, {}, {"methods": {name: own}}).run_config(name, seed)
    pl.seed_everything(seed, workers=True, verbose=False)
    method = create_method(name, **{k: v for k, v in config.method.items() if k != "name"})
    return Subject(method.eval(), config, name, None)
