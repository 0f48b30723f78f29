"""Kinetics-600: 480,000 clips of 10 s from YouTube, 600 actions."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_av.data.datasets._kinetics import KineticsDataset


@dataclass(frozen=True)
class Kinetics600Dataset(KineticsDataset):
    """Kinetics-600; its arguments, lists and splits are those of `KineticsDataset`."""
