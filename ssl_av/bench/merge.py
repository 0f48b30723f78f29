"""`ssl-av report DIR DIR2 …`: one report of several suites, where their numbers can stand in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_av.bench.analysis.comparable import check_comparable
from ssl_av.bench.analysis.groups import REFERENCES, seed
from ssl_av.bench.records import FILE, append_record, read_records, row_name
from ssl_av.bench.report import read_suite, write_report
from ssl_av.bench.suite import ABOUT
from ssl_av.checks import check_folder
from ssl_av.errors import UserError

Record = Mapping[str, Any]


def report(folders: Sequence[Path], out: Path | None) -> int:
    """Writes the report of a suite in its folder, or that of several in a folder of their own.

    Raises:
        UserError: if a folder is no suite's, or the suites cannot share a table.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; give the folder that `ssl-av bench` wrote")
    if len(folders) > 1 and out is None:
        raise UserError(f"a report of {len(folders)} suites needs a folder of its own: add --out DIR")
    target = out or folders[0]
    check_folder("--out" if out else "report", target)
    if out is not None:
        merge_suites(folders, out)
    print(f"report: {write_report(target)}")
    return 0


def merge_suites(folders: Sequence[Path], out: Path) -> None:
    """Writes the records of several suites, and a suite.json that says where they come from.

    The same run in two suites with the same results is one. References (untrained, supervised) that came out
    otherwise in another suite are those of the first suite that has them, and the report says so.

    Args:
        folders: of the suites.
        out: an empty folder, one that is not there, or one with an earlier merge.

    Raises:
        UserError: if results are by different protocols, if two suites hold one run with different results, or if
            ``out`` holds something else.
    """
    if any(out.resolve() == folder.resolve() for folder in folders):
        raise UserError(f"--out {out}: is one of the suites; give a folder of its own")
    if out.is_dir() and any(out.iterdir()) and "merged" not in read_suite(out):
        raise UserError(f"--out {out}: holds other files; give a new or empty folder")
    kept: dict[tuple[str, int], tuple[Record, Path]] = {}
    remarks = []
    for folder in folders:
        for record in read_records(folder).records:
            key = row_name(record), seed(record)
            if key not in kept or _completed(record) > _completed(kept[key][0]):
                kept[key] = record, folder
            elif _completed(record) and record.get("results") != kept[key][0].get("results"):
                remarks.append(_other_results(key, kept[key][1], folder))
    records = [record for record, _ in kept.values()]
    check_comparable(records)
    suites = [read_suite(folder) for folder in folders]
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).unlink(missing_ok=True)
    for one in records:
        append_record(out, one)
    about = {
        "name": " + ".join(
            dict.fromkeys(str(s.get("name") or f.name) for s, f in zip(suites, folders, strict=True))
        ),
        "question": _same(suites, "question") or "",
        "methods": list(dict.fromkeys(m for s in suites for m in s.get("methods") or ())),
        "budget": _same(suites, "budget"),
        "command": "\n".join(dict.fromkeys(str(s["command"]) for s in suites if s.get("command"))),
        "merged": _homes(folders, suites),
        "remarks": [f"Runs of {len(folders)} suites: {', '.join(map(str, folders))}.", *remarks],
    }
    rows = {name: row for s in reversed(suites) for name, row in (s.get("rows") or {}).items()}
    if rows:
        papers = [s["paper"] for s in suites if s.get("paper")]
        same = papers and all(paper == papers[0] for paper in papers)
        about |= {"rows": rows, "paper": papers[0] if same else {}}
    (out / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _homes(folders: Sequence[Path], suites: Sequence[Record]) -> list[str]:
    """Where the runs lie, wherever the report is written again: what is merged may be a merge itself."""
    pairs = zip(folders, suites, strict=True)
    return list(
        dict.fromkeys(home for f, s in pairs for home in (str(f.resolve()), *(s.get("merged") or ())))
    )


def _completed(record: Record) -> bool:
    return record.get("status") == "completed"


def _other_results(key: tuple[str, int], first: Path, second: Path) -> str:
    method, at = key
    if method not in REFERENCES:
        raise UserError(
            f"{first} and {second} both hold {method} seed {at}, with different results; report them apart, or give "
            "one of the suites other --seeds"
        )
    return f"{REFERENCES[method]} (seed {at}) has other results in {second}; shown are those of {first}."


def _same(suites: Sequence[Record], key: str) -> Any:
    values = [suite.get(key) for suite in suites]
    return values[0] if all(value == values[0] for value in values) else None
