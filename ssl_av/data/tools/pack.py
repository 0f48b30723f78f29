"""Decode a data set once and keep it in a form that is quick to train from."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ssl_av.data.tools import dataset_words
from ssl_av.parser import Parser

EPILOG = """\
the data set's own arguments as elsewhere: --root DIR …
train from the pack: ssl-av fit --method brave --data pack --data.root DIR
an interrupted packing continues with the same command; see docs/packs.md
"""


def add_arguments(parser: Parser) -> None:
    """The data set, the folder and the form."""
    parser.add_argument("name", metavar="NAME", help="a data set of `ssl-av data list`")
    parser.add_argument("--out", metavar="DIR", required=True, help="the pack's folder")
    parser.add_argument(
        "--form", metavar="FORM", default="video", help="video (small) or frames (fast); default: video"
    )
    parser.add_argument("--size", type=int, default=128, help="pixels of the short side (default: 128)")
    parser.add_argument("--shape", metavar="SHAPE", default="square",
                        help="square (as training reads them; the default) or aspect")  # fmt: skip
    parser.add_argument("--fps", type=float, help="frames kept a second (default: all, at their own times)")
    parser.add_argument("--rate", type=int, default=24_000, help="samples of sound a second (default: 24000)")
    parser.add_argument("--reader", metavar="NAME", default="pyav", help="media backend (default: pyav)")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    parser.add_argument("--per_shard", metavar="N", type=int, default=64, help="samples a file (default: 64)")


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Packs what is missing and says what it costs."""
    given = dataset_words(args.name, rest)
    from pathlib import Path

    from ssl_av.data.loading import Loading
    from ssl_av.data.media import create_reader
    from ssl_av.data.pack import Pack
    from ssl_av.data.pack.build import build_pack
    from ssl_av.data.prepare import prepare_manifest
    from ssl_av.errors import UserError

    if args.name == "pack":
        raise UserError("a pack is made from files, not from a pack: name the data set that it was made from")
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers {args.workers}: give at least 1")
    workers = args.workers or os.cpu_count() or 1
    how = {k: getattr(args, k) for k in ("reader", "form", "size", "shape", "fps", "rate", "per_shard")}
    Pack(args.name, "", 0, **how)  # what is wrong in it is said before the files are opened
    create_reader(args.reader)
    manifest = prepare_manifest(args.name, given, Loading(reader=args.reader, num_workers=workers))
    pack = Pack(args.name, manifest.hash, len(manifest), **how)
    out = Path(args.out).expanduser()
    built = build_pack(manifest, pack, out, workers, progress=True)
    for skip in built.failures[:20]:
        print(f"not packed: {skip.path}: {skip.reason}")
    if len(built.failures) > 20:
        print(f"not packed: {len(built.failures) - 20} more")
    good = pack.samples - len(built.failures)
    print(f"{good} of {pack.samples} samples in {out} (form {pack.form}, manifest {pack.hash})")
    print(
        f"pack {built.bytes / 1e6:,.1f} MB, original files {built.original / 1e6:,.1f} MB: "
        f"{built.bytes / max(built.original, 1):.2f} times the space"
    )
    return 0
