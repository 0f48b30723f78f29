"""Budgets, dotted options, suites."""

from __future__ import annotations

import pytest

from ssl_av.bench.suite import SuiteFolder, load_suite, suite_from
from ssl_av.config import Budget, RunConfig, merge
from ssl_av.data.loading import Loading
from ssl_av.errors import UserError
from ssl_av.methods import method_class
from ssl_av.options import check, parse_dotted


def test_budgets_in_steps():
    assert Budget.parse("samples=1000").to_steps(samples_per_epoch=480, batch_size=32) == 31
    assert Budget.parse("steps=7").to_steps(480, 32) == 7
    assert Budget.parse("epochs=2").to_steps(490, 32) == 30
    assert Budget.parse("samples=20_000").asked() == {"samples": 20000}
    with pytest.raises(UserError, match="exactly one of"):
        Budget(samples=1, steps=1)


def test_merge_changes_neither():
    base, over = {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 5}, "d": [2]}
    assert merge(base, over) == {"a": {"b": 5, "c": 2}, "d": [2]}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1]}


def test_dotted_options_are_yaml():
    words = [
        "--data.root",
        "x y",
        "--data.batch_size=8",
        "--method.optim.lr",
        "1.0e-3",
        "--method.terms",
        "[sync]",
    ]
    assert parse_dotted(words, ("data", "method"), ()) == {
        "data": {"root": "x y", "batch_size": 8},
        "method": {"optim": {"lr": 0.001}, "terms": ["sync"]},
    }
    with pytest.raises(UserError, match="unexpected argument 'data'"):
        parse_dotted(["data"], ("data",), ())
    assert parse_dotted(["--data.root=--odd"], ("data",), ()) == {"data": {"root": "--odd"}}


def test_types_are_checked_and_only_what_was_given_comes_back():
    assert check("data", Loading, {"batch_size": 8}) == {"batch_size": 8}
    assert check("data", Loading, {}) == {}
    with pytest.raises(UserError, match=r"--data\.batch_size many: expected int"):
        check("data", Loading, {"batch_size": "many"})


def test_a_wrong_choice_gets_the_near_ones():
    with pytest.raises(UserError, match=r"unknown --method\.relaxation 'mid'; did you mean mild"):
        check("method", method_class("crisscross"), {"relaxation": "mid"})


def test_the_shipped_suite_resolves_and_comes_back_from_its_file(tmp_path):
    suite = load_suite("tiny")
    config = suite.run_config("avid", 3)
    assert config.method["inputs"]["size"] == suite.inputs["size"]
    config.save(tmp_path / "config.yaml")
    import yaml

    assert RunConfig.from_dict(yaml.safe_load((tmp_path / "config.yaml").read_text())) == config


def test_the_plan_has_the_references_around_the_methods():
    suite = load_suite("tiny", {"seeds": [0, 1]})
    plan = [(c.method["name"], c.seed) for c in suite.plan(["cma", "avid", "cma"])]
    names = ["random", "cma", "avid", "supervised"]
    assert plan == [(n, s) for n in names for s in (0, 1)]


def test_a_suite_names_its_wrong_keys():
    with pytest.raises(UserError, match="unknown key in mine 'budgett'; did you mean budget"):
        suite_from({"name": "x", "data": {}, "budgett": {}}, "mine")
    with pytest.raises(UserError, match="mine: a suite needs 'budget'"):
        suite_from({"name": "x", "data": {}}, "mine")


def test_a_suite_s_folder_knows_its_own(tmp_path):
    suite = load_suite("tiny")
    SuiteFolder(tmp_path / "a", suite, "hash", ["avid"], "cmd")
    SuiteFolder(tmp_path / "a", suite, "hash", ["cma"], "cmd")
    other = load_suite("tiny", {"inputs": {"size": 64}})
    with pytest.raises(UserError, match="belongs to another suite, which differs in inputs"):
        SuiteFolder(tmp_path / "a", other, "hash", ["avid"], "cmd")
    with pytest.raises(UserError, match="differs in data_hash"):
        SuiteFolder(tmp_path / "a", suite, "another", ["avid"], "cmd")
