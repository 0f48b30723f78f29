"""Words with a grammar of their own (`--budget`, `--seeds`, `--tune`, `--only`, `--eval`, …) and files of suites and
recipes: any text is what it says, or refused; nothing else is raised, and nothing takes long."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ssl_av.bench.budget import MOST, WHOLE, Budget
from ssl_av.bench.running.only import only
from ssl_av.bench.space import Range, Tune, nested, parse_trials
from ssl_av.bench.suite import Suite, load_suite
from ssl_av.checks import check_seeds
from ssl_av.commands import _jobs, _split, _whole_numbers
from ssl_av.config import Evaluation
from ssl_av.data.loading import Loading
from ssl_av.errors import UserError
from ssl_av.evaluation.places import read_places
from ssl_av.methods import method_class
from ssl_av.options import check
from ssl_av.recipes import load_recipe
from ssl_av.recipes.compose import compose
from ssl_av.text import one_line
from ssl_av.training.safety import Safety

quick = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

NUMBERS = (
    "1", "0", "-1", "1e999", "1e308", "1e-320", "nan", "inf", "9" * 30, "9" * 5000, "1_000", "٣", "0x10", "1.5", " 1",
    "", "true", "null", "0-999999999", "0..9", "[1]", "{a: 1}", "\n", "\udcff", "\x1b[2J", "\u2028", "20000", "4",
    "0.5",
)  # fmt: skip
UNITS = ("samples", "steps", "flops", "minutes", "epochs", "trials", "share", "Steps", "")
NAMES = (
    "avid",
    "avid:0",
    "avid:1",
    "cma",
    "random:٣",
    "AVID",
    ":0",
    "../x",
    "*",
    "esc50:D",
    "csv:F",
    "synthav",
)
KEYS = (
    "as",
    "label",
    "protocols",
    "modalities",
    "folds",
    "batch_size",
    "root",
    "train",
    "limits",
    "name",
    "file",
)
SIGNS = ("=", ",", ":", "+", " ", "==", ";", "[", "]")

#: what the grammars are made of, put together in any order, often in the right one
words = st.lists(st.sampled_from((*NUMBERS, *UNITS, *NAMES, *KEYS, *SIGNS)), max_size=6).map("".join)
amounts = st.tuples(st.sampled_from(UNITS), st.just("="), st.sampled_from(NUMBERS)).map("".join)
lists = st.lists(st.sampled_from((*NUMBERS[:8], *NAMES)), max_size=4).map(",".join)
places = ("synthav", "csv:F", "esc50:D")
placed = st.tuples(st.sampled_from(places), st.sampled_from(KEYS), st.sampled_from(NUMBERS)).map(
    lambda of: f"{of[0]}+{of[1]}={of[2]}"
)
texts = st.text(max_size=20) | words | amounts | lists | placed


def read(what: Callable[[], Any]) -> Any:
    """What was said; None where it is refused, in a line that shows every sign."""
    try:
        return what()
    except UserError as e:
        line = one_line(e)
    assert 0 < len(line) < 2100
    assert {unicodedata.category(sign) for sign in line}.isdisjoint(("Cc", "Cs", "Zl", "Zp"))
    return None


@quick
@given(texts)
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    budget = read(lambda: Budget.parse(text))
    if budget is not None:
        ((unit, value),) = budget.asked().items()
        assert Budget.parse(f"{unit}={value}") == budget
        assert float(text.partition("=")[2].replace("_", "")) == value
        assert isinstance(value, int) and 1 <= value <= MOST if unit in WHOLE else 0 < value < math.inf
        assert budget.scaled(0.25).asked().keys() == budget.asked().keys()
    trials = read(lambda: Tune.parse("it", parse_trials(text)))
    assert trials is None or (trials.trials >= 1 and 0 < trials.share <= 1)
    safety = read(lambda: Safety(checkpoint_every=text))
    assert safety is None or 0 < safety.every[1] < float("inf")
    jobs = read(lambda: _jobs(text))
    assert jobs is None or str(jobs) == text.lstrip("0")


@cache
def tiny() -> Suite:
    return load_suite("tiny", {"seeds": [0, 1]})


@quick
@given(texts)
def test_any_text_is_a_list_or_refused(text: str) -> None:
    seeds = read(lambda: check_seeds("--seeds", _whole_numbers("--seeds", text)))
    assert (
        seeds is None or check_seeds("--seeds", _whole_numbers("--seeds", ",".join(map(str, seeds)))) == seeds
    )
    suite = tiny()
    methods = read(lambda: suite.asked(_split(text)))
    assert methods is None or methods == [word for word in map(str.strip, text.split(",")) if word]
    plan = suite.plan(["avid", "cma"])
    chosen = read(lambda: only(plan, _split(text)))
    assert chosen is None or [c for c in plan if c in chosen] == chosen
    found = read(lambda: read_places(text))
    assert found is None or read_places(list(found)) == found


def test_what_the_grammars_say() -> None:
    assert Budget.parse("samples=٣") == Budget(samples=3)
    for text, says in {
        "samples=1e999": "not a whole number", "steps=1e300": f"at most {MOST}", "minutes=nan": "not a number",
        "minutes=-inf": "not a number", "flops=-1": "trains nothing",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=says):
            Budget.parse(text)
    for given_, says in (
        ({"int": [1, float("inf")]}, "takes numbers"), ({"log": [1, float("inf")]}, "a lower and a higher end"),
        ({"uniform": [float("nan"), 1]}, "a lower and a higher end"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=says):
            Range.parse("it", given_)
    with pytest.raises(UserError, match="are both tuned"):
        nested({"optim.lr": 1, "optim": 2})
    with pytest.raises(UserError, match="are both tuned"):
        nested({"optim": 2, "optim.lr": 1})
    with pytest.raises(UserError, match="at most 100000"):
        parse_trials("trials=1000000000")


@pytest.mark.parametrize(
    ("group", "target", "values", "named"),
    [
        ("data", Loading, {"batch_size": None}, "batch_size"),
        ("evaluation", Evaluation, {"elsewhere": None}, "elsewhere"),
        ("method", method_class("avid"), {"inputs": {"size": None}}, r"inputs\.size"),
        ("method", method_class("avid"), {"optim": None}, "optim"),
    ],
)
def test_nothing_is_no_value_where_one_is_needed(group: str, target: Any, values: Any, named: str) -> None:
    with pytest.raises(UserError, match=rf"--{group}\.{named}: null is no value"):
        check(group, target, values)
    assert check("data", Loading, {"flow": None}) == {"flow": None}


RECIPE = """\
paper: a
reported: {}
follows: paper
training_samples: 1
method: {name: avid}
data: {name: synthav}
budget: {steps: 1}
"""


def test_files_that_extend_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever name: a circle is seen, and so is a tree of two to the power of thirty."""
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("here/a.yaml").write_text(f"extends: ../here/b.yaml\nname: a\n{RECIPE}")
    Path("here/b.yaml").write_text("extends: ../here/a.yaml\nname: b\n")
    with pytest.raises(UserError, match="extends itself"):
        load_recipe("here/a.yaml")
    for file in ("a", "b"):
        Path(f"here/{file}.yaml").write_text(f"name: {file}\nextends: ../here/{'ab'[file == 'a']}.yaml\n")
    with pytest.raises(UserError, match="extends itself"):
        load_suite("here/a.yaml")
    for number in range(30):
        Path(f"{number}.yaml").write_text(f"extends: [{number + 1}.yaml, {number + 1}.yaml]\n")
    Path("30.yaml").write_text(RECIPE)
    with pytest.raises(UserError, match="extends more than 100 files"):
        compose("0.yaml")
    assert compose("25.yaml")["method"] == {"name": "avid"}


