"""Tuning: as many trials for each, on validation only, and the same after an interruption."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from ssl_av.bench.running import tune as tuning
from ssl_av.bench.space import Range, Tune, nested, parse_trials
from ssl_av.bench.suite import Suite, SuiteFolder, load_suite
from ssl_av.cli import main, run
from ssl_av.errors import UserError

pytest.importorskip("optuna")

LR = {"optim.lr": {"log": [1e-4, 1e-2]}}


class Manifest:
    """As much of one as tuning asks for."""

    def __init__(self, labels: list[int], classes: int = 2) -> None:
        self.labels, self.classes = np.array(labels), list(range(classes))

    def split(self, name: str) -> Manifest:
        return self

    def __len__(self) -> int:
        return 480


def suite(**tune: Any) -> Suite:
    return dataclasses.replace(load_suite("tiny"), tune=Tune(**{"trials": 6, "space": LR} | tune))


class Trials:
    """In place of processes: scores are highest at a rate of 3e-3; rates of AVID above it fail."""

    def __init__(self, most: int = 1000) -> None:
        self.configs: list[Any] = []
        self.rounds: list[list[str]] = []
        self.most = most

    def __call__(self, tasks: Any, manifest: Path, jobs: int, board: Any) -> Any:
        self.rounds.append([task.config.method["name"] for task in tasks])
        for task in tasks:
            if len(self.configs) == self.most:
                raise KeyboardInterrupt
            self.configs.append(task.config)
            yield task, self.record(task.config)

    @staticmethod
    def record(config: Any) -> dict[str, Any]:
        lr = config.method["optim"]["lr"]
        spent = {"samples": 2400, "seconds": 2.0, "joules": None}
        record = {
            "budget": {"spent": spent}, "cost": {"total_seconds": 3.0}, "error": None, "status": "completed",
        }  # fmt: skip
        if config.method["name"] == "avid" and lr > 3e-3:
            return record | {"status": "failed", "error": "the loss is nan", "cost": {}}
        score = 1 - abs(math.log10(lr / 3e-3)) / 3
        curves = {"probe_video": [(0, 0.0), (9, score)], "probe_audio": [(9, score)], "knn_video": [(9, 0.0)]}
        return record | {"curves": curves}


@pytest.fixture
def tried() -> Trials:
    """What was tried."""
    return Trials()


def go(found: Suite, out: Path, trials: Trials, methods: tuple[str, ...] = ("brave", "avid")) -> Suite:
    console, plan = Console(file=io.StringIO()), found.plan(methods)
    return tuning.tune(found, plan, Manifest([0, 1]), out / "m", out, 1, console, trials)  # type: ignore[arg-type]


def test_each_method_gets_as_many_trials_and_the_best_is_used(tried, tmp_path: Path):
    before = suite()
    after = go(before, tmp_path, tried)
    names = [c.method["name"] for c in tried.configs]
    assert {n: names.count(n) for n in names} == {"brave": 6, "avid": 6, "supervised": 6}
    for config in tried.configs:
        assert config.evaluation.protocols == (), "the test split is not read"
        assert config.evaluation.probes == 1
        assert config.budget.asked() == {"samples": 2400}, "a quarter"
        assert 1e-4 <= config.method["optim"]["lr"] <= 1e-2
    rates = {n: [c.method["optim"]["lr"] for c in tried.configs if c.method["name"] == n] for n in names}
    assert rates["brave"][0] == 1e-3, "the suite's own first"
    assert rates["avid"][0] == 2e-3
    assert rates["brave"][1:3] == rates["avid"][1:3] == rates["supervised"][1:3], "the same draws for all"
    best = min(rates["brave"], key=lambda lr: abs(math.log10(lr / 3e-3)))
    config = after.run_config("brave", 1)
    assert config.method["optim"] == {**before.run_config("brave", 1).method["optim"], "lr": best}
    assert config.budget == before.budget
    about = config.tuning
    assert about["best"]["settings"] == {"optim.lr": best}
    assert (about["trials"], about["failed"], about["budget"]) == (6, 0, {"samples": 2400})
    assert about["own"] == pytest.approx(1 - math.log10(3) / 3)
    assert about["spent"] == {"samples": 6 * 2400, "seconds": 12.0, "total_seconds": 18.0}
    failed = [lr for lr in rates["avid"] if lr > 3e-3]
    assert after.tuned["avid"]["failed"] == len(failed) > 0
    assert after.run_config("avid", 0).method["optim"]["lr"] == max(lr for lr in rates["avid"] if lr <= 3e-3)
    assert after.run_config("random", 0).tuning == {}
    json.dumps(about)


def test_an_interrupted_tuning_goes_on_as_if_nothing_had_happened(tmp_path: Path):
    whole, cut, rest = Trials(), Trials(most=7), Trials()
    found = go(suite(), tmp_path / "whole", whole).tuned
    assert whole.rounds == [["brave", "avid", "supervised"]] * 6
    with pytest.raises(KeyboardInterrupt):
        go(suite(), tmp_path / "cut", cut)
    assert len(cut.configs) == 7
    assert go(suite(), tmp_path / "cut", rest).tuned == found
    assert len(rest.configs) == 18 - 7, "what was done is not done again"
    assert rest.rounds[0] == ["avid", "supervised"], "the third trial of BraVe was over"
    again = Trials()
    assert go(suite(), tmp_path / "cut", again).tuned == found
    assert again.rounds == []


def test_a_method_of_which_no_trial_succeeds_keeps_its_own_setting(tried, tmp_path: Path):
    found = go(suite(space={"optim.lr": {"uniform": [4e-3, 1e-2]}}), tmp_path, tried, ("avid",))
    assert found.tuned["avid"]["best"] is None
    assert found.tuned["avid"]["own"] is None, "2e-3 is not in the space"
    assert found.tuned["avid"]["failed"] == 6
    assert found.run_config("avid", 0).method["optim"]["lr"] == 2e-3


def test_a_method_s_space_has_more_and_wins(tried, tmp_path: Path):
    more = {"avid": {"optim.lr": {"log": [1e-4, 2e-3]}, "temperature": {"choice": [0.07, 0.15]}}}
    go(suite(methods=more), tmp_path, tried)
    for config in tried.configs:
        assert ("temperature" in json.dumps(config.method)) == (config.method["name"] == "avid")
        if config.method["name"] == "avid":
            assert config.method["temperature"] in (0.07, 0.15)
            assert config.method["optim"]["lr"] <= 2e-3


def test_what_cannot_be_judged_is_refused(tried, tmp_path: Path):
    for manifest in (Manifest([]), Manifest([-1, -1]), Manifest([0, 1], classes=1)):
        plan = suite().plan(["avid"])
        with pytest.raises(UserError, match="no validation split with one label a sample"):
            tuning.tune(suite(), plan, manifest, tmp_path, tmp_path, 1, Console(), tried)  # type: ignore[arg-type]
    assert not tried.configs


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("8", "write it as trials=8"),
        ("trials=0", "at least one trial"),
        ("trials=some", "'some' is not a whole number"),
        ("trials=8,share=2", "tune.share must lie above 0"),
        ("share=0.5", "at least one trial"),
    ],
)
def test_wrong_words_on_the_command_line(given, says):
    with pytest.raises(UserError, match=says):
        run(["bench", "--methods", "avid", "--tune", given])


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"optim.lr": [1e-4, 1e-2]}, r"tune.space.optim.lr: write it as \{log"),
        ({"optim.lr": {"lgo": [1, 2]}}, "did you mean log"),
        ({"optim.lr": {"log": [0, 1]}}, "a lower and a higher end, above 0"),
        ({"optim.lr": {"uniform": [2, 1]}}, "a lower and a higher end"),
        ({"optim.lr": {"log": ["few", 1]}}, "takes numbers"),
        ({"dim": {"choice": []}}, "takes a list"),
        ({"inputs.size": {"int": [32, 64]}}, "are the same for all methods"),
    ],
)
def test_wrong_spaces_are_said_in_one_line(space, says):
    with pytest.raises(UserError, match=says):
        Tune(trials=1, space=space)


@pytest.mark.parametrize(
    ("tune", "says"),
    [
        ({"trails": 3}, "did you mean trials"),
        ({"trials": 1, "space": {"optim.lrr": {"log": [1e-4, 1e-2]}}}, "did you mean"),
        (
            {"trials": 1, "space": {"temperature": {"log": [0.1, 1]}}},
            "unknown option '--methods.brave.temperature'",
        ),
        ({"trials": 1, "methods": {"avdi": LR}}, "unknown method 'avdi'; did you mean avid"),
    ],
)
def test_a_space_is_of_settings_that_the_methods_have(tune, says):
    def checked() -> None:
        found = dataclasses.replace(load_suite("tiny"), tune=Tune.parse("tiny", tune))
        tuning.check_tuning(found, ["brave", "avid"])

    with pytest.raises(UserError, match=says):
        checked()


def test_a_suite_without_a_space_says_how_to_declare_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine\nbudget: {samples: 64}\ndata: {name: synthav}\n")
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--methods", "avid", "--suite", "mine.yaml", "--tune", "trials=2"])
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert "suite mine declares nothing to tune for" in said
    assert not Path("runs").exists()


def test_a_folder_holds_runs_of_one_tuning(tmp_path: Path):
    SuiteFolder(tmp_path, suite(), "hash", ["avid"], "command")
    SuiteFolder(tmp_path, suite(), "hash", ["brave"], "command")
    with pytest.raises(UserError, match=r"differs in tune.trials \(6 there, 3 here\)"):
        SuiteFolder(tmp_path, suite(trials=3), "hash", ["avid"], "command")
    with pytest.raises(UserError, match="differs in tune "):
        SuiteFolder(tmp_path, load_suite("tiny"), "hash", ["avid"], "command")


def test_without_optuna_there_is_one_clear_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs Optuna: pip install 'ssl-av\[tune\]'"):
        tuning.check_tuning(suite(), ["avid"])


def test_words_of_yaml_are_numbers_and_ranges_know_what_they_hold():
    log = Range.parse("x", {"log": ["1e-4", "1e-2"]})
    assert log == Range("log", (1e-4, 1e-2))
    assert log.holds(1e-3)
    assert not log.holds(0.1)
    assert not log.holds("adam")
    assert Range.parse("x", {"int": [1, 3]}).holds(3)
    assert Range.parse("x", {"choice": ["adam", "sgd"]}).holds("sgd")
    assert nested({"optim.lr": 1, "optim.name": "sgd", "dim": 2}) == {
        "optim": {"lr": 1, "name": "sgd"},
        "dim": 2,
    }
    assert parse_trials("trials=8,share=0.5") == {"trials": 8, "share": 0.5}


def test_rows_are_tuned_each_by_itself_and_not_in_what_they_set(tried, tmp_path: Path):
    values = {
        "extends": "tiny", "name": "rows", "references": [], "evaluation": {"figures": True},
        "rows": {"plain": {"method": "avid"}, "cold": {"method": "avid", "temperature": 0.05}},
        "tune": {"trials": 4, "space": LR, "methods": {"avid": {"temperature": {"uniform": [0.1, 0.2]}}}},
    }  # fmt: skip
    file = tmp_path / "rows.yaml"
    file.write_text(json.dumps(values))
    found = load_suite(str(file))
    tuning.check_tuning(found, ["plain", "cold"])
    after = go(found, tmp_path / "out", tried, ("plain", "cold"))
    assert [c.name for c in tried.configs] == ["plain", "cold"] * 4
    assert not any(c.evaluation.figures for c in tried.configs), "they are of the test split"
    assert {c.method["temperature"] for c in tried.configs if c.name == "cold"} == {0.05}
    assert len({c.method["temperature"] for c in tried.configs if c.name == "plain"}) > 1
    for name in ("plain", "cold"):
        config = after.run_config(name, 0)
        for key, value in config.tuning["best"]["settings"].items():
            part = config.method["optim"] if key == "optim.lr" else config.method
            assert part[key.rpartition(".")[2]] == value
    assert after.run_config("avid", 0).tuning == {}, "another row of the same method is as it was"
