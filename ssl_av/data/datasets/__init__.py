"""The data sets: one file each, found by its file name.

A file ``<name>.py`` here holds one frozen dataclass whose name ends in ``Dataset``; its fields are the data set's
arguments (``--data.root``), its `rows` the samples, the first line of its module's docstring its description.
Listing imports none of them.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ssl_av.data.rows import Row
from ssl_av.discovery import first_lines
from ssl_av.errors import UserError, unknown


class Dataset(Protocol):
    """What lists samples: files, labels and splits as they lie on a disk.

    A row whose file is not there is listed all the same: `prepare` counts what has decayed against the official list.

    Attributes:
        root: the folder that the samples' paths are relative to.
        label_type: ``single``, ``multi`` (`Row.labels`) or ``none``.
        modalities: what a whole sample has.
        folds: number of its official splits or folds (1 where there is one division only); where there are more, the
            field ``fold`` chooses, from 1.
        needs: what has to be on the disk, in a few words.
    """

    root: Path
    label_type: ClassVar[str] = "single"
    modalities: ClassVar[tuple[str, ...]] = ("video", "audio")
    folds: ClassVar[int] = 1
    needs: ClassVar[str] = ""

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Every sample, and the names of the classes (empty without labels).

        Raises:
            UserError: if the files are not there, or not as they should be.
        """


def list_datasets() -> dict[str, str]:
    """Names of all data sets with the first line of their documentation."""
    return first_lines(__path__[0])


def dataset_class(name: str) -> type[Any]:
    """The class of a data set.

    Raises:
        UserError: if there is none; names the nearest ones.
    """
    known = list_datasets()
    if not isinstance(name, str) or name not in known:  # of a file it may be anything
        raise unknown("data set", name, known, hint="ssl-av list datasets")
    module = importlib.import_module(f"{__name__}.{name}")
    for key, value in vars(module).items():
        here = getattr(value, "__module__", "") == module.__name__
        if here and key.endswith("Dataset") and isinstance(value, type):
            return value
    raise TypeError(f"{module.__name__} holds no class whose name ends in 'Dataset'")


def create_dataset(name: str, **kw: Any) -> Dataset:
    """A data set with its arguments.

    Raises:
        UserError: for an unknown name or argument, or one that is missing.
    """
    cls = dataset_class(name)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    for argument in kw:
        if argument not in fields:
            near = difflib.get_close_matches(argument, fields, n=1, cutoff=0.5)
            guess = f"did you mean --data.{near[0]}?" if near else f"it has {', '.join(fields)}"
            raise UserError(f"data set '{name}' has no --data.{argument}; {guess}")
    needed = [
        f.name
        for f in fields.values()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing := [argument for argument in needed if kw.get(argument) in (None, "")]:
        raise UserError(f"data set '{name}' needs {' and '.join(f'--data.{m}' for m in missing)}")
    dataset: Dataset = cls(**kw)
    return dataset
