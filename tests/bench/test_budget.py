"""What a budget is, and how many steps it buys."""

from __future__ import annotations

import pytest

from ssl_av.bench.budget import Budget
from ssl_av.config import RunConfig
from ssl_av.errors import UserError


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("samples=20_000", {"samples": 20_000}),
        ("samples=1e4", {"samples": 10_000}),
        ("steps=7", {"steps": 7}),
        ("flops=1e12", {"flops": 1e12}),
        ("flops=2.5e12", {"flops": 2.5e12}),
        ("minutes=0.5", {"minutes": 0.5}),
        ("epochs=2", {"epochs": 2}),
    ],
)
def test_every_unit_can_be_asked_for_and_comes_back_from_its_file(text, asked, tmp_path):
    budget = Budget.parse(text)
    assert budget.asked() == asked
    config = RunConfig({"name": "avid"}, {"name": "synthav"}, budget)
    config.save(tmp_path / "config.yaml")
    import yaml

    assert RunConfig.from_dict(yaml.safe_load((tmp_path / "config.yaml").read_text())).budget == budget


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("samples", "write it as UNIT=NUMBER"),
        ("flop=1e9", "did you mean flops"),
        ("samples=1.5", "'1.5' is not a whole number"),
        ("samples=0", "trains nothing; give at least 1"),
        ("flops=much", "'much' is not a number"),
        ("flops=nan", "'nan' is not a number"),
        ("flops=inf", "'inf' is not a number"),
        ("minutes=0", "trains nothing; give more than 0"),
        ("minutes=-3", "trains nothing; give more than 0"),
    ],
)
def test_a_wrong_budget_is_said_in_one_line(text, says):
    with pytest.raises(UserError, match=says) as error:
        Budget.parse(text)
    assert "\n" not in str(error.value)


def test_whole_steps_that_there_is_room_for():
    assert Budget(samples=1000).to_steps(480, 32) == 31
    assert Budget(samples=1000).to_steps(480, 32, accumulated=4) == 7
    assert Budget(epochs=2).to_steps(490, 32) == 30
    assert Budget(epochs=2).to_steps(490, 32, accumulated=4) == 2 * 4, (
        "the last step of an epoch is a short one"
    )
    assert Budget(steps=7).to_steps(480, 32) == 7
    assert Budget(flops=1e12).to_steps(480, 32, flops=3e11) == 3
    assert Budget(flops=9e11).to_steps(480, 32, flops=3e11) == 3
    assert Budget(minutes=3).to_steps(480, 32) is None


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        (Budget(samples=31), "samples=31 is less than one batch of 32"),
        (Budget(flops=1e9), r"flops=1e\+09 is less than one step of 3e\+09"),
    ],
)
def test_less_than_one_step_is_refused(budget, says):
    with pytest.raises(UserError, match=says):
        budget.to_steps(480, 32, flops=3e9)


def test_operations_that_cannot_be_counted_are_no_budget():
    with pytest.raises(UserError, match="cannot be counted"):
        Budget(flops=1e9).to_steps(480, 32)


def test_a_share_of_a_budget():
    assert Budget(samples=9600).scaled(0.25) == Budget(samples=2400)
    assert Budget(epochs=1).scaled(0.25) == Budget(epochs=1)
    assert Budget(minutes=10).scaled(0.25) == Budget(minutes=2.5)
