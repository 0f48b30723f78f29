"""How samples are read and batched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ssl_av.data.media import Limits
from ssl_av.errors import UserError, unknown

PACKS = ("none", "frames", "video")

SMALL_ONLY = ("pack", "make_flow")
"""What suits a small set that is embedded and need not suit terabytes: another data set does not take it over."""


@dataclass(frozen=True)
class Loading:
    """How samples are read and batched; the same for every method of a comparison.

    Attributes:
        batch_size: samples a step, of all processes that train together.
        num_workers: reading processes; 0: the training process reads; -1: half of the machine's cores, at least one,
            and none where ``pack`` leaves nothing to decode. Where several processes train together, each has as many,
            or its part of the half of the cores.
        reader: media backend, ``pyav``, ``decord`` or ``torchcodec``.
        decode_size: frames are scaled to this square at decoding, before the augmentation crops.
        max_bad: share of the samples that may be unreadable before the run stops; see `ssl_av.data.loader.Loader`.
        timeout: seconds that reading one sample may take before it is skipped.
        flow: folder of the optical flow that `ssl-av data flow --out` has made; null is where it goes by default.
        make_flow: make the optical flow that a view asks for and that is not there, before the first run: as
            `ssl-av data flow` makes it, but from frames of ``decode_size`` pixels. It takes seconds a second of video.
        pack: ``frames`` or ``video``: decode every file once, into a pack in the cache (docs/packs.md), and train from
            that; ``none``: read the files.
        threads: that compute without a GPU; 0: the cores that ``num_workers: -1`` leaves, shared by runs at a time.
            They decide in which order sums are added up, so in the last digits of a result.
        limits: what is read of a file at most; one that asks for more is skipped.
    """

    batch_size: int = 32
    num_workers: int = -1
    reader: str = "pyav"
    decode_size: int = 128
    max_bad: float = 0.05
    timeout: float = 60.0
    flow: str | None = None
    make_flow: bool = False
    pack: str = "none"
    threads: int = 0
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if isinstance(self.limits, Mapping):
            object.__setattr__(self, "limits", Limits(**self.limits))
        if self.batch_size < 2:
            raise UserError(f"batch_size must be at least 2 (batch normalisation), got {self.batch_size}")
        if self.num_workers < -1:
            raise UserError(
                f"num_workers must be at least 0, or -1 for half of the machine's cores, got {self.num_workers}"
            )
        if self.decode_size < 8:
            raise UserError(f"decode_size must be at least 8 pixels, got {self.decode_size}")
        if not 0 <= self.max_bad <= 1:
            raise UserError(f"max_bad is a share of the samples, between 0 and 1, got {self.max_bad}")
        if self.pack not in PACKS:
            raise unknown("data.pack", self.pack, PACKS)
        if self.timeout <= 0:
            raise UserError(f"timeout must be more than 0 seconds, got {self.timeout}")
        if self.threads < 0:
            raise UserError(
                f"threads must be at least 1, or 0 for the cores that are left, got {self.threads}"
            )

    @property
    def workers(self) -> int:
        """The number of reading processes on this machine."""
        if self.num_workers >= 0:
            return self.num_workers
        return 0 if self.pack == "frames" else max(cores() // 2, 1)

    def compute_threads(self, share: int = 1) -> int:
        """Threads that compute without a GPU, where ``share`` runs go on at a time.

        With more threads than free cores they wait for each other inside every operation, which costs far more than
        the missing thread. They do not follow from ``num_workers``: a result must be the same with any.
        """
        decoding = 0 if self.pack == "frames" else max(cores() // 2, 1)
        return self.threads or max(max(cores() - decoding, 1) // share, 1)


def cores() -> int:
    """Cores that this process may use: of a machine of a cluster, those of the job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
