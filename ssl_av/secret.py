"""Keys and passwords that this process knows, so that none of them is written anywhere."""

from __future__ import annotations

import os
import re
from typing import Any

KINDS = "KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?"

NAMES = re.compile(f"({KINDS})$")
"""How the names of environment variables end that hold one."""

NAMED = frozenset({"method", "name", "row", "recipe", "suite", "status"})
"""What a record calls things by: a password that happens to be `cma-2024` must not take a row's name away."""

SHORTEST = 8
"""Characters of a secret: a shorter one may be part of any word."""

WORD = re.compile(r"(?=.{1,15}\Z)(?:[a-z]+|[A-Z][a-z]+|[A-Z]+)")
"""Letters alone, fewer than sixteen: a word that any text may use (``PASSWORD=password``). No key is made so. A
password may be: it is hidden where a text says that it is one, after such a name, or in an address."""

PASSWORD = re.compile(r'\bpassword\s+(?:"((?:[^"\\]|\\.)*)"|(\S+))')
ADDRESS = re.compile(r"(://[^/@\s:]*:)[^/@\s]+(?=@)")
"""A password in an address, whoever knows it: ``https://me:word@host``."""

LARGEST = 1 << 20
"""Characters of a ``~/.netrc`` that are read."""

HIDDEN = "***"


def hide(value: Any) -> Any:
    """The value, a text or nested in lists and mappings, with `HIDDEN` in place of every secret."""
    return _Hider(_secrets())(value)


class _Hider:
    """Takes secrets out of values; the longest first."""

    def __init__(self, found: tuple[str, ...]) -> None:
        self.words = frozenset(s for s in found if WORD.fullmatch(s))
        self.keys = tuple(s for s in found if s not in self.words)
        one = "|".join(map(re.escape, sorted(self.words, key=len, reverse=True)))
        before = rf"(?:{KINDS})[\"']?\s*[=:]\s*[\"']?|--[\w.-]*(?:{KINDS})\s+|://[^/@\s]*:"
        self.said = re.compile(rf"({before})(?:{one})(?![a-z])", re.IGNORECASE) if one else None

    def __call__(self, value: Any, named: str = "") -> Any:
        if isinstance(value, str):
            return self.text(value, named)
        if isinstance(value, dict):
            return {key: self(item, str(key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    def text(self, value: str, named: str) -> str:
        """A text without secrets; ``named``: what a mapping calls it."""
        if named in NAMED and value in self.keys:
            return value
        if value in self.words and NAMES.search(named.upper()):
            return HIDDEN
        for secret in self.keys:
            value = value.replace(secret, HIDDEN)
        value = ADDRESS.sub(rf"\1{HIDDEN}", value) if "://" in value else value
        return self.said.sub(rf"\1{HIDDEN}", value) if self.said else value


def _secrets() -> tuple[str, ...]:
    """The environment's secrets and those of ``~/.netrc``, the longest first."""
    found = {value.strip() for name, value in os.environ.items() if NAMES.search(name.upper())}
    for place in ("~/.netrc", "~/_netrc", os.environ.get("NETRC", "")):
        found |= _passwords(os.path.expanduser(place)) if place else set()
    # A path that is there (GOOGLE_APPLICATION_CREDENTIALS) says where a secret is, and may be part of other paths.
    return tuple(sorted((s for s in found if len(s) >= SHORTEST and not _is_path(s)), key=len, reverse=True))


def _passwords(file: str) -> set[str]:
    """Those of a file like ``~/.netrc``, also of one that Python's own reader refuses: by what follows the word."""
    try:
        if not os.path.isfile(file):
            return set()
        with open(file, encoding="utf-8", errors="replace") as opened:
            words = PASSWORD.findall(opened.read(LARGEST))
    except (OSError, ValueError):
        return set()
    return {re.sub(r"\\(.)", r"\1", quoted) or plain for quoted, plain in words}


def _is_path(value: str) -> bool:
    try:
        return os.path.isabs(value) and os.path.exists(value)
    except ValueError:
        return False
