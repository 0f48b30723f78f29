"""Render the embedded data set synthav into a folder of videos."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ssl_av.data.tools import dataset_words
from ssl_av.errors import UserError
from ssl_av.parser import Parser

EPILOG = "settings: --seed N, --train N, --val N, --test N (samples of each split), --workers N"


def add_arguments(parser: Parser) -> None:
    """The folder."""
    parser.add_argument("folder", metavar="DIR", help="where to; what is there already is not rendered again")


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Renders what is missing."""
    from ssl_av.data.datasets.synthav import SynthavDataset

    given = dataset_words("synthav", rest)
    if "root" in given:
        raise UserError("synth: the folder is given without --root: ssl-av data synth DIR")
    dataset = SynthavDataset(root=args.folder, **given)
    rows, classes = dataset.rows()
    print(f"{len(rows)} videos of {len(classes)} classes in {dataset.root}")
    return 0
