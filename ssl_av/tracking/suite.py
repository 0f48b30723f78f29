"""A suite's own W&B run: the table of all runs and the report, in the group of the runs that they are about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_av.bench.records import load_records, row_name
from ssl_av.tracking.flat import Flat, flat
from ssl_av.tracking.runs import run_id
from ssl_av.tracking.settings import Tracking


def log_suite(folder: Path, tracking: Tracking) -> None:
    """Logs a suite's comparison. The same folder logged again continues the same W&B run.

    Args:
        folder: of the suite, with its records and report.
        tracking: where to.
    """
    import wandb

    records = load_records(folder)
    about = json.loads((folder / "suite.json").read_text(encoding="utf-8"))
    columns, rows = comparison(records)
    run = wandb.init(
        **tracking.where(), name=f"{about['name']} (comparison)", group=about["name"], job_type="suite",
        tags=tracking.tags, id=run_id(folder), resume="allow", dir=str(folder),
        config={k: about.get(k) for k in ("name", "question", "methods", "seeds", "budget", "data")},
        settings=wandb.Settings(silent=True),
    )  # fmt: skip
    try:
        logged: dict[str, Any] = {"comparison": wandb.Table(columns=[*columns], data=rows)}
        report = folder / "report.html"
        if report.is_file():
            logged["report"] = wandb.Html(report.read_text(encoding="utf-8"), inject=False)
        run.log(logged)
        done = sum(r.get("status") == "completed" for r in records)
        run.summary.update({"runs": len(records), "completed": done})
    finally:
        run.finish()


def comparison(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """A row a run, a column for each name that any of them has; null where a run lacks it.

    Returns:
        (columns, rows); the first columns are method (or the suite's row) and seed.
    """
    found: list[Flat] = [flat(r) for r in records]
    names = list(dict.fromkeys(name for one in found for name in one))
    rows = [
        [row_name(r), r.get("seed", 0), *(one.get(name) for name in names)]
        for r, one in zip(records, found, strict=True)
    ]
    return ["method", "seed", *names], rows
