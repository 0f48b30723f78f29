"""Draw a method's views of some samples, before and after augmentation, into a PNG."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ssl_av.data.tools import known_option
from ssl_av.errors import UserError, unknown
from ssl_av.parser import Parser

EPILOG = """\
settings: the data set's own arguments (--root DIR), and as in `ssl-av fit`
  --data.*        how it is loaded: --data.decode_size 128
  --method.*      the method's own: --method.inputs.size 112 --method.inputs.augment crisscross_per_frame
"""
MOST = 12


def add_arguments(parser: Parser) -> None:
    """Method, data, samples, picture."""
    parser.add_argument("--method", metavar="NAME", help="a method of `ssl-av list methods`")
    parser.add_argument(
        "--data", metavar="NAME", help="a data set of `ssl-av list datasets` (default: the suite's)"
    )
    parser.add_argument(
        "--suite", metavar="NAME|FILE", default="tiny", help="suite whose sizes are the defaults"
    )
    parser.add_argument("--samples", type=int, default=4, help=f"how many, 1 to {MOST} (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the samples, the times and the augmentation")
    parser.add_argument(
        "--dpi", type=int, default=130, help="pixels an inch; the page is 13 wide (default: 130)"
    )
    parser.add_argument("--out", metavar="FILE", default="views.png", help="the picture (default: views.png)")


def run(args: argparse.Namespace, rest: Sequence[str]) -> int:
    """Draws the picture."""
    if not args.method:
        raise UserError("show needs --method, e.g. --method brave (`ssl-av list methods`)")
    if not 1 <= args.samples <= MOST:
        raise UserError(f"--samples {args.samples}: give 1 to {MOST}")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed}: must not be negative")
    if not 30 <= args.dpi <= 600:
        raise UserError(f"--dpi {args.dpi}: give 30 to 600")
    out = Path(args.out)
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; give a file in it, e.g. {out / 'views.png'}")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    from ssl_av.methods import list_methods

    known = list_methods()
    if args.method not in known:
        raise unknown("method", args.method, known, hint="ssl-av list methods")
    from ssl_av.methods import method_class

    method = method_class(args.method)
    if not method.trains:
        raise UserError(f"'{args.method}' is an untrained reference and has no views of its own")

    from ssl_av.config import load_yaml
    from ssl_av.data.datasets import dataset_class
    from ssl_av.data.loading import Loading
    from ssl_av.options import check, config_file, parameters_of, parse_dotted
    from ssl_av.resolve import resolve_suite

    data = args.data or load_yaml(config_file("suites", args.suite)).get("data", {}).get("name", "synthav")
    known_option(rest, parameters_of(dataset_class(data), Loading))

    # ``--root`` here is what other commands call ``--data.root``.
    words = [
        f"--data.{w[2:]}" if w.startswith("--") and len(w) > 2 and "." not in w.split("=")[0] else w
        for w in rest
    ]
    given = parse_dotted(
        words, ("method", "data"), ["--method", "--data", "--suite", "--samples", "--dpi", "--out"]
    )
    own = check("method", method, given.get("method", {}), skip=("num_samples", "num_classes"))
    suite = resolve_suite(args.suite, args.data, given.get("data", {}), {"methods": {args.method: own}})
    config = suite.run_config(args.method, args.seed)

    from ssl_av.data.prepare import prepare_manifest
    from ssl_av.data.show import look
    from ssl_av.data.show_drawing import draw

    manifest = prepare_manifest(config.data["name"], config.dataset_args, config.loading)
    seen, skipped = look(config, manifest, args.samples)
    for skip in skipped:
        print(f"skipped {skip.path}: {skip.reason}")
    try:
        draw(args.method, config.data["name"], args.seed, seen).savefig(out, dpi=args.dpi)
    except OSError as e:
        raise UserError(f"--out {out}: cannot be written ({e.strerror})") from None
    print(f"{len(seen)} samples of {config.data['name']} as {args.method} sees them: {out}")
    return 0
