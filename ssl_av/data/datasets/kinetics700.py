"""Kinetics-700: 650,000 clips of 10 s from YouTube, 700 actions; the 2020 edition has the same form."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_av.data.datasets._kinetics import KineticsDataset


@dataclass(frozen=True)
class Kinetics700Dataset(KineticsDataset):
    """Kinetics-700; its arguments, lists and splits are those of `KineticsDataset`."""
