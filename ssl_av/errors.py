"""What a user did wrong, said in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 100
"""Signs of a name that are compared with the names that exist: comparing takes their square."""


class UserError(Exception):
    """A mistake of the user's: one line that says what, where and how to mend it.

    The command line prints the message without a traceback and exits with code 2.
    """


def unknown(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> UserError:
    """An error for a name that does not exist, with the nearest ones that do.

    Args:
        kind: what was asked for, e.g. ``"method"``.
        name: the name that was given.
        known: every name that would have been right.
        hint: where to see them all, e.g. ``"ssl-av list methods"``.
    """
    names, name = sorted(known), str(name)  # of a file it may be anything
    near = difflib.get_close_matches(name.lower()[:LONGEST], names, n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(near)}?" if near else f"; known: {', '.join(names)}"
    more = f" (`{hint}` shows all)" if hint and near else ""
    return UserError(f"unknown {kind} '{name}'{guess}{more}")


class Agreed(UserError):
    """Ends a training on all its processes alike; the first one says it."""


class NotFinite(Agreed):
    """A training came upon NaN or infinity."""


class WeightNotFinite(NotFinite):
    """A weight is NaN or infinite: no batch is to blame, and none that comes after can mend it."""


class Interrupted(SystemExit):
    """A signal ended the command, and nothing is lost: exit code 128 + the signal's number, as of a shell.

    Attributes:
        number: the signal.
        said: what the command line says.
    """

    def __init__(self, number: int, said: str) -> None:
        super().__init__(128 + number)
        self.number = number
        self.said = said


class Dismissed(SystemExit):
    """Ends a process that is not the first of its training: what is left to do and to say is that one's."""

    def __init__(self) -> None:
        super().__init__(0)
