"""Checksums of a pack's shards: pixels and sounds that a disk has spoilt make other results, and nobody would know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ssl_av.errors import UserError
from ssl_av.text import read_json
from ssl_av.whole import checksum, whole_file

SUMS_FILE = "sums.json"
"""In a pack's folder: by a shard's name its bytes and their CRC-32."""


MOST = 2**31
"""Bytes of a pack that are compared with their checksums whenever it is used; of a larger one the sizes are."""


def write_sums(folder: Path, shards: Path, made: set[str]) -> None:
    """Notes the checksums of a pack whose shards are all there.

    Args:
        folder: the pack's.
        shards: where its shards are.
        made: names of those that have just been made; the others keep what is noted of them.
    """
    kept = _read(folder)
    files = sorted(shards.glob("*.arrow"))
    sums = {f.name: kept.get(f.name) if f.name not in made else None for f in files}
    with whole_file(folder / SUMS_FILE) as out:
        json.dump({f.name: sums[f.name] or [f.stat().st_size, checksum(f)] for f in files}, out)


def damaged(folder: Path, shards: Path, most: int | None = None) -> Iterator[tuple[str, str]]:
    """The names of shards that are not as they were written, and what is wrong.

    Args:
        folder: of a finished pack. One of before there were checksums has none, and nothing is known of it.
        shards: where its shards are.
        most: bytes of a pack that are read for it, of a larger one sizes are compared; None: any number.
    """
    sums = _read(folder)
    read = most is None or sum(size for size, _ in sums.values()) <= most
    for name, (size, crc) in sums.items():
        file = shards / name
        if not file.is_file():
            yield name, f"{name} is not there"
        elif file.stat().st_size != size or (read and checksum(file) != crc):
            yield name, f"{name} is not as it was written"


def has_sums(folder: Path) -> bool:
    """Whether checksums are noted of a pack; not of one of before there were any."""
    return bool(_read(folder))


def _read(folder: Path) -> dict[str, list[int]]:
    """What is noted; nothing where that cannot be read."""
    try:
        sums = read_json(folder / SUMS_FILE)
    except UserError:
        return {}
    whole = isinstance(sums, dict) and all(
        isinstance(v, list) and len(v) == 2 and all(type(n) is int for n in v) for v in sums.values()
    )
    return sums if whole else {}
