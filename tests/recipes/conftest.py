"""Runs of recipes, resolved as `ssl-av fit --recipe` does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from ssl_av.cli import build_parser
from ssl_av.config import RunConfig
from ssl_av.options import parse_dotted
from ssl_av.resolve import fit_config, fit_recipe

Resolve = Callable[..., RunConfig]


@pytest.fixture(scope="session")
def resolved() -> Resolve:
    """``resolved("avid/kinetics400", "--shrink")`` is the run that the command line would make of it."""

    parser = build_parser()[1]["fit"]

    @cache
    def resolve(name: str, *words: str) -> RunConfig:
        args, rest = parser.parse_known_args(["--recipe", name, *words])
        dotted = parse_dotted(rest, ("method", "data", "trainer", "evaluation"), parser.options())
        return fit_config(args, dotted, fit_recipe(args))

    return resolve
