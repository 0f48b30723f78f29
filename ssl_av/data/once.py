"""What is made of a small data set once, before the first run that asks for it: its frames, its optical flow."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from ssl_av.cache import cache_dir, writing_cache
from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.flow import default_folder, flow_path
from ssl_av.data.loading import Loading, cores
from ssl_av.data.manifest import Manifest
from ssl_av.data.pack import MANIFEST_FILE, SHARDS, Pack, pack_at
from ssl_av.data.pack.build import build_pack
from ssl_av.data.pack.sums import MOST, SUMS_FILE, damaged, has_sums
from ssl_av.data.probing import file_state
from ssl_av.data.views import AudioView, FlowView, View
from ssl_av.errors import UserError
from ssl_av.text import one_line

RATE = 16_000
"""Samples a second where nobody asks for sound."""

SMALLEST = 16
"""Short side of frames in pixels, below which no flow is made."""


def decode_once(manifest: Manifest, name: str, loading: Loading, views: Iterable[View]) -> Manifest:
    """The samples as a pack in the cache, where ``loading.pack`` asks for one; made on first use.

    The pack's frames have ``decode_size`` pixels, its sound the highest rate among the views. Samples keep their
    numbers, so that a seed draws the same views. Views of optical flow are read beside the files: with one among
    the views the files are used as they are, and flow that is missing is made where ``loading.make_flow`` says so.

    Args:
        manifest: of the files.
        name: of the data set.
        loading: form of the pack, size of the frames, reader.
        views: all that will be asked for.

    Raises:
        UserError: if the pack or the flow cannot be made.
    """
    views = list(views)
    flow = any(isinstance(v, FlowView) for v in views)
    if flow and loading.make_flow:
        _make_missing_flow(manifest, loading)
    if loading.pack == "none" or pack_at(manifest.root) or flow:
        return manifest
    rate = max((v.rate for v in views if isinstance(v, AudioView)), default=RATE)
    how = {"reader": loading.reader, "form": loading.pack, "size": loading.decode_size, "rate": rate}
    pack = Pack(name, manifest.hash, len(manifest), **how)  # type: ignore[arg-type]
    key = f"{name}-{manifest.hash}-{_dated(manifest)}-{pack.form}-{pack.size}-{pack.rate}-{pack.reader}"
    folder = cache_dir() / "packs" / key
    _remove_damaged(folder)
    if not (folder / MANIFEST_FILE).is_file():
        try:
            # A process takes seconds to start: one for each hundred videos.
            build_pack(
                manifest, pack, folder, min(os.cpu_count() or 1, 1 + len(manifest) // 100), progress=True
            )
        except UserError as e:
            raise UserError(f"{e}; or use the files as they are: --data.pack none") from None
    return PackDataset(folder).manifest()


def _remove_damaged(folder: Path) -> None:
    """Takes a pack out of the cache that is not as it was written, so that it is made anew."""
    if not (folder / MANIFEST_FILE).is_file():
        return  # none, or one that is being made
    try:
        PackDataset(folder).manifest()
        _, why = next(damaged(folder, folder / SHARDS, MOST), ("", ""))
        if not has_sums(folder):  # of an older ssl-av, or lost: nobody knows
            why = f"{SUMS_FILE} says nothing of its shards"
    except UserError as e:
        why = str(e)
    if why:
        print(
            f"ssl-av: warning: the pack {folder} is damaged ({one_line(why)}); it is made anew",
            file=sys.stderr,
        )
        with writing_cache():
            shutil.rmtree(folder)


def _make_missing_flow(manifest: Manifest, loading: Loading) -> None:
    """The flow of the videos that have none; what is there stays, however it was made."""
    folder = Path(loading.flow) if loading.flow else default_folder(manifest.root)
    missing = [
        row
        for row in range(len(manifest))
        if (one := manifest[row]).has_video and not flow_path(folder, manifest.root, one.path).is_file()
    ]
    if not missing:
        return
    from ssl_av.data.flow_tvl1 import FlowSettings, make_flow

    settings = FlowSettings(size=max(loading.decode_size, SMALLEST))
    made = make_flow(manifest.take(missing), folder, settings, cores(), loading.reader, progress=True)
    if not made.made:
        raise UserError(f"no optical flow could be made: {made.failed[0].reason}")


def _dated(manifest: Manifest) -> str:
    """8 hexadecimal digits of the files' sizes and dates: another file in the place of one is another pack."""
    found = hashlib.sha256()
    for path in dict.fromkeys(manifest.columns("path")["path"]):
        found.update(repr(file_state(os.path.join(manifest.root, path))).encode())
    return found.hexdigest()[:8]
