"""Keys and passwords that this process knows, so that none of them is written anywhere."""

from __future__ import annotations

import netrc
import os
import re
from typing import Any

NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$")
"""How the names of environment variables end that hold one."""

NAMED = frozenset({"method", "name", "row", "recipe", "suite", "status"})
"""What a record calls things by: a password that happens to be `crisscross` must not take the method's name away."""

SHORTEST = 8
"""Characters of a secret: a shorter one may be part of any word."""

HIDDEN = "***"


def hide(value: Any) -> Any:
    """The value, a text or nested in lists and mappings, with `HIDDEN` in place of every secret."""
    found = _secrets()
    return _hidden(value, found) if found else value


def _hidden(value: Any, found: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for secret in found:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, dict):
        return {
            key: item if key in NAMED and isinstance(item, str) and item in found else _hidden(item, found)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_hidden(item, found) for item in value]
    return value


def _secrets() -> tuple[str, ...]:
    """The environment's secrets and those of ``~/.netrc``, the longest first."""
    found = {value.strip() for name, value in os.environ.items() if NAMES.search(name.upper())}
    try:
        hosts = netrc.netrc(os.path.expanduser("~/.netrc")).hosts.values()
        found |= {word for _, _, word in hosts if word}
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError, KeyError):
        pass
    # A path that is there (GOOGLE_APPLICATION_CREDENTIALS) says where a secret is, and may be part of other paths.
    return tuple(sorted((s for s in found if len(s) >= SHORTEST and not _is_path(s)), key=len, reverse=True))


def _is_path(value: str) -> bool:
    try:
        return os.path.isabs(value) and os.path.exists(value)
    except ValueError:
        return False
