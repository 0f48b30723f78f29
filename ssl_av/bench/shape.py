"""What a record and suite.json look like, so that a report of a stranger's files fails in one line if at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TEXT, NUMBER, COUNT = "a text", "a number", "a number from 0 on"
MOST = 1e300
"""Numbers above are none that was measured."""

# A mapping: what lies under each key, under any other (*); "!" before a key: it must be there. A list: of what.
# What is not named may be anything; null may stand everywhere.
_DATA = {"name": TEXT, "hash": TEXT, "names": [TEXT], "skipped": [{"path": TEXT, "reason": TEXT}], "classes": COUNT,
         "chance": NUMBER, "skipped_total": COUNT, "train": COUNT, "val": COUNT, "test": COUNT}  # fmt: skip
_INTERVAL = {"metric": TEXT, "!low": NUMBER, "!high": NUMBER, "!level": NUMBER, "!how": TEXT}
_SIDE = {"by_class": {"*": NUMBER}, "interval": _INTERVAL, "std": {"*": NUMBER}}
_TRIAL = {"!trial": NUMBER, "!settings": {}, "!score": NUMBER, "spent": {"*": NUMBER}}

RECORD: Mapping[str, Any] = {
    "!method": TEXT, "seed": NUMBER, "row": TEXT, "status": TEXT, "paper": TEXT,
    "budget": {"asked": {"*": NUMBER}, "spent": {}}, "stages": [{}],
    "cost": {"runs_at_once": NUMBER, "joules_of": [TEXT]}, "parameters": {},
    "data": _DATA, "elsewhere": {"*": _DATA},
    "results": {"*": {"*": _SIDE, "skipped": TEXT}}, "protocols": {"*": {"version": NUMBER, "hash": TEXT}},
    "collapse": {"*": {}}, "diagnostics": {"*": {}}, "curves": {}, "settings": {}, "versions": {}, "config": {},
    "health": {}, "figures": [TEXT], "machine": {},
    "tuning": {"!trials": NUMBER, "failed": NUMBER, "!share": NUMBER, "!budget": {"*": NUMBER}, "!measure": TEXT,
               "best": _TRIAL, "own": NUMBER, "spread": NUMBER, "spent": {"*": NUMBER}, "all": [_TRIAL]},
}  # fmt: skip

SUITE: Mapping[str, Any] = {
    "name": TEXT, "question": TEXT, "methods": [TEXT], "budget": {"*": NUMBER}, "merged": [TEXT], "remarks": [TEXT],
    "rows": {"*": {"label": TEXT, "reported": {"*": {"*": NUMBER}}}}, "paper": {"table": TEXT, "columns": {"*": TEXT}},
    "commands": {"*": TEXT}, "identity": {},
}  # fmt: skip


def misshapen(value: Any, shape: Any) -> str:
    """What of a value is not as it should be, e.g. ``data.skipped is no list``; empty if all is.

    Args:
        value: what was read from JSON.
        shape: `RECORD` or `SUITE`.
    """
    return next(_wrong(value, shape, ""), "")


def _wrong(value: Any, shape: Any, path: str) -> Iterator[str]:
    where = path or "it"
    if value is None and path:
        return
    if shape == TEXT:
        if not isinstance(value, str):
            yield f"{where} is no text"
    elif shape in (NUMBER, COUNT):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and not abs(value) > MOST
        if not number or (shape == COUNT and value < 0):
            yield f"{where} is not {shape}"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{where} is no list"
            return
        for place, item in enumerate(value):
            yield from (
                _wrong(item, shape[0], f"{path}.{place}")
                if item is not None
                else (f"{path}.{place} is null",)
            )
    elif not isinstance(value, Mapping):
        yield f"{where} is no group"
    else:
        for key, item in value.items():
            inner = shape.get(key, shape.get(f"!{key}", shape.get("*")))
            if item is None and isinstance(shape.get("*"), dict) and key not in shape:
                yield f"{path}.{key} is null"
            elif inner is not None:
                yield from _wrong(item, inner, f"{path}.{key}".lstrip("."))
        yield from (f"{where} has no '{key[1:]}'" for key in shape if key[0] == "!" and key[1:] not in value)
