"""A suite: methods, or rows of its own, × seeds under one budget, and which of its runs are done."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ssl_av.bench.analysis.ablation import check_paper
from ssl_av.bench.rows import GROUPS, SuiteRow, read_suite
from ssl_av.bench.runs import INDIFFERENT, run_name
from ssl_av.bench.shape import SUITE, misshapen
from ssl_av.bench.space import Range, Tune, nested, sets
from ssl_av.checks import check_groups, check_seeds, differences
from ssl_av.config import Budget, Evaluation, RunConfig, merge
from ssl_av.errors import UserError, unknown
from ssl_av.lock import NAMES
from ssl_av.options import check
from ssl_av.secret import hide
from ssl_av.text import read_json
from ssl_av.tracking.settings import Tracking
from ssl_av.tracking.tensorboard import check_tensorboard
from ssl_av.training.safety import Safety

ABOUT, PART = "suite.json", "suite.part"
"""What a suite is, and what is left of that where a process died while it wrote it."""

KEYS = ("name", "question", "data", "budget", "inputs", "networks", "evaluation", "references", "seeds", "methods",
        "trainer", "safety", "wandb", "tensorboard", "jobs", "tune", "rows", "paper")  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """What is compared, on what, for how much.

    Attributes:
        name: of the suite.
        question: that it answers, for the report.
        data: the data set, its arguments and how it is loaded.
        budget: of every run that has none of its own.
        inputs: what every backbone sees; laid over each method's own.
        networks: the backbones of every method.
        evaluation: how every run is measured.
        methods: each method's own settings at this size.
        references: rows to compare with.
        seeds: one run of each method for each seed.
        trainer: Lightning trainer arguments.
        safety: how every training is guarded.
        wandb: where runs are logged to (`ssl_av.tracking.Tracking`): a mode, or a mapping with more.
        tensorboard: whether TensorBoard's files are written too.
        jobs: runs at a time, each with its share of the cores.
        rows: what is compared by default, by name: recipes, variants of methods, methods.
        paper: the table of a paper that the rows are of, and which of its columns stands beside which of ours.
        tune: what may be tried of each method, and how often.
        tuned: what was found by that, by row (`ssl_av.bench.running.tune`); the best settings are laid over everything.
    """

    name: str
    data: dict[str, Any]
    budget: Budget
    question: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    evaluation: Evaluation = Evaluation()
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    references: tuple[str, ...] = ("random", "supervised")
    seeds: tuple[int, ...] = (0,)
    trainer: dict[str, Any] = field(default_factory=dict)
    safety: Safety = Safety()
    wandb: str | dict[str, Any] = "off"
    tensorboard: bool = False
    jobs: int = 1
    rows: dict[str, SuiteRow] = field(default_factory=dict)
    paper: dict[str, Any] = field(default_factory=dict)
    tune: Tune = Tune()
    tuned: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run_config(self, name: str, seed: int) -> RunConfig:
        """One run of the suite, resolved: of a row, or of a method, which stands on the first row's footing."""
        row = self.rows.get(name) or self._beside(name)
        own = merge(row.base, {"inputs": self.inputs, "networks": self.networks})
        own = merge(merge(own, self.methods.get(row.method) or {}), row.settings)
        tuning = self.tuned.get(row.name, {})
        if tuning.get("best"):
            own = merge(own, nested(tuning["best"]["settings"]))
        return RunConfig(
            method={"name": row.method, **own},
            data={**row.data, **self.data},
            budget=row.budget or self.budget,
            evaluation=self.evaluation,
            trainer={**row.trainer, **self.trainer},
            seed=seed,
            wandb=self.wandb,
            tensorboard=self.tensorboard,
            suite=self.name,
            recipe=row.recipe,
            row="" if row.name == row.method else row.name,
            tuning=tuning,
            safety=self.safety,
        )

    def space(self, name: str) -> dict[str, Range]:
        """What is tuned of a row: the space of its method, without what the row itself sets."""
        row = self.rows.get(name) or self._beside(name)
        return {key: r for key, r in self.tune.of(row.method).items() if not sets(row.settings, key)}

    def _beside(self, method: str) -> SuiteRow:
        """A method that is no row of the suite: with the views and networks of its first row, the reading too."""
        first = next(iter(self.rows.values()), None)
        if first is None:
            return SuiteRow(method, method, method)
        base = {key: value for key, value in first.base.items() if key in ("inputs", "networks")}
        return replace(first, name=method, method=method, recipe="", base=base, settings={}, reported={})

    def asked(self, names: Sequence[str]) -> list[str]:
        """The rows and methods of these names; without any, the suite's rows.

        Raises:
            UserError: for a name that is neither, one that is given twice, or where there is nothing to run.
        """
        from ssl_av.methods import list_methods

        known = [*self.rows, *list_methods()]
        for name in names:
            if name not in known:
                raise unknown(
                    "row or method" if self.rows else "method", name, known, hint="ssl-av list methods"
                )
            if names.count(name) > 1:
                raise UserError(f"--methods {','.join(names)}: names {name} twice")
        if not names and not self.rows:
            raise UserError(
                "bench needs --methods, e.g. --methods brave,avid,crisscross (`ssl-av list methods`), "
                "or a --suite that has rows (`ssl-av list suites`)"
            )
        return list(names) or list(self.rows)

    def plan(self, methods: Sequence[str]) -> list[RunConfig]:
        """All runs: the untrained reference first, the methods as asked, the other references last."""
        references = [r for r in self.references if r not in methods]
        order = (
            [r for r in references if r == "random"]
            + list(methods)
            + [r for r in references if r != "random"]
        )
        return [self.run_config(m, seed) for m in dict.fromkeys(order) for seed in self.seeds]

    def identity(self, manifest_hash: str) -> dict[str, Any]:
        """What must be equal for runs to stand in one table."""
        one = self.run_config("random", 0).to_dict()
        shared = {k: one[k] for k in ("data", "budget", "evaluation", "trainer")}
        for group, names in INDIFFERENT.items():
            shared[group] = {k: v for k, v in shared[group].items() if k not in names}
        tuning = dataclasses.asdict(self.tune) if self.tune.trials else None
        own = {"tune": tuning, "inputs": self.inputs, "networks": self.networks}
        return shared | own | {"data_hash": manifest_hash}


