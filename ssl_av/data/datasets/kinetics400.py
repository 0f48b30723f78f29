"""Kinetics-400: 240,000 clips of 10 s from YouTube, 400 actions; the papers' usual pretraining set."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_av.data.datasets._kinetics import KineticsDataset


@dataclass(frozen=True)
class Kinetics400Dataset(KineticsDataset):
    """Kinetics-400; its arguments, lists and splits are those of `KineticsDataset`."""
