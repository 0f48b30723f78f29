"""The parser of every command: one-line errors with the nearest names, exit code 2."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ssl_av.errors import UserError, unknown


class Parser(argparse.ArgumentParser):
    """Errors are one line, with the nearest names, and exit code 2."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        kw.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kw["allow_abbrev"] = False
        super().__init__(*args, **kw)

    def error(self, message: str) -> NoReturn:
        """Raises instead of printing the usage."""
        if "invalid choice" in message:
            given = message.split("invalid choice: '")[-1].split("'")[0]
            action = next((a for a in self._actions if message.startswith(f"argument {_label(a)}:")), None)
            if action is not None and action.choices:
                raise unknown(
                    str(action.metavar or "command").lower(),
                    given,
                    list(action.choices),
                    hint="ssl-av --help",
                )
        raise UserError(f"{message} (see `{self.prog} --help`)")

    def options(self) -> list[str]:
        """All long options."""
        return [o for a in self._actions for o in a.option_strings if o.startswith("--")]


def _label(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or str(action.metavar or action.dest)
