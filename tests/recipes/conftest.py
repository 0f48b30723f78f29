"""Runs of recipes, resolved as `ssl-av fit --recipe` does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssl_av.cli import build_parser
from ssl_av.commands import _fit_config, _recipe
from ssl_av.config import RunConfig
from ssl_av.options import parse_dotted

Resolve = Callable[..., RunConfig]


@pytest.fixture(scope="session")
def resolved() -> Resolve:
    """``resolved("avid/kinetics400", "--shrink")`` is the run that the command line would make of it."""

    def resolve(name: str, *words: str) -> RunConfig:
        parser = build_parser()[1]["fit"]
        args, rest = parser.parse_known_args(["--recipe", name, *words])
        dotted = parse_dotted(rest, ("method", "data", "trainer", "evaluation"), parser.options())
        return _fit_config(args, dotted, _recipe(args))

    return resolve
