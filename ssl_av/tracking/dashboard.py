"""`ssl-av dashboard`: a W&B workspace of comparison panels, from the records of a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ssl_av.bench.records import load_records
from ssl_av.errors import UserError
from ssl_av.tracking.flat import flat
from ssl_av.tracking.settings import Tracking

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

Kind = Literal["bars", "lines", "scatter", "pictures", "table", "parallel", "comparer"]
COSTS = ("cost/train_seconds", "cost/peak_memory_mb", "cost/samples_per_second", "cost/data_wait_share")
CURVES = {"probe_video": "Linear probe, video", "probe_audio": "Linear probe, audio",
          "knn_video": "kNN, video", "knn_audio": "kNN, audio"}  # fmt: skip
STEP = "trainer/global_step"


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        kind: of chart.
        title: shown above it.
        keys: of W&B: what is drawn; the last one of a scatter is its height.
    """

    kind: Kind
    title: str
    keys: tuple[str, ...] = ()


Sections = dict[str, list[Panel]]


def sections(records: Sequence[Mapping[str, Any]]) -> Sections:
    """The panels that these records have something for, by section.

    Args:
        records: of a suite.
    """
    names = sorted({name for r in records for name in flat(r)})
    accuracies = [n for n in names if re.fullmatch(r"results/[^/]+/[^/]+/(top1|map|r1)", n)]
    accuracies.sort(key=lambda name: "linear" not in name)  # the first ones stand beside the settings
    curves = {c for r in records for c in (r.get("curves") or {})}
    collapse = [n for n in names if n.startswith("collapse/")]
    figures = list(dict.fromkeys(name for r in records for name in r.get("figures") or ()))
    out: Sections = {
        "Accuracy": [Panel("bars", _title(n), (n,)) for n in accuracies],
        "Accuracy against cost": [
            Panel("scatter", f"{_title(n)} against training time", ("cost/train_seconds", n))
            for n in accuracies
            if "linear" in n
        ],
        "Learning": [Panel("lines", t, (f"val/{c}",)) for c, t in CURVES.items() if c in curves]
        + [Panel("lines", "Loss", ("loss",))],
        "Collapse": [
            Panel("lines", f"{what} of the embeddings", keys)
            for end, what in (("effective_rank", "Effective rank"), ("std", "Standard deviation"))
            if (keys := tuple(_logged(n) for n in collapse if n.endswith(end)))
        ],
        "Cost": [Panel("bars", _title(n), (n,)) for n in COSTS if n in names],
        "Pictures": [Panel("pictures", "Figures", tuple(f"figures/{Path(n).stem}" for n in figures))] * bool(figures)
        + [
            Panel("table", f"Features, {side}: choose 2D projection", (f"embeddings/{side}",))
            for side in ("video", "audio")
            if f"retrieval-{side}.png" in figures
        ],
        "Settings": [
            Panel("parallel", "Settings and accuracy", ("method.name", *accuracies[:4])),
            Panel("comparer", "What differs between runs"),
        ],
    }  # fmt: skip
    return {name: panels for name, panels in out.items() if panels}


def workspace(made: Sections, suite: str, tracking: Tracking, rows: bool = False) -> Workspace:
    """The panels as a W&B workspace, which is not saved yet.

    Raises:
        UserError: if W&B's package for it is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError:
        raise UserError("a dashboard needs wandb-workspaces: pip install 'ssl-av[dashboard]'") from None

    def panel(p: Panel) -> Any:
        if p.kind == "bars":
            return wr.BarPlot(title=p.title, metrics=[wr.SummaryMetric(p.keys[0])])
        if p.kind == "lines":
            return wr.LinePlot(title=p.title, x=STEP, y=list(p.keys))
        if p.kind == "scatter":
            return wr.ScatterPlot(title=p.title, x=wr.SummaryMetric(p.keys[0]), y=wr.SummaryMetric(p.keys[1]))
        if p.kind == "pictures":
            return wr.MediaBrowser(title=p.title, media_keys=list(p.keys))
        if p.kind == "table":
            return wr.WeavePanelSummaryTable(table_name=p.keys[0])
        if p.kind == "parallel":
            columns = [
                wr.ParallelCoordinatesPlotColumn(wr.Config(k) if "/" not in k else wr.SummaryMetric(k))
                for k in p.keys
            ]
            return wr.ParallelCoordinatesPlot(title=p.title, columns=columns)
        return wr.RunComparer(diff_only="split")

    where = tracking.where()
    return ws.Workspace(
        entity=where["entity"] or "",
        project=where["project"],
        name=f"{suite} comparison",
        sections=[
            ws.Section(name=name, panels=[panel(p) for p in panels], is_open=True)
            for name, panels in made.items()
        ],
        runset_settings=ws.RunsetSettings(
            filters=f"Config('suite') = '{suite}'",
            groupby=[ws.Config("method.name"), *([ws.Config("row")] if rows else [])],
        ),
    )


def show_dashboard(folder: Path, tracking: Tracking, dry_run: bool) -> int:
    """`ssl-av dashboard`: prints the workspace, or makes it and prints its address.

    Raises:
        UserError: for a folder that is no suite's; without an account; if W&B cannot be reached.
    """
    records = load_records(folder)
    try:
        suite = json.loads((folder / "suite.json").read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UserError(f"{folder}/suite.json: cannot be read ({e}); give a suite's folder") from None
    made = sections(records)
    if dry_run:
        _print(made, suite, tracking)
        return 0
    if not tracking.where()["entity"]:
        raise UserError("--entity: say which account or team the dashboard belongs to (or set WANDB_ENTITY)")
    try:
        saved = workspace(made, suite, tracking, any(r.get("row") for r in records)).save()
    except UserError:
        raise
    except Exception as e:  # W&B's client raises many kinds for no network, no right, no project
        line = " ".join(str(e).split())[:200] or type(e).__name__
        raise UserError(f"W&B did not take the dashboard: {line}; --dry-run shows it without W&B") from None
    print(f"dashboard: {saved.url}")
    return 0


def _print(made: Sections, suite: str, tracking: Tracking) -> None:
    from rich.console import Console
    from rich.tree import Tree

    where = tracking.where()
    tree = Tree(
        f"[bold]{suite} comparison[/] in {where['entity'] or 'the default account'}/{where['project']}, "
        f"runs of suite '{suite}' grouped by method"
    )
    for name, panels in made.items():
        branch = tree.add(f"[bold]{name}[/]")
        for p in panels:
            branch.add(f"{p.title} [dim]({p.kind}: {', '.join(p.keys) or 'all settings'})[/]")
    Console().print(tree)


def _title(key: str) -> str:
    parts = key.split("/")
    if parts[0] == "results" and len(parts) == 4:
        return f"{parts[1]}, {parts[2]}: {parts[3]}"
    return parts[-1].replace("_", " ")


def _logged(name: str) -> str:
    """``collapse/video/std``, as a record has it, under the name that the training logs."""
    part, embedding, measure = name.split("/")
    return f"{part}/{embedding}_{measure}"