def load_suite(name: str, overrides: Mapping[str, Any] | None = None) -> Suite:
    """A shipped suite or a file, with what the command line changes.

    Raises:
        UserError: for a suite, a key or a value that does not exist or fit.
    """
    values, where = read_suite(name)
    return suite_from(merge(values, overrides or {}), where)


def suite_from(values: Mapping[str, Any], where: str) -> Suite:
    """A suite from a mapping; ``where`` names it in error messages."""
    for key in values:
        if key not in KEYS:
            raise unknown(f"key in {where}", key, KEYS)
    known = dict(values)
    rows: dict[str, SuiteRow] = known.get("rows") or {}
    if "budget" in values:  # one for all: what the rows' recipes spend does not count
        known["rows"] = {name: replace(row, budget=None) for name, row in rows.items()}
    elif rows and all(row.budget for row in rows.values()):
        known["budget"] = next(iter(rows.values())).budget.asked()  # type: ignore[union-attr]
    for key in ("name", "data", "budget"):
        if key not in known:
            raise UserError(f"{where}: a suite needs '{key}'")
    check_groups(where, values, GROUPS)
    check_paper(where, known.get("paper") or {}, [row.reported for row in rows.values()])
    budget = known["budget"]
    if not isinstance(budget, (str, Mapping)):
        raise UserError(f"{where}: budget is UNIT=NUMBER or {{unit: number}}, got {budget!r}")
    if isinstance(budget, str):
        known["budget"] = Budget.parse(budget)
    else:
        known["budget"] = Budget(**check("budget", Budget, budget))
    known["tune"] = Tune.parse(where, known.get("tune") or {})
    known["evaluation"] = Evaluation(**check("evaluation", Evaluation, known.get("evaluation") or {}))
    known["safety"] = Safety(**check("safety", Safety, known.get("safety") or {}))
    for key in ("references", "seeds"):
        if key in known:
            if not isinstance(known[key], (list, tuple)):
                raise UserError(f"{where}: {key} is a list, got {known[key]!r}")
            known[key] = tuple(known[key])
    check_seeds("seeds", known.get("seeds", (0,)))
    known["wandb"] = Tracking.of(known.get("wandb", "off")).value()
    if not isinstance(known.get("tensorboard", False), bool):
        raise UserError(f"{where}: tensorboard is true or false, got {known['tensorboard']!r}")
    if known.get("tensorboard"):
        check_tensorboard()
    jobs = known.get("jobs", 1)
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise UserError(f"{where}: jobs is a number of runs at a time, at least 1, got {jobs!r}")
    return Suite(**known)


