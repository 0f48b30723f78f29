"""Features of a data set's samples: one pass over the data for everything that is asked of a cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.loader import reading_explained
from ssl_av.data.manifest import Manifest
from ssl_av.data.views import AudioView, VideoView
from ssl_av.errors import UserError
from ssl_av.evaluation.protocols import Clips
from ssl_av.evaluation.towers import Towers
from ssl_av.evaluation.views import Column, Cut

#: (done, total) batches
Progress = Callable[[int, int], None]

#: bytes of decoded clips that one batch holds at most
BATCH_BYTES = 2**29


@dataclass
class Features:
    """Features of one split.

    Attributes:
        label: [N] class of each sample, -1 where there is none; [N, classes] bool where a sample may have several.
        pooled: by modality, backbone features: [N, D] averaged over the clips of each sample, or [N, clips, D].
        query: by modality, embeddings in the shared space, where the method has one.
        key: by modality, what the queries are compared with.
        memory: by modality, [N, D] rows of the method's memory of these very samples.
        skipped: path → reason of the samples that could not be read.
        index: [N] rows of the split that the features belong to.
    """

    label: np.ndarray
    pooled: dict[str, np.ndarray] = field(default_factory=dict)
    query: dict[str, np.ndarray] = field(default_factory=dict)
    key: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    index: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    memory: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Piece:
    """Features of one batch.

    Attributes:
        end: number of the samples that have been asked for so far.
        index: [B] numbers of the samples in the manifest.
        columns: the features of those that could be read.
        skipped: path → reason of the others.
    """

    end: int
    index: np.ndarray
    columns: dict[Column, np.ndarray]
    skipped: dict[str, str]


@torch.inference_mode()
def pieces(
    towers: Towers,
    data: AVDataModule,
    manifest: Manifest,
    cut: Cut,
    columns: Collection[Column],
    start: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Piece]:
    """Features of a manifest's samples batch by batch, from number ``start``; every sample is decoded once.

    Args:
        towers: the networks; in eval mode while this runs, then as before.
        data: how samples are loaded.
        manifest: the samples.
        cut: their clips.
        columns: which features.
        start: number of the first sample.
        seed: of random places and augmentation.
        progress: called with (done, total) batches.

    Raises:
        UserError: if a feature is NaN or infinite.
    """
    modalities = cut.together or tuple(dict.fromkeys(c.modality for c in columns))
    if cut.decode_size is not None:
        data = AVDataModule(data.manifest, replace(data.loading, decode_size=cut.decode_size), data.seed)
    views = towers.views(cut, modalities)
    loader = data.serve(manifest, views, start, _batch_size(data, views.values()), seed)
    end, was_training = start, towers.training
    towers.eval()
    try:
        for done, batch in enumerate(loader, start=1):
            end += len(batch["index"]) + len(batch["skipped"])
            found = towers(batch, cut, columns, seed) if len(batch["index"]) else {}
            arrays = {column: x.numpy() for column, x in found.items()}
            for column, x in arrays.items():
                if not np.isfinite(x).all():  # nearest neighbours would make numbers of it
                    raise UserError(
                        f"the {column.modality} features of a batch hold NaN or infinity: the training went wrong, or "
                        "the weights are not what they should be; a lower --method.optim.lr may help"
                    )
            yield Piece(end, batch["index"].numpy(), arrays, dict(batch["skipped"]))
            if progress is not None:
                progress(done, len(loader))
    finally:
        towers.train(was_training)


def _batch_size(data: AVDataModule, views: Iterable[VideoView | AudioView]) -> int:
    """The loading's, or fewer samples where their clips are long and many."""
    side = data.loading.decode_size
    each = sum(3 * v.frames * side**2 if isinstance(v, VideoView) else 4 * v.samples for v in views)
    return min(data.loading.batch_size, max(BATCH_BYTES // each, 1))


def labels_of(manifest: Manifest) -> np.ndarray:
    """[N] class numbers, or [N, classes] bool where any sample has several."""
    several = manifest.columns("labels")["labels"]
    if not any(len(found) for found in several if found is not None):
        return manifest.labels.astype(np.int64)
    out = np.zeros((len(manifest), len(manifest.classes)), dtype=bool)
    for row, found in enumerate(several):
        out[row, np.asarray(found, dtype=np.int64)] = True
    return out


@reading_explained()
def extract(
    towers: Towers,
    data: AVDataModule,
    split: str,
    clips: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Features:
    """Backbone features of a split in memory, for a probe while a method trains.

    Args:
        towers: the networks.
        data: where the samples come from.
        split: ``train``, ``val`` or ``test``.
        clips: evenly spaced clips a sample, whose features are averaged.
        limit: at most so many samples, evenly spread.
        progress: called with (done, total) batches.
    """
    i = towers.inputs
    cut = Cut(i.frames, i.fps, i.size, 1.0, i.audio_seconds, Clips(clips=clips))
    manifest = data.manifest.split(split)
    if limit is not None and len(manifest) > limit:
        manifest = manifest.take(np.linspace(0, len(manifest) - 1, limit).round().astype(int))
    columns = [Column(m, what) for m in towers.modalities for what in ("pooled", "query", "key")]
    parts = list(pieces(towers, data, manifest, cut, columns, progress=progress))
    index = np.concatenate([p.index for p in parts]) if parts else np.empty(0, dtype=np.int64)
    out = Features(labels_of(manifest)[index], skipped={k: v for p in parts for k, v in p.skipped.items()})
    for column in columns:
        found = [p.columns[column] for p in parts if column in p.columns]
        if found:
            getattr(out, column.what)[column.modality] = np.concatenate(found)
    return out
