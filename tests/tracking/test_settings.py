"""Where runs are logged to."""

from __future__ import annotations

import argparse

import pytest

from ssl_av.errors import UserError
from ssl_av.tracking import Tracking
from ssl_av.tracking.commands import add_options, options


def test_a_mode_alone_stays_a_mode() -> None:
    assert Tracking.of("offline").value() == "offline"
    assert Tracking.of(False).mode == "off"  # what YAML makes of a bare off
    whole = {"mode": "online", "project": "mine", "tags": ["a"]}
    assert Tracking.of(whole).value() == whole


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ofline", "did you mean offline"),
        ({"mode": "offline", "projekt": "x"}, "did you mean project"),
        ({"project": "x"}, "need a mode"),
        ({"mode": "offline", "tags": "a"}, "wandb.tags"),
        ({"mode": "offline", "tags": [""]}, "1 to 64 characters"),
    ],
)
def test_bad_values_are_refused(value: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Tracking.of(value)


def test_the_environment_names_project_and_entity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    assert Tracking("online").where() == {"mode": "online", "project": "theirs", "entity": None}
    assert Tracking("online", project="mine").where()["project"] == "mine"


def test_options_are_laid_over_a_configuration() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert options(parser.parse_args([])) == {}
    given = parser.parse_args(["--wandb", "offline", "--wandb-tags", "a, b,"])
    assert options(given) == {"wandb": {"mode": "offline", "tags": ["a", "b"]}}
