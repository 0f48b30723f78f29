"""`--only`: a part of a suite's runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ssl_av.config import RunConfig
from ssl_av.errors import UserError, unknown


def only(plan: Sequence[RunConfig], wanted: Sequence[str]) -> list[RunConfig]:
    """The runs that ``wanted`` names, in the order of the plan; all of them where it is empty.

    Args:
        plan: all runs of a suite.
        wanted: ``METHOD`` for all its seeds, or ``METHOD:SEED``.

    Raises:
        UserError: for a method or a seed that the suite does not have.
    """
    if not wanted:
        return list(plan)
    chosen: set[tuple[str, int]] = set()
    for word in wanted:
        method, colon, seed = word.partition(":")
        seeds = [c.seed for c in plan if c.name == method]
        if not seeds:
            names = dict.fromkeys(c.name for c in plan)
            raise unknown("run of this suite", method, names)
        if colon and seed not in map(str, seeds):
            have = ", ".join(map(str, seeds))
            raise UserError(f"--only {word}: the suite runs {method} with the seeds {have}; see --seeds")
        chosen |= {(method, s) for s in seeds if not colon or str(s) == seed}
    return [c for c in plan if (c.name, c.seed) in chosen]


def whole_command(command: str) -> str:
    """The command without what limits it to a part of the runs: it makes the whole suite again."""
    words = shlex.split(command)
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before != "--only" and word != "--only" and not word.startswith("--only=")
    ]
    return shlex.join(kept)
