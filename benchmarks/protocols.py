"""Every protocol on every data set that it applies to, from the command line: that they run, and for how long.

    python benchmarks/protocols.py --out DIR --esc50 ESC-50 --grid GRID --ucf101 UCF --lists ucfTrainTestlist
    python benchmarks/protocols.py --out DIR --only knn,memory          # some protocols, on synthav alone

A small AVID+CMA is trained for 20 steps on synthav (which measures on the other data too) and on GRID (for its memory);
each cell is a call of `ssl-av eval`, in a process that is forked from this one, which has imported torch already. What
is done is kept in DIR/cells.jsonl: the same command goes on, and tries again what failed.

Protocols that fix neither clips nor inputs, and those of the memory, see the whole of the data; the others a part (ten
classes and one fold of ESC-50, every 15th utterance of GRID, one split of UCF101). Those that train the network, cut
frames of 224 pixels or 60 clips of a sample are made smaller in files of their own, DIR/protocols. The numbers of an
almost untrained, small network say nothing about a paper.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av  # noqa: F401  # what commands need, so that forked ones need not import it
import sklearn.svm  # noqa: F401
import yaml

import ssl_av.evaluation.insight
import ssl_av.runs.run  # noqa: F401
from ssl_av.cli import main as command_line
from ssl_av.data.datasets import create_dataset, dataset_class
from ssl_av.evaluation.kinds import KINDS
from ssl_av.evaluation.protocols import Protocol, list_protocols, load_protocol

FIT = [
    "--method", "cma", "--budget", "steps=20", "--method.negatives", "16", "--method.positives", "4",
    "--method.networks.video_args.width", "4", "--method.networks.audio_args.width", "4",
    "--evaluation.probes", "0", "--evaluation.protocols", "[]",
]  # fmt: skip
SYNTHAV = ["--data", "synthav", "--data.train", "32", "--data.val", "8", "--data.test", "16"]
EVERY = 15
"""Which of GRID's utterances are its part: of 900, 60."""
MARKS = {"whole": "", "part": "°", "smaller": "*"}
SHORT = {"video": "v", "audio": "a", "audio+video": "a+v", "audio_to_video": "a→v", "video_to_audio": "v→a"}
Cell = dict[str, Any]


