"""`ssl-av import` and `ssl-av export`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ssl_av.errors import UserError
from ssl_av.parser import Parser

EXPORTED = ".safetensors"
TABLES = (".npz", ".parquet", ".arrow", ".feather")
"""Of embeddings: `ssl_av.evaluation.export.FORMATS`, without importing it."""
LAYOUTS = ("avid", "cma", "gdt", "stica", "crisscross", "brave")


def add_import_arguments(parser: Parser) -> None:
    """The words of `ssl-av import`."""
    parser.add_argument("file", metavar="FILE", help="an official checkpoint, as it was downloaded")
    parser.add_argument(
        "--from", dest="layout", metavar="NAME", required=True, choices=LAYOUTS, help=f"whose: {', '.join(LAYOUTS)}",
    )  # fmt: skip
    parser.add_argument(
        "--backbones-only",
        action="store_true",
        help="leave heads and memory, and what is unknown beside them",
    )
    _add_out(parser, "the checkpoint to write (.ckpt)")


def add_export_arguments(parser: Parser) -> None:
    """The words of `ssl-av export`."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint, a run's folder, or an imported file"
    )
    parser.add_argument(
        "--modality", metavar="NAME", choices=("video", "audio", "both"), help="video, audio or both "
        "(default: what there is)",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="NAME", help="of embeddings: the data set (default: that of the checkpoint's run)"
    )
    _add_out(parser, f"the file to write: {EXPORTED} of weights; {', '.join(TABLES)} of embeddings")


def _add_out(parser: Parser, what: str) -> None:
    parser.add_argument("--out", metavar="FILE", required=True, help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")


def run_import(args: argparse.Namespace) -> int:
    """`ssl-av import`: an official checkpoint becomes one of ours."""
    out = _free(args.out, args.overwrite)
    if out.suffix == EXPORTED:
        raise UserError(
            f"--out {out}: import writes a checkpoint (.ckpt); `ssl-av export` makes {EXPORTED} of it"
        )
    from ssl_av.checkpoint import write
    from ssl_av.interop.files import read_file
    from ssl_av.interop.official import convert

    path = _exists(args.file)
    saved = convert(path, read_file(path), args.layout, args.backbones_only)
    write(saved, out)
    for line in saved.origin["found"]:
        print(line)
    count = sum(v.numel() for k, v in saved.state.items() if k.startswith("backbones."))
    print(f"{len(saved.state)} tensors, {count:,} numbers of them in backbones: {out}")
    return 0


def run_export(args: argparse.Namespace, dotted: Mapping[str, Any] | None = None) -> int:
    """`ssl-av export`: the backbones of a checkpoint as safetensors, or a data set's embeddings as a table."""
    out = _free(args.out, args.overwrite)
    if out.suffix in TABLES:
        return _embeddings(args, dotted or {}, out)
    if out.suffix != EXPORTED:
        raise UserError(
            f"--out {out}: give a name that ends in {EXPORTED}, or of embeddings in {', '.join(TABLES)}"
        )
    if args.data or dotted:
        raise UserError(f"--out {out}: weights are of no data; embeddings of data end in {', '.join(TABLES)}")
    from ssl_av.checkpoint import read
    from ssl_av.interop.export import backbones_of, write_export

    saved = read(args.checkpoint, backbones_only=True)
    asked = {None: saved.modalities, "both": ["video", "audio"]}.get(args.modality, [args.modality])
    exported = backbones_of(saved, asked, Path(args.checkpoint).name)
    write_export(exported, out)
    networks = exported.settings["networks"]
    for m in asked:
        count = sum(v.numel() for k, v in exported.state.items() if k.startswith(f"backbones.{m}."))
        print(f"{m}: {networks[m]}, {count:,} numbers")
    print(f'{out}: net = ssl_av.load_backbone("{out}", modality="{asked[0]}")')
    return 0


def _embeddings(args: argparse.Namespace, dotted: Mapping[str, Any], out: Path) -> int:
    from rich.console import Console

    from ssl_av.checks import check_folder
    from ssl_av.config import Evaluation
    from ssl_av.evaluation.embedding import embed
    from ssl_av.evaluation.export import save_embeddings
    from ssl_av.evaluation.progress import Evaluating
    from ssl_av.evaluation.subject import load_subject
    from ssl_av.options import check
    from ssl_av.quiet import quiet
    from ssl_av.resolve import resolve_data

    quiet()
    check_folder("--out", out.parent)
    subject = load_subject(args.checkpoint, dotted.get("method", {}), None)
    others = [f.name for f in fields(Evaluation) if f.name not in ("clips", "precision")]
    asked = check("evaluation", Evaluation, dotted.get("evaluation", {}), skip=others)
    e = replace(subject.config.evaluation, **asked)
    if not args.data and not subject.own:
        raise UserError(
            f"--data: name the data set; {subject.said} lies in no run's folder, which would say it"
        )
    data = resolve_data(subject.config.data, args.data, dotted.get("data", {}))
    cache = subject.home / "features" if subject.own and subject.home else None
    with Evaluating(console := Console()) as said:
        table = embed(
            subject, data, modality=None if args.modality == "both" else args.modality, seed=subject.config.seed,
            clips=e.clips, cache=cache, precision=e.precision, report=said,
        )  # fmt: skip
    save_embeddings(replace(table, about={"checkpoint": subject.said, **table.about}), out)
    for m, x in table.vectors.items():
        console.print(f"{m}: {x.shape[0]:,} samples, {x.shape[1]} numbers each", highlight=False)
    console.print(f"{out}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _exists(file: str) -> Path:
    if not Path(file).is_file():
        raise UserError(f"{file}: no such file")
    return Path(file)


def _free(out: str, overwrite: bool) -> Path:
    path = Path(out)
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder; give a file")
    if path.exists() and not overwrite:
        raise UserError(f"--out {path}: exists already; add --overwrite to replace it")
    return path
