"""What a manifest leaves out, in columns: half of a list of two million files may be gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc

from ssl_av.data.rows import Skip

# Binary, for the names of files need not be Unicode.
SCHEMA = pa.schema([("path", pa.binary()), ("reason", pa.dictionary(pa.int32(), pa.string()))])


class Skips(Sequence[Skip]):
    """A sequence of `Skip` that holds no Python object for each; equal to any sequence of the same.

    Args:
        items: Skips, or what to make them from.
    """

    def __init__(self, items: Iterable[Skip] = ()) -> None:
        if isinstance(items, Skips):
            self._table: pa.Table = items._table
        else:
            listed = list(items)
            self._table = _table([s.path for s in listed], [s.reason for s in listed])

    def __len__(self) -> int:
        count: int = self._table.num_rows
        return count

    def __iter__(self) -> Iterator[Skip]:
        for batch in self._table.to_batches(max_chunksize=1024):
            yield from map(_skip, *batch.to_pydict().values())

    @overload
    def __getitem__(self, index: int) -> Skip: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Skip, ...]: ...
    def __getitem__(self, index: int | slice) -> Skip | tuple[Skip, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        row = self._table.slice(range(len(self))[index], 1)
        return _skip(*(column[0].as_py() for column in row.columns))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Skips({len(self)}: {dict(self.reasons())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Skips.from_bytes, (self.to_bytes(),)

    def reasons(self) -> Counter[str]:
        """How many were left out for each reason."""
        counts = pc.value_counts(self._table.column("reason").cast(pa.string())).to_pylist()
        return Counter({entry["values"]: entry["counts"] for entry in counts})

    def where(self, reason: str, is_it: bool = True) -> Skips:
        """Those of this reason, or all others."""
        mask = pc.equal(self._table.column("reason").cast(pa.string()), reason)
        return _of(self._table.filter(mask if is_it else pc.invert(mask)))

    def extended(self, paths: Sequence[str], reasons: Sequence[str]) -> Skips:
        """These and more behind them."""
        more = _table(paths, reasons)
        # Each has its own dictionary of reasons.
        return _of(pa.concat_tables([self._table, more]).unify_dictionaries().combine_chunks())

    def to_bytes(self) -> bytes:
        """For a file or another process."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(self._table.unify_dictionaries().combine_chunks())
        raw: bytes = sink.getvalue().to_pybytes()
        return raw

    @classmethod
    def from_bytes(cls, raw: bytes) -> Skips:
        """What `to_bytes` gave, without a copy."""
        return _of(pa.ipc.open_stream(raw).read_all())


def _table(paths: Sequence[str], reasons: Sequence[str]) -> pa.Table:
    names = [path.encode("utf-8", "surrogateescape") for path in paths]
    words = [reason.encode("utf-8", "replace").decode() for reason in reasons]
    return pa.table(
        [pa.array(names, pa.binary()), pa.array(words, SCHEMA.field("reason").type)], schema=SCHEMA
    )


def _of(table: pa.Table) -> Skips:
    skips = Skips()
    skips._table = table
    return skips


def _skip(path: bytes, reason: str) -> Skip:
    return Skip(path.decode("utf-8", "surrogateescape"), reason)