def main() -> None:
    """Trains, measures, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    for name in ("esc50", "grid", "ucf101", "lists"):
        parser.add_argument(
            f"--{name}", type=Path, help="folder of the official lists of UCF101" * (name == "lists")
        )
    parser.add_argument("--quick", action="store_true", help="synthav of 16 samples, a network of one step")
    parser.add_argument("--only", default=",".join(list_protocols()), help="of these protocols")
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if args.quick:  # the last word of an option counts
        FIT.extend(["--budget", "steps=1", "--data.batch_size", "4", "--method.negatives", "4"])
        SYNTHAV.extend(["--data.train", "8", "--data.val", "4", "--data.test", "4"])
    columns = dict(places(args, out))
    asked = [load_protocol(name) for name in args.only.split(",")]
    changes = {p.name: smaller(p, out / "protocols") for p in asked}
    for column, data in columns.items():
        run = trained(data["network"], data["whole"], out)
        known = {k: cell for k, cell in done(out).items() if cell["status"] != "failed"}
        left = [p for p in asked if f"{p.name}@{column}" not in known]
        have = set(dataset_class(data["whole"][1]).modalities)
        blind = [
            p
            for p in left
            if not (set(p.modalities) <= have if KINDS[p.kind].both else set(p.modalities) & have)
        ]
        for group in ([blind] if blind else []) + [[p] for p in left if p not in blind]:
            how = "smaller" if changes[group[0].name] else extent(group[0])
            for name, cell in measured(group, data, run, how, column, out).items():
                with (out / "cells.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"name": name, **cell}) + "\n")
                print(f"{name:45} {cell['status']:8} {cell['seconds']:6.1f} s  {cell['said']}", flush=True)
    print("\n" + "\n".join(table(asked, list(columns), done(out), changes)))


def places(args: argparse.Namespace, out: Path) -> Iterator[tuple[str, Cell]]:
    """By column: the words that name the whole of the data, a part of them, and whose network measures there."""
    yield "synthav", {"whole": SYNTHAV, "part": SYNTHAV, "network": "synthav"}
    if args.esc50:
        esc = ["--data", "esc50", "--data.root", str(args.esc50)]
        yield (
            "ESC-50",
            {"whole": esc, "part": [*esc, "--data.esc10", "true", "--data.fold", "1"], "network": "synthav"},
        )
    if args.grid:
        whole, part = (
            ["--data", "grid", "--data.root", str(d)] for d in (args.grid, some(args.grid, out / "grid"))
        )
        yield "GRID", {"whole": whole, "part": part, "network": "grid"}
    if args.ucf101:
        ucf = ["--data", "ucf101", "--data.root", str(args.ucf101)]
        ucf += ["--data.lists", str(args.lists)] if args.lists else []
        yield "UCF101", {"whole": ucf, "part": [*ucf, "--data.fold", "1"], "network": "synthav"}


def some(grid: Path, folder: Path) -> Path:
    """A folder with links to some of the utterances, divided as the whole."""
    rows = create_dataset("grid", root=grid).rows()[0][::EVERY]
    lines = ["file,split"]
    for row in rows:
        link = folder / row.path
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((grid / row.path).resolve())
        lines.append(f"{row.path},{row.split}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def extent(p: Protocol) -> str:
    """How much of the data a protocol sees that is not made smaller."""
    return "whole" if p.train.clips is None or "memory" in KINDS[p.kind].needs else "part"


def smaller(p: Protocol, folder: Path) -> str:
    """Writes a protocol of its own name where this one is too large for a trial; what it changes, else nothing."""
    values = yaml.safe_load(list_protocols()[p.name].read_text(encoding="utf-8"))
    wanted: dict[str, dict[str, Any]] = {"inputs": {}, "train": {}, "test": {}, "settings": {}}
    s = values.get("settings", {})
    if KINDS[p.kind].trains:
        wanted["inputs"] = {"frames": min(p.inputs.frames or 4, 4), "fps": None, "size": 32}
        wanted["test"] = {"clips": 2}
        wanted["settings"] = {
            "epochs": 2 if s["keep"] == "val" else 1, "epoch_samples": 16, "passes": 1,
            "head_epochs": min(s["head_epochs"], 1), "batch_size": 8, "test_size": s["test_size"] and 36,
            "blocks": s["blocks"] and [36, 32, 16, 32], "grid": s["grid"] and {"optim": {"lr": [0.03, 0.3]}},
        }  # fmt: skip
        if s["optim"].get("warmup"):
            wanted["settings"]["optim"] = {**s["optim"], "warmup": "1 steps"}
    elif p.inputs.size == 224:
        wanted["inputs"] = {"frames": 8, "size": 64}
        wanted["train"], wanted["test"] = {"clips": 2}, {"clips": 2}
    elif p.train.clips == 60:
        wanted["train"], wanted["test"] = {"clips": 6}, {"clips": 6}
    changed = []
    for group, new in wanted.items():
        for key, value in new.items():
            if values[group][key] != value:
                shown = "warmup" if key == "optim" else f"{group} {key}" if key == "clips" else key
                old = values[group][key]["warmup"] if key == "optim" else values[group][key]
                changed.append(
                    f"{shown} {_said(old)} → {_said(value['warmup'] if key == 'optim' else value)}"
                )
                values[group][key] = value
    if changed:
        values["name"] = f"{p.name}-small"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{p.name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return ", ".join(changed)


def trained(name: str, data: list[str], out: Path) -> Path:
    """The small network of a data set; trained where it is not yet."""
    run = out / f"cma-{name}"
    if not (run / "record.json").exists():
        data = data if name == "grid" else SYNTHAV
        code, seconds, said = command(["fit", *FIT, *data, "--out", str(run)], out / f"{run.name}.txt")
        if code:
            sys.exit(f"fit failed: {said} (see {out / run.name}.txt)")
        print(f"{run.name} trained in {seconds:.0f} s", flush=True)
    return run


def measured(
    group: list[Protocol], data: Cell, run: Path, how: str, column: str, out: Path
) -> dict[str, Cell]:
    """What one command finds: of one protocol, or of all that the data have nothing for."""
    given = [
        str(out / "protocols" / f"{p.name}.yaml") if how == "smaller" and len(group) == 1 else p.name
        for p in group
    ]
    place = out / "eval" / column / group[0].name
    place.mkdir(parents=True, exist_ok=True)
    words = ["eval", str(run), "--protocols", ",".join(given), *data["whole" if how == "whole" else "part"]]
    words += ["--out", str(place), "--cache", str(out / "features")]
    code, seconds, said = command(words, place / "said.txt")
    cell = {"how": how, "seconds": round(seconds / len(group), 1), "command": " ".join(["ssl-av", *words])}
    names = [f"{p.name}@{column}" for p in group]
    if code:
        return {name: {**cell, "status": "failed", "said": f"exit code {code}: {said}"} for name in names}
    results = json.loads((place / "evaluation.json").read_text(encoding="utf-8"))["results"].values()
    found = {}
    for name, result in zip(names, results, strict=True):
        status = "none" if "skipped" in result else "measured"
        found[name] = {**cell, "status": status, "said": result.get("skipped") or ", ".join(numbers(result))}
    return found


def command(words: list[str], said: Path) -> tuple[int, float, str]:
    """`ssl-av` in a forked process: exit code, seconds of the processor, its last line."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1), os.dup2(file, 2)
            os.environ["COLUMNS"] = "200"
            command_line(words)
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else 1
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    _, status, used = os.wait4(child, 0)
    lines = [line for line in said.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return (
        os.waitstatus_to_exitcode(status),
        used.ru_utime + used.ru_stime,
        lines[-1].strip() if lines else "",
    )


def numbers(result: Mapping[str, Any]) -> Iterator[str]:
    """The first number of each side, in per cent."""
    for side, found in result.items():
        key = next((k for k in ("top1", "map", "r1", "p1") if k in found), None)
        if key:
            yield f"{SHORT.get(side, side)} {100 * found[key]:.1f}"


def done(out: Path) -> dict[str, Cell]:
    """The cells that there are, the newest of each name."""
    file = out / "cells.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {cell["name"]: cell for cell in map(json.loads, lines)}


def table(
    asked: list[Protocol], columns: list[str], cells: Mapping[str, Cell], changes: Mapping[str, str]
) -> Iterator[str]:
    """In Markdown, and what was made smaller."""
    yield f"| protocol | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}"
    for p in asked:
        row = [cells[f"{p.name}@{column}"] for column in columns]
        yield f"| `{p.name}` | {' | '.join(map(shown, row))} |"
    yield f"\n{sum(c['seconds'] for c in cells.values()) / 60:.0f} minutes of the processor\n"
    same: dict[str, list[str]] = {}
    for name, change in changes.items():
        if change:
            same.setdefault(change, []).append(name)
    yield from (f"- `{'`, `'.join(names)}`: {change}" for change, names in same.items())


def shown(cell: Cell) -> str:
    """A cell of the table."""
    if cell["status"] == "measured":
        return f"{cell['said']}{MARKS[cell['how']]} ({cell['seconds']:.0f} s)"
    return (
        f"– {cell['said'].removeprefix('the data have ')}"
        if cell["status"] == "none"
        else f"failed: {cell['said']}"
    )


def _said(value: Any) -> str:
    return "open" if value is None else str(value)


if __name__ == "__main__":
    main()
