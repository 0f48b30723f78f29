"""Suites whose rows are recipes or variants of methods: what they run, and what they refuse."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from ssl_av.bench.rows import read_suite
from ssl_av.bench.suite import Suite, SuiteFolder, suite_from
from ssl_av.bench.suite import load_suite as load_anew
from ssl_av.cli import build_parser
from ssl_av.config import RunConfig
from ssl_av.errors import UserError
from ssl_av.options import list_configs
from ssl_av.resolve import fit_config, fit_recipe, resolve_suite

SHIPPED = sorted(list_configs("suites"))
OF_RECIPES = [name for name in SHIPPED if name.startswith(("paper-", "ablation-"))]
load_suite = cache(load_anew)
MINE = """\
extends: tiny
name: mine
rows:
  plain: {method: avid}
  cold: {method: avid, temperature: 0.05, label: "τ 0.05", reported: {ucf101: {linear: 51.5}}}
  recipe: crisscross/sync
"""


def write(folder: Path, text: str = MINE) -> str:
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return str(folder / "mine.yaml")


def fitted(recipe: str, *words: str) -> RunConfig:
    """What ``ssl-av fit --recipe`` makes of it."""
    args = build_parser()[1]["fit"].parse_args(["--recipe", recipe, *words])
    return fit_config(args, {}, fit_recipe(args))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_suite_can_be_planned(name: str):
    suite = load_suite(name)
    assert suite.name == name
    rows = suite.asked([]) if suite.rows else ["avid"]
    plan = suite.plan(rows)
    folders = [SuiteFolder.run_folder(Where, config) for config in plan]  # type: ignore[arg-type]
    assert len(set(folders)) == len(plan)
    assert [c.name for c in plan if c.name not in suite.references] == rows
    for config in plan:
        assert RunConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


class Where:
    root = Path("suite")


@pytest.mark.parametrize("name", OF_RECIPES)
def test_a_row_trains_as_its_recipe_does(name: str):
    suite = load_suite(name)
    assert suite.rows
    for row in list(suite.rows)[:: max(len(suite.rows) - 1, 1)]:  # the first and the last
        here = suite.run_config(row, 0)
        there = fitted(here.recipe)
        assert here.method == there.method
        assert here.data == there.data
        assert here.budget == there.budget
        assert here.trainer == there.trainer


@pytest.mark.parametrize("name", [n for n in OF_RECIPES if n.startswith("ablation-")])
def test_every_row_of_an_ablation_has_a_number_of_its_paper(name: str):
    suite = load_suite(name)
    assert suite.paper["table"]
    datasets = {column.split()[0] for column in suite.paper["columns"]}
    for row in suite.rows.values():
        assert datasets & set(row.reported), row.name


def test_every_row_is_its_recipe_at_toy_size_too():
    """`tests/recipes/test_shrink.py` trains these, and `tests/e2e/test_suites.py` runs them as suites."""
    for name in OF_RECIPES:
        suite = resolve_suite(name, None, {}, {}, shrink=True)
        for row in suite.rows:
            here = suite.run_config(row, 0)
            assert here.method == toy(here.recipe).method, f"{name}: {row}"


@cache
def toy(recipe: str) -> RunConfig:
    return fitted(recipe, "--shrink")


def test_shrunk_rows_are_shrunk_recipes():
    suite = resolve_suite("ablation-avid-table1", None, {}, {}, shrink=True)
    assert suite.name == "ablation-avid-table1-shrunk"
    assert suite.data["name"] == "synthav"
    assert suite.budget.asked() == {"steps": 2}
    assert suite.evaluation.protocols == ("linear-svm",)
    assert suite.evaluation.clips == 1
    for row in suite.rows:
        here = suite.run_config(row, 0)
        there = fitted(here.recipe, "--shrink")
        assert (here.method, here.data, here.budget) == (there.method, there.data, there.budget)
        assert here.trainer == there.trainer


def test_options_win_over_rows():
    overrides = {"budget": "samples=64", "methods": {"avid": {"negatives": 5}}}
    suite = resolve_suite("ablation-avid-table1", None, {"batch_size": 8}, overrides, shrink=True)
    for config in suite.plan(suite.asked([])):
        assert config.budget.asked() == {"samples": 64}
        assert config.data["batch_size"] == 8
        assert config.method.get("negatives", 5) == 5
    assert {c.method.get("mode", "cross") for c in suite.plan(["cross", "self", "joint"])} == {
        "cross", "self", "joint",
    }  # fmt: skip


def test_recipes_keep_their_own_budgets_until_there_is_one_for_all():
    own = load_suite("paper-k400")
    asked = {row: own.run_config(row, 0).budget.asked() for row in own.rows}
    assert asked["avid"] == {"epochs": 300}
    assert asked["brave"] == {"steps": 300000}
    assert own.run_config("stica", 0).data["batch_size"] == 512
    assert own.run_config("avid", 0).data["batch_size"] == 256
    one = load_anew("paper-k400", {"budget": "samples=1000000"})
    assert {one.run_config(row, 0).budget.samples for row in one.rows} == {1000000}


def test_rows_of_one_s_own(tmp_path: Path):
    suite = load_anew(write(tmp_path))
    assert isinstance(suite, Suite)
    assert suite.asked([]) == ["plain", "cold", "recipe"]
    assert suite.asked(["cold", "brave"]) == ["cold", "brave"]
    plain, cold, recipe = (suite.run_config(row, 1) for row in suite.asked([]))
    tiny = load_suite("tiny").run_config("avid", 1)
    assert plain.method == tiny.method
    assert cold.method == {**tiny.method, "temperature": 0.05}
    assert (plain.row, cold.row) == ("plain", "cold")
    assert recipe.method["terms"] == ["sync"] or recipe.method["terms"] == ("sync",)
    assert recipe.method["inputs"]["size"] == tiny.method["inputs"]["size"], (
        "the suite's sizes are laid over it"
    )
    assert recipe.data["batch_size"] == 32
    assert suite.rows["cold"].label == "τ 0.05"
    assert suite.rows["cold"].reported == {"ucf101": {"linear": 51.5}}
    assert suite.rows["recipe"].reported["esc50"] == {"linear-2s": 75.8}
    # a row that has its method's name is that method
    same = load_anew(write(tmp_path, "extends: tiny\nname: mine\nrows:\n  avid: {method: avid}\n"))
    assert same.run_config("avid", 1).to_dict() == {**tiny.to_dict(), "suite": "mine"}


def test_a_reference_sees_what_the_first_row_sees():
    suite = load_suite("ablation-avid-table1")
    random, row = suite.run_config("random", 0), suite.run_config("cross", 0)
    assert random.method["inputs"] == row.method["inputs"]
    assert random.method["networks"] == row.method["networks"]
    assert (random.row, random.recipe) == ("", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nrows:\n  a: {recipe: avid/nothing}\n", "unknown recipe 'avid/nothing'"),
        (
            "name: x\nrows:\n  a: {method: avvid}\n",
            "unknown method of row 'a' in .*'avvid'; did you mean avid",
        ),
        ("name: x\nrows:\n  a/b: {method: avid}\n", "row 'a/b' cannot name a folder"),
        ("name: x\nrows:\n  cma: {method: avid}\n", "row 'cma' is of avid"),
        (
            "name: x\nrows:\n  a: {recipe: avid/audioset, method: cma}\n",
            "recipe avid/audioset is of avid, not of cma",
        ),
        (
            "name: x\nrows:\n  a: {method: avid, negative: 3}\n",
            "--rows.a.negative.*did you mean --rows.a.negatives",
        ),
        ("name: x\nrows:\n  a: 3\n", "row 'a' is a recipe or a mapping"),
        ("name: x\nrows: [avid/audioset]\n", "'rows' is a group of settings"),
        ("name: x\nrows:\n  a: {method: avid, reported: 5}\n", "'reported' is data set"),
        ("name: x\nrows:\n  a: {method: avid}\n", "a suite needs 'data'"),
        (
            "name: x\ndata: {name: synthav}\nrows:\n  a: {method: avid}\n  b: avid/audioset\n",
            "a suite needs 'budget'",
        ),
        ("name: x\nrows:\n  a: avid/audioset\n  b: avid/kinetics400\n", "trained on different data"),
        ("extends: tiny\n", "has its own 'name'"),
        ("extends: mine.yaml\nname: x\n", "extends itself"),
        ("extends: tinny\nname: x\n", "unknown suite 'tinny'; did you mean tiny"),
        ("extends: tiny\nname: x\npaper: {tables: 1}\n", "unknown key of 'paper'.*did you mean table"),
        (
            "extends: tiny\nname: x\nrows: {a: avid/audioset}\npaper: {columns: {esc50 linear: linear-svm}}\n",
            "PROTOCOL",
        ),
        (
            "extends: tiny\nname: x\nrows: {a: avid/audioset}\n"
            "paper: {columns: {esc51 linear: linear-svm audio top1}}\n",
            "no row reports, 'esc51 linear'; did you mean esc50 linear",
        ),
    ],
)
def test_what_a_suite_s_file_cannot_say(text: str, said: str, tmp_path: Path):
    with pytest.raises(UserError, match=said):
        load_anew(write(tmp_path, text))


def test_names_that_are_neither_rows_nor_methods():
    suite = load_suite("ablation-avid-table1")
    with pytest.raises(UserError, match="unknown row or method 'jont'; did you mean joint"):
        suite.asked(["jont"])
    with pytest.raises(UserError, match="bench needs --methods"):
        load_suite("tiny").asked([])


def test_only_recipes_shrink(tmp_path: Path):
    with pytest.raises(UserError, match="has no rows that are recipes"):
        read_suite("tiny", shrink=True)
    with pytest.raises(UserError, match=r"row 'plain' of .* comes from none"):
        read_suite(write(tmp_path), shrink=True)


def test_the_folder_tells_the_report_of_its_rows(tmp_path: Path):
    suite = load_suite("ablation-avid-table1")
    SuiteFolder(tmp_path / "a", suite, "hash", suite.asked([]), "cmd")
    told = json.loads((tmp_path / "a" / "suite.json").read_text())
    assert told["rows"]["self"]["label"] == "Self-AVID"
    assert told["rows"]["self"]["reported"]["esc50"]["block4"] == 71.61
    assert told["paper"]["table"] == "AVID, table 1"


def test_a_suite_without_rows_is_what_it_was():
    values = {"name": "x", "data": {"name": "synthav"}, "budget": {"steps": 1}}
    config = suite_from(values, "mine").run_config("avid", 0)
    assert config.to_dict() == {
        "method": {"name": "avid", "inputs": {}, "networks": {}}, "data": {"name": "synthav"}, "budget": {"steps": 1},
        "evaluation": {"protocols": ["linear-svm", "retrieval", "av-retrieval"], "clips": 3, "probes": 4},
        "trainer": {}, "seed": 0, "wandb": "off", "suite": "x", "init": {},
    }  # fmt: skip
