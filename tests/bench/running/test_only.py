from __future__ import annotations

import pytest

from ssl_av.bench.running.only import only, whole_command
from ssl_av.bench.suite import load_suite
from ssl_av.errors import UserError

PLAN = load_suite("tiny", {"references": ["random"], "seeds": [0, 1]}).plan(["brave", "avid"])


def names(words: list[str]) -> list[str]:
    return [f"{c.method['name']}:{c.seed}" for c in only(PLAN, words)]


def test_a_method_is_all_its_seeds_and_the_order_is_the_plans() -> None:
    assert names(["avid", "brave:1"]) == ["brave:1", "avid:0", "avid:1"]
    assert names([]) == ["random:0", "random:1", "brave:0", "brave:1", "avid:0", "avid:1"]
    assert names(["random:0", "random"]) == ["random:0", "random:1"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("avit", r"unknown run of this suite 'avit'; did you mean avid"),
        ("stica", r"unknown run of this suite 'stica'; "),
        ("avid:7", r"--only avid:7: the suite runs avid with the seeds 0, 1; see --seeds"),
        ("avid:", r"--only avid:: the suite runs"),
        ("avid:one", r"the seeds 0, 1"),
    ],
)
def test_what_the_suite_does_not_have(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        only(PLAN, [word])


@pytest.mark.parametrize("part", ["--only avid:0", "--only=avid", ""])
def test_the_command_of_a_part_makes_the_whole(part: str) -> None:
    command = f"ssl-av bench --methods brave,avid {part} --out 'my runs'"
    assert whole_command(command) == "ssl-av bench --methods brave,avid --out 'my runs'"
