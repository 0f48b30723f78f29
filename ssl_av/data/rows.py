"""What a dataset lists, and what a manifest gives back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What a dataset lists: a file or a piece of one.

    Attributes:
        path: relative to the dataset's root, or absolute.
        label: number of the class, -1 for none.
        split: ``train``, ``val``, ``test``, or empty: to be drawn.
        start: seconds into the file.
        end: seconds into the file, None for its end.
        labels: numbers of all classes, where a sample may have several (AudioSet); ``label`` is then -1.
    """

    path: str
    label: int = -1
    split: str = ""
    start: float = 0.0
    end: float | None = None
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Skip:
    """A file that is left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Sample:
    """A row of a manifest.

    Attributes:
        path: where the file is.
        label: number of the class, -1 for none.
        start: seconds into the file.
        duration: seconds.
        has_video: whether there are frames.
        has_audio: whether there is sound.
        aspect: true width / height of a frame as shown; 1 without video.
        labels: numbers of all its classes, where it may have several.
    """

    path: str
    label: int
    start: float
    duration: float
    has_video: bool
    has_audio: bool
    aspect: float
    labels: tuple[int, ...] = ()
