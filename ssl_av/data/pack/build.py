"""Writes a pack: in parallel, shard by shard, so that an interrupted packing continues with the next shard."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from ssl_av.data.manifest import Manifest
from ssl_av.data.media import Reader, create_reader
from ssl_av.data.pack import MANIFEST_FILE, PACK_FILE, SHARDS, SOURCE_FILE, Pack, pack_at
from ssl_av.data.pack.encode import pack_sample
from ssl_av.data.pack.shards import Packed, Shard, remove_parts, write_shard
from ssl_av.data.pack.sums import SUMS_FILE, damaged, write_sums
from ssl_av.data.rows import Sample, Skip
from ssl_av.errors import UserError


@dataclass(frozen=True)
class Built:
    """What a packing has made.

    Attributes:
        failures: the samples that could not be packed, by their original paths.
        bytes: of the pack.
        original: of the files it was made from, each counted once and whole.
    """

    failures: tuple[Skip, ...]
    bytes: int
    original: int


def build_pack(manifest: Manifest, pack: Pack, out: Path, workers: int = 1, progress: bool = False) -> Built:
    """Packs a manifest's samples into a folder; what is there of the same pack is kept.

    A sample that cannot be read is kept as its reason, so that it is skipped in training as it would be from its file
    and every other sample keeps its number.

    Args:
        manifest: the samples.
        pack: how.
        out: the folder.
        workers: processes.
        progress: whether to show a bar.

    Raises:
        UserError: if the folder holds something else or cannot be written.
    """
    out = Path(out)
    try:
        _claim(pack, out)
        for name, why in damaged(out, out / SHARDS):
            print(
                f"ssl-av: warning: the pack {out} is damaged ({why}); the shard is made anew", file=sys.stderr
            )
            (out / SHARDS / name).unlink(missing_ok=True)
        made = _write_shards(manifest, pack, out / SHARDS, workers, progress)
        if made or not (out / SUMS_FILE).is_file():
            write_sums(out, out / SHARDS, made)
        if made or not _is_manifest(
            out / MANIFEST_FILE
        ):  # last: that it is there says that the pack is complete
            _write_manifest(manifest, pack, out)
    except OSError as e:
        raise UserError(
            f"--out {out}: cannot be written ({e.strerror or e}); the same command continues"
        ) from None
    files = {sample.path for sample in map(manifest.__getitem__, range(len(manifest)))}
    return Built(
        tuple(_failures(manifest, pack, out)),
        sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        sum(os.path.getsize(file) for file in files if os.path.isfile(file)),
    )


def _claim(pack: Pack, out: Path) -> None:
    """Makes the folder that of this pack.

    Raises:
        UserError: if it is another's.
    """
    there = pack_at(out)
    if there is None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"--out {out}: exists and is no pack; give another folder")
        (out / SHARDS).mkdir(parents=True, exist_ok=True)
        part = out / f"{PACK_FILE}.part"
        part.write_text(json.dumps(asdict(pack), indent=1), encoding="utf-8")
        part.replace(out / PACK_FILE)
        return
    old, new = asdict(there), asdict(pack)
    for name, value in new.items():
        if old[name] != value:
            what = "data (another manifest)" if name in ("hash", "samples") else name
            raise UserError(
                f"--out {out}: holds a pack of other {what}: {old[name]}, now {value}; give another folder"
            )


def _write_shards(manifest: Manifest, pack: Pack, folder: Path, workers: int, progress: bool) -> set[str]:
    """Makes the shards that are not there; returns their names."""
    remove_parts(folder)
    missing = [k for k in range(pack.shards) if not _shard_file(folder, k).is_file()]
    spans = [range(k * pack.per_shard, min((k + 1) * pack.per_shard, pack.samples)) for k in missing]
    total = sum(map(len, spans))
    made = {_shard_file(folder, k).name for k in missing}
    if not total:
        return made
    packed = _packed((manifest[i] for span in spans for i in span), pack, min(workers, total))
    if progress:
        packed = _with_bar(packed, pack.samples - total, pack.samples)
    try:
        for k, span in zip(missing, spans, strict=True):
            write_shard(_shard_file(folder, k), islice(packed, len(span)))
    finally:
        packed.close()  # type: ignore[attr-defined]  # a generator: ends the processes
    return made


def _with_bar(packed: Iterator[Packed], done: int, total: int) -> Iterator[Packed]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    failed = 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("packing", total=total, completed=done, failed="")
        try:
            for sample in packed:
                failed += sample.error is not None
                bar.update(task, advance=1, failed=f"{failed} failed" if failed else "")
                yield sample
        finally:
            packed.close()  # type: ignore[attr-defined]


def _packed(samples: Iterator[Sample], pack: Pack, workers: int) -> Iterator[Packed]:
    """The samples in the form of the pack, in order."""
    if workers <= 1:
        reader = create_reader(pack.reader)
        yield from (pack_sample(sample, pack, reader) for sample in samples)
        return
    # So many at a time and no more: behind one long film, all that comes after it would gather in memory.
    waiting: deque[tuple[Sample, Future[Packed]]] = deque()
    pool = _pool(workers)
    try:
        for sample in samples:
            waiting.append((sample, pool.submit(_work, sample, pack)))
            if len(waiting) < 2 * workers:
                continue
            try:
                result = waiting[0][1].result()
            except BrokenProcessPool:
                yield from _one_by_one(waiting, pack)
                waiting.clear()
                pool = _pool(workers)
                continue
            waiting.popleft()
            yield result
        try:
            while waiting:
                result = waiting[0][1].result()
                waiting.popleft()
                yield result
        except BrokenProcessPool:
            yield from _one_by_one(waiting, pack)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one_by_one(samples: Sequence[tuple[Sample, object]], pack: Pack) -> Iterator[Packed]:
    """These samples, among which is one that has killed its process: each in a process of its own."""
    for sample, _ in samples:
        with _pool(1) as pool:
            try:
                result = pool.submit(_work, sample, pack).result()
            except BrokenProcessPool:
                result = Packed(error="the process that read it died")
        yield result


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: whoever calls may have threads.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """In a new process: Ctrl-C is for the one that started it, and without that one it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