class SuiteFolder:
    """A suite's folder: one folder a run, ``suite.json``, ``records.jsonl``, the report.

    Args:
        root: the folder; made if it is not there.

    Raises:
        UserError: as `before`.
    """

    def __init__(
        self, root: Path, suite: Suite, manifest_hash: str, methods: Sequence[str], command: str
    ) -> None:
        self.root, self.suite = root, suite
        old = before(root, suite, manifest_hash)
        root.mkdir(parents=True, exist_ok=True)
        # Methods and seeds may come one after the other: it takes all these commands to have the whole again.
        commands = {
            **(old.get("commands") or {}),
            f"{','.join(methods)} {','.join(map(str, suite.seeds))}": hide(command),
        }
        description = {
            "name": suite.name, "question": suite.question,
            "methods": list(dict.fromkeys([*(old.get("methods") or []), *methods])), "seeds": list(suite.seeds),
            "budget": suite.budget.asked(), "data": suite.data, "command": "\n".join(commands.values()),
            "commands": commands, "identity": json.loads(json.dumps(suite.identity(manifest_hash))),
        }  # fmt: skip
        if suite.rows:
            description |= {
                "rows": {name: row.told() for name, row in suite.rows.items()},
                "paper": suite.paper,
            }
        part = root / PART
        part.write_text(json.dumps(description, indent=1), encoding="utf-8")
        part.replace(root / ABOUT)

    def run_folder(self, config: RunConfig) -> Path:
        """Where a run lives."""
        return self.root / run_name(config)


def before(root: Path, suite: Suite, manifest_hash: str | None = None) -> dict[str, Any]:
    """What suite.json says of the suite that a folder holds; nothing where there is none yet. Writes nothing.

    Args:
        root: the folder.
        suite: what is to go on in it.
        manifest_hash: of the suite's data, where it is known.

    Raises:
        UserError: if it holds something else, or a suite that cannot share a table with this one.
    """
    about = root / ABOUT
    if root.is_file():
        raise UserError(f"--out {root}: is a file; give a folder")
    if not about.is_file():
        if root.is_dir() and {p.name for p in root.iterdir()} - NAMES - {PART}:
            raise UserError(f"--out {root}: holds other files and no suite; give a new or empty folder")
        return {}
    old: dict[str, Any] = read_json(about)
    if misshapen(old, SUITE):
        raise UserError(f"{about}: does not say what a suite is; mend it, or give another --out")
    new = json.loads(json.dumps(suite.identity(manifest_hash or "")))
    if manifest_hash is None:
        del new["data_hash"]
    there = old.get("identity") or {}
    found = list(differences({key: there.get(key) for key in new}, new))
    if found:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UserError(
            f"--out {root}: belongs to another suite, which differs in {'; '.join(found[:5])}{more}; "
            "give another --out"
        )
    return old
