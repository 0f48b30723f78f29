"""From a data set's name to a manifest whose every sample can serve what is asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ssl_av.cache import cache_dir
from ssl_av.data.datasets import create_dataset
from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.errors import UserError


def prepare_manifest(name: str, args: dict[str, Any], loading: Loading, progress: bool = True) -> Manifest:
    """The manifest of a data set, built on first use and cached.

    Args:
        name: of the data set.
        args: its arguments, e.g. ``{"root": "videos"}``.
        loading: the reader that probes, and with how many workers.
        progress: show a progress bar.

    Raises:
        UserError: for an unknown data set, a wrong argument, or if nothing can be read.
    """
    dataset = create_dataset(name, **args)
    if isinstance(dataset, PackDataset):
        return dataset.manifest()
    rows, classes = dataset.rows()
    manifest = build_manifest(
        rows,
        classes,
        dataset.root,
        create_reader(loading.reader),
        workers=max(loading.workers, 1),
        cache=cache_dir() / "manifests",
        progress=progress,
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
