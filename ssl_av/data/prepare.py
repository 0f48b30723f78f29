"""From a data set's name to a manifest whose every sample can serve what is asked."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from ssl_av.cache import cache_dir, writing_cache
from ssl_av.data.datasets import create_dataset
from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.pack import SHARDS
from ssl_av.data.pack.sums import MOST, damaged
from ssl_av.data.probing import MISSING
from ssl_av.data.splits import SPLITS
from ssl_av.errors import UserError


def prepare_manifest(
    name: str, args: dict[str, Any], loading: Loading, progress: bool = True, again: bool = False
) -> Manifest:
    """The manifest of a data set, built on first use and cached.

    Args:
        name: of the data set.
        args: its arguments, e.g. ``{"root": "videos"}``.
        loading: the reader that probes, with how many workers, and how long one file may take.
        progress: show a progress bar.
        again: try files again that were given up for their time or because the process that opened them died.

    Raises:
        UserError: for an unknown data set, a wrong argument, or if nothing can be read.
    """
    dataset = create_dataset(name, **args)
    if isinstance(dataset, PackDataset):
        for _, why in damaged(dataset.root, dataset.root / SHARDS, MOST):
            print(
                f"ssl-av: warning: the pack {dataset.root} is damaged ({why}): what of it can still be read may be "
                "something else; its `ssl-av data pack` command makes it anew",
                file=sys.stderr,
            )
        return dataset.manifest()
    rows, classes = dataset.rows()
    with writing_cache():
        manifest = build_manifest(
            rows,
            classes,
            dataset.root,
            create_reader(loading.reader, loading.limits),
            workers=max(loading.workers, 1),
            cache=cache_dir() / "manifests",
            progress=progress,
            limit=loading.timeout,
            again=again,
            limits=loading.limits,
        )
    if len(manifest) == 0:
        first = "; ".join(f"{s.path}: {s.reason}" for s in manifest.skipped[:3])
        raise UserError(f"none of the {len(rows)} files of '{name}' in {dataset.root} can be read ({first})")
    return manifest


def restrict(manifest: Manifest, modalities: Collection[str], where: str) -> Manifest:
    """The samples that have these modalities; the others are counted under ``skipped``.

    Raises:
        UserError: if none is left.
    """
    usable = manifest.require(video="video" in modalities, audio="audio" in modalities)
    if len(usable) == 0:
        raise UserError(
            f"none of the {len(manifest)} readable samples of '{where}' has {' and '.join(sorted(modalities))}"
        )
    return usable


def summary(manifest: Manifest) -> dict[str, int]:
    """What is here of what was listed, in numbers, in the order to read them."""
    missing = manifest.skipped.reasons()[MISSING]
    rows = manifest.columns("split", "has_video", "has_audio", "silent")
    listed = len(manifest) + len(manifest.skipped)
    return {
        "listed": listed,
        "missing": missing,
        "here": listed - missing,
        "unreadable": len(manifest.skipped) - missing,
        "readable": len(manifest),
        "without sound": int((~rows["has_audio"]).sum()),
        "silent": int(rows["silent"].sum()),
        "without picture": int((~rows["has_video"]).sum()),
        **{f"in {name}": int((rows["split"] == name).sum()) for name in SPLITS},
    }
