"""Numbers of two protocols do not stand in one column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_av.bench.records import row_name
from ssl_av.errors import UserError


def check_comparable(records: Sequence[Mapping[str, Any]]) -> None:
    """Every protocol was the same, number by number, in all records that name it.

    Records from before protocols had hashes say nothing and are let pass.

    Raises:
        UserError: if not; says which records differ.
    """
    found: dict[str, dict[tuple[int, str], list[str]]] = {}
    for record in records:
        protocols = record.get("protocols")
        for name, about in protocols.items() if isinstance(protocols, Mapping) else ():
            if isinstance(about, Mapping) and about.get("hash"):
                which = (int(about.get("version") or 0), str(about["hash"]))
                found.setdefault(name, {}).setdefault(which, []).append(row_name(record))
    for name, versions in found.items():
        if len(versions) > 1:
            said = "; ".join(
                f"version {version} ({digest}) of {', '.join(dict.fromkeys(methods))}"
                for (version, digest), methods in versions.items()
            )
            raise UserError(
                f"records.jsonl holds results of '{name}' by different protocols, which cannot share a column: {said}; "
                "measure all of them by one, or report them in folders of their own"
            )
