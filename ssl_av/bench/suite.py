"""A suite: methods × seeds under one budget, and which of its runs are done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_av.bench.lock import NAMES
from ssl_av.bench.runs import run_name
from ssl_av.checks import check_groups, check_seeds, differences
from ssl_av.config import Budget, Evaluation, RunConfig, load_yaml, merge
from ssl_av.errors import UserError, unknown
from ssl_av.options import check, config_file
from ssl_av.safety import Safety
from ssl_av.tracking.settings import Tracking

ABOUT, PART = "suite.json", "suite.part"
"""What a suite is, and what is left of that where a process died while it wrote it."""

GROUPS = ("data", "inputs", "networks", "evaluation", "methods", "trainer", "safety")
KEYS = ("name", "question", "data", "budget", "inputs", "networks", "evaluation", "references", "seeds", "methods",
        "trainer", "safety", "wandb", "jobs")  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """What is compared, on what, for how much.

    Attributes:
        name: of the suite.
        question: that it answers, for the report.
        data: the data set, its arguments and how it is loaded.
        budget: of every run.
        inputs: what every backbone sees; laid over each method's own.
        networks: the backbones of every method.
        evaluation: how every run is measured.
        methods: each method's own settings at this size.
        references: rows to compare with.
        seeds: one run of each method for each seed.
        trainer: Lightning trainer arguments.
        safety: how every training is guarded.
        wandb: where runs are logged to (`ssl_av.tracking.Tracking`): a mode, or a mapping with more.
        jobs: runs at a time, each with its share of the cores.
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
    jobs: int = 1

    def run_config(self, method: str, seed: int) -> RunConfig:
        """One run of the suite, resolved."""
        own = merge({"inputs": self.inputs, "networks": self.networks}, self.methods.get(method) or {})
        return RunConfig(
            method={"name": method, **own},
            data=self.data,
            budget=self.budget,
            evaluation=self.evaluation,
            trainer=self.trainer,
            seed=seed,
            wandb=self.wandb,
            suite=self.name,
            safety=self.safety,
        )

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
        # How fast data arrive, and what is drawn, does not change a result.
        shared["data"] = {k: v for k, v in shared["data"].items() if k != "num_workers"}
        shared["evaluation"] = {k: v for k, v in shared["evaluation"].items() if k != "figures"}
        return shared | {"inputs": self.inputs, "networks": self.networks, "data_hash": manifest_hash}


def load_suite(name: str, overrides: Mapping[str, Any] | None = None) -> Suite:
    """A shipped suite or a file, with what the command line changes.

    Raises:
        UserError: for a suite, a key or a value that does not exist or fit.
    """
    path = config_file("suites", name)
    values = merge(load_yaml(path), overrides or {})
    # Another data set does not inherit the arguments of the one that it replaces, only how data are loaded.
    return suite_from(values, str(path))


def suite_from(values: Mapping[str, Any], where: str) -> Suite:
    """A suite from a mapping; ``where`` names it in error messages."""
    for key in values:
        if key not in KEYS:
            raise unknown(f"key in {where}", key, KEYS)
    for key in ("name", "data", "budget"):
        if key not in values:
            raise UserError(f"{where}: a suite needs '{key}'")
    check_groups(where, values, GROUPS)
    known = dict(values)
    budget = known["budget"]
    if not isinstance(budget, (str, Mapping)):
        raise UserError(f"{where}: budget is UNIT=NUMBER or {{unit: number}}, got {budget!r}")
    if isinstance(budget, str):
        known["budget"] = Budget.parse(budget)
    else:
        known["budget"] = Budget(**check("budget", Budget, budget))
    known["evaluation"] = Evaluation(**check("evaluation", Evaluation, known.get("evaluation") or {}))
    known["safety"] = Safety(**check("safety", Safety, known.get("safety") or {}))
    for key in ("references", "seeds"):
        if key in known:
            if not isinstance(known[key], (list, tuple)):
                raise UserError(f"{where}: {key} is a list, got {known[key]!r}")
            known[key] = tuple(known[key])
    check_seeds("seeds", known.get("seeds", (0,)))
    known["wandb"] = Tracking.of(known.get("wandb", "off")).value()
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
            **old.get("commands", {}),
            f"{','.join(methods)} {','.join(map(str, suite.seeds))}": command,
        }
        description = {
            "name": suite.name, "question": suite.question,
            "methods": list(dict.fromkeys([*old.get("methods", []), *methods])), "seeds": list(suite.seeds),
            "budget": suite.budget.asked(), "data": suite.data, "command": "\n".join(commands.values()),
            "commands": commands, "identity": json.loads(json.dumps(suite.identity(manifest_hash))),
        }  # fmt: skip
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
    try:
        old: dict[str, Any] = json.loads(about.read_text(encoding="utf-8"))
    except ValueError as e:
        raise UserError(f"{about}: is not JSON ({e}); mend it, or give another --out") from None
    new = json.loads(json.dumps(suite.identity(manifest_hash or "")))
    if manifest_hash is None:
        del new["data_hash"]
    there = old.get("identity", {})
    found = list(differences({key: there.get(key) for key in new}, new))
    if found:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UserError(
            f"--out {root}: belongs to another suite, which differs in {'; '.join(found[:5])}{more}; "
            "give another --out"
        )
    return old
