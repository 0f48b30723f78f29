"""Make the optical flow of a data set once (TV-L1), for views of flow."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ssl_av.data.tools import dataset_words
from ssl_av.errors import UserError
from ssl_av.parser import Parser

EPILOG = """settings: the data set's own, as in `ssl-av fit` without "data." (--root DIR …)

The same command continues where it was interrupted, and renews what was made with other settings or from files that
have changed. What is stored, and how: docs/views.md."""


def add_arguments(parser: Parser) -> None:
    """The data set, where to, and how."""
    parser.add_argument("dataset", metavar="NAME", help="a data set of `ssl-av data list`")
    parser.add_argument("--out", metavar="DIR", help="where it is kept (default: a folder in the cache)")
    parser.add_argument("--fps", type=float, default=6.25, help="fields a second (default: 6.25)")
    parser.add_argument("--size", type=int, default=128, help="short side in pixels (default: 128)")
    parser.add_argument(
        "--clip", type=float, default=10.0, help="largest motion kept, in pixels in 1/25 s (default: 10)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="videos at a time (default: one a core)"
    )


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Makes what is missing; failures are named."""
    from pathlib import Path

    from ssl_av.data.flow import default_folder
    from ssl_av.data.flow_tvl1 import FlowSettings, load_opencv, make_flow
    from ssl_av.data.loading import Loading
    from ssl_av.data.prepare import prepare_manifest

    settings = FlowSettings(args.fps, args.size, args.clip)
    if args.jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {args.jobs}")
    load_opencv()
    given = dataset_words(args.dataset, rest)
    manifest = prepare_manifest(args.dataset, given, Loading(num_workers=args.jobs))
    folder = Path(args.out) if args.out else default_folder(manifest.root)
    report = make_flow(manifest, folder, settings, args.jobs, progress=True)
    count = report.made + report.kept + len(report.failed)
    if not count:
        raise UserError(f"none of the {len(manifest)} samples of '{args.dataset}' has video")
    print(
        f"optical flow of {count} videos in {folder} ({report.bytes / 2**20:.1f} MiB): "
        f"{report.made} made, {report.kept} there already, {len(report.failed)} failed"
    )
    for skip in report.failed:
        print(f"  {skip.path}: {skip.reason}")
    if len(report.failed) == count:
        raise UserError("no optical flow could be made")
    if args.out:
        print(f"training finds it with --data.flow {args.out}")
    return 0
