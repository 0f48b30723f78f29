"""`ssl-av data`: one file a tool, found by its file name.

A file ``<name>.py`` here is the tool ``ssl-av data <name>``. The first line of its docstring is its help; it holds
``add_arguments(parser)`` and ``run(args, rest) -> int``, where ``rest`` are the words that the parser does not know
(the arguments of a data set, for `dataset_words`). Heavy imports stay inside ``run``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

from ssl_av.discovery import first_lines
from ssl_av.errors import UserError, unknown
from ssl_av.parser import Parser


def list_tools() -> dict[str, str]:
    """Names of all tools with the first line of their documentation."""
    return first_lines(__path__[0])


class Words(list[str]):
    """Words that a tool's parser does not know, with the options that it does know, for suggestions."""

    def __init__(self, words: Sequence[str], options: Sequence[str]) -> None:
        super().__init__(words)
        self.options = [option for option in options if option != "--help"]


def run_tool(argv: Sequence[str]) -> int:
    """Runs ``ssl-av data`` with these words; returns the exit code.

    Raises:
        UserError: for the user's mistakes.
    """
    known = list_tools()
    if not argv or argv[0] in ("-h", "--help"):
        width = max(map(len, known))
        print("usage: ssl-av data TOOL …   (ssl-av data TOOL --help)\n")
        for name, line in known.items():
            print(f"  {name:<{width}}  {line}")
        return 0
    name, *words = argv
    if name not in known:
        raise unknown("tool", name, known, hint="ssl-av data --help")
    module = importlib.import_module(f"{__name__}.{name}")
    parser = Parser(
        prog=f"ssl-av data {name}", description=known[name], epilog=getattr(module, "EPILOG", None)
    )
    module.add_arguments(parser)
    args, rest = parser.parse_known_args(words)
    code: int = module.run(args, Words(rest, parser.options()))
    return code


def no_more(rest: Sequence[str], options: Sequence[str]) -> None:
    """For a tool that takes no arguments of a data set: refuses what its parser does not know.

    Raises:
        UserError: if there is any.
    """
    if rest and rest[0].startswith("-") and options:
        raise unknown("option", rest[0].split("=")[0], options)
    if rest:
        raise UserError(f"unexpected argument '{rest[0]}'; it takes none of that")


def dataset_words(name: str, rest: Sequence[str]) -> dict[str, Any]:
    """A data set's arguments from words such as ``--root DIR --fold 2``, names and types checked.

    Args:
        name: of the data set.
        rest: the words.

    Raises:
        UserError: for an unknown data set, argument or type.
    """
    from ssl_av.data.datasets import dataset_class
    from ssl_av.methods.settings import plain
    from ssl_av.options import check, parameters_of, parse_dotted

    cls = dataset_class(name)
    known_option(rest, parameters_of(cls))
    # ``--root`` here is what other commands call ``--data.root``, where it stands beside other groups.
    words = [w if not w.startswith("--") or w.startswith("--data.") else f"--data.{w[2:]}" for w in rest]
    given = parse_dotted(words, ["data"], []).get("data", {})
    checked: dict[str, Any] = plain(check("data", cls, given))
    return checked


def known_option(rest: Sequence[str], arguments: Iterable[str]) -> None:
    """Refuses the first option that neither the tool (`Words.options`) nor the data set has; groups pass.

    Raises:
        UserError: with the nearest of both.
    """
    known = [f"--{name}" for name in arguments]
    for word in rest:
        name = word.partition("=")[0].replace("--data.", "--")
        if name.startswith("--") and "." not in name and name not in known:
            raise unknown("option", name, [*known, *getattr(rest, "options", ())])