_readers: dict[str, Reader] = {}
"""One a process and name: it keeps tables that take time to make."""


def _work(sample: Sample, pack: Pack) -> Packed:
    if pack.reader not in _readers:
        _readers[pack.reader] = create_reader(pack.reader)
    return pack_sample(sample, pack, _readers[pack.reader])


def _is_manifest(file: Path) -> bool:
    try:
        Manifest.load(file)
    except UserError:
        return False
    return True


def _write_manifest(manifest: Manifest, pack: Pack, out: Path) -> None:
    """The manifest with the samples' places in the pack instead of those in their files."""
    manifest.save(out / SOURCE_FILE)
    table = pa.ipc.open_file(pa.OSFile(str(out / SOURCE_FILE))).read_all()
    paths = pa.array([pack.member(i) for i in range(len(manifest))], pa.string())
    starts = pa.array([0.0] * len(manifest), pa.float64())
    for name, column in (("path", paths), ("start", starts)):
        table = table.set_column(table.schema.get_field_index(name), name, column)
    Manifest(table, out.absolute(), manifest.classes, manifest.skipped).save(out / MANIFEST_FILE)


def _failures(manifest: Manifest, pack: Pack, out: Path) -> Iterator[Skip]:
    for k in range(pack.shards):
        try:
            shard = Shard(_shard_file(out / SHARDS, k))
        except (OSError, ValueError):  # pyarrow's are ValueErrors
            raise UserError(
                f"{_shard_file(out / SHARDS, k)}: is damaged; remove it, then give the same command again"
            ) from None
        for row in range(len(shard)):
            reason = shard.error(row)
            if reason is not None:
                path = manifest[k * pack.per_shard + row].path
                yield Skip(os.path.relpath(path, manifest.root), reason)


def _shard_file(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.arrow"