@pytest.mark.parametrize(
    "line",
    [
        "paper: 3", "differs: [[a]]", "reported: {ucf101: 3}", "training_samples: a", "training_samples: .inf",
        "method: {name: [avid]}", "data: {name: {a: 1}}", "modalities: {a: 1}", "extends: [[a]]", "budget: [1]",
        'extends: "\\0.yaml"', "follows: []", f"extends: {'a' * 5000}.yaml",
    ],
)  # fmt: skip
def test_recipes_that_hold_something_else(line: str, tmp_path: Path) -> None:
    key = line.partition(":")[0]
    kept = "".join(row for row in RECIPE.splitlines(keepends=True) if not row.startswith(f"{key}:"))
    (tmp_path / "r.yaml").write_text(f"{kept}{line}\n")
    with pytest.raises(UserError, match=r"recipe|cannot be read"):
        load_recipe(str(tmp_path / "r.yaml"))


def test_names_of_files_that_no_file_can_have() -> None:
    for name in ("a" * 5000 + ".yaml", "\0.yaml", "\ud800.yaml", "\ud800", "../tiny"):
        with pytest.raises(UserError, match=r"no such file|unknown suite"):
            load_suite(name)
        with pytest.raises(UserError, match=r"no such file|cannot be read|unknown recipe"):
            load_recipe(name)
