"""Every ablation suite at toy size, from the command line to the paper's table beside ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssl_av.bench import launch, report
from ssl_av.bench.records import load_records, row_name
from ssl_av.bench.suite import load_suite
from ssl_av.cli import run
from ssl_av.config import RunConfig
from ssl_av.data.manifest import Manifest
from ssl_av.options import list_configs
from ssl_av.recipes import load_recipe
from ssl_av.runs.run import execute
from ssl_av.training import spending

ABLATIONS = sorted(name for name in list_configs("suites") if name.startswith("ablation-"))
TOY = ["--shrink", "--budget", "steps=1", "--data.train", "12"]
#: a step at the papers' rates, for batches of 512, can take networks of 8 channels to infinity
FAST = ("stica", "brave")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs in this process, and a run that several suites have only once; no figures."""
    done: dict[str, dict[str, Any]] = {}

    def one(config: RunConfig, manifest: Path, out: Path, *_: Any) -> dict[str, Any]:
        key = json.dumps({**config.to_dict(), "suite": "", "row": ""})
        if key not in done:
            done[key] = execute(config, Manifest.load(manifest), out)
        record = {**done[key], "suite": config.suite, "row": config.row}
        return record if config.row else {k: v for k, v in record.items() if k != "row"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_AV_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(launch, "run_in_process", one)
        patch.setattr(report, "PLOTS", {})
        # tests/recipes/test_dry_run.py counts those of every recipe: it takes longer than a step of them
        patch.setattr(spending, "step_flops", lambda make, batch_size: 10**9 * batch_size)
        yield


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Experiment logs directory")
@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_runs_shrunk(name: str, here: None, tmp_path: Path):
    """Its first and its last row: tests/recipes trains every recipe, tests/bench/test_rows.py plans every row."""
    out, suite = tmp_path / "suite", load_suite(name)
    rows = list(suite.rows.values())[:: len(suite.rows) - 1]
    chosen = ["--methods", ",".join(row.name for row in rows)]
    slowly = [
        w for m in FAST if any(r.method == m for r in rows) for w in (f"--methods.{m}.optim.lr", "0.001")
    ]
    assert run(["bench", "--suite", name, *TOY, *slowly, *chosen, "--out", str(out)]) == 0
    records = {row_name(r): r for r in load_records(out)}
    assert set(records) == {*suite.references, *(row.name for row in rows)}
    assert {r["status"] for r in records.values()} == {"completed"}
    for row in rows:
        assert records[row.name]["method"] == row.method
        assert records[row.name]["recipe"] == row.recipe
        measured = records[row.name]["results"]["linear-svm"]
        assert measured.keys() >= set(load_recipe(row.recipe).modalities)
        assert all(0 <= numbers["top1"] <= 1 for numbers in measured.values())
    text = (out / "report.md").read_text(encoding="utf-8")
    assert f"## {suite.paper['table']}, beside ours" in text
    for row in rows:
        assert f"| {row.label} " in text


def test_the_words_of_bench_about_rows(ssl_av, tmp_path: Path):
    listed = ssl_av("list", "suites")
    assert listed.returncode == 0
    for name in (*ABLATIONS, "tiny", "small", "paper-k400", "paper-audioset"):
        assert name in listed.stdout
    bad = ssl_av("bench", "--suite", "ablation-avid-table1", "--shrink", "--methods", "jont")
    assert bad.returncode == 2
    assert "unknown row or method 'jont'; did you mean joint" in bad.stderr
    none = ssl_av("bench", "--suite", "tiny", "--shrink")
    assert none.returncode == 2
    assert "has no rows that are recipes" in none.stderr
    assert not (tmp_path / "runs").exists()
