"""The one datamodule: serves the named views of any method from any manifest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from ssl_av import ranks
from ssl_av.data.flow import FlowStore, read_views
from ssl_av.data.loader import PATIENCE, Batch, Diary, Loader, begin_reading
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Skip
from ssl_av.data.media import MediaError, Reader, create_reader
from ssl_av.data.pack import check_views
from ssl_av.data.views import AudioView, FlowView, Spaced, VideoView, Views, draw_starts
from ssl_av.data.watch import Overdue, memory_limit, time_limit
from ssl_av.errors import UserError


class ClipDataset(Dataset[Batch]):
    """Samples of a manifest as named views.

    An item is asked for by ``(epoch, index)``: start times depend on the seed, the epoch and the index alone, so
    they are the same whatever the number of workers. A sample that cannot be read comes back as a `Skip`.
    """

    def __init__(self, manifest: Manifest, views: Views, loading: Loading, seed: int = 0) -> None:
        check_views(manifest.root, views, loading.decode_size)
        self.manifest = manifest
        self.views = dict(views)
        self.loading = loading
        self.seed = seed
        self.diary: Diary | None = None  # the loader brings it
        self._reader: Reader | None = None
        self._flow = FlowStore.serving(views, loading.flow, manifest.root)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, key: tuple[int, int]) -> Batch | Skip:  # type: ignore[override]
        epoch, index = key
        sample = self.manifest[index]
        rng = np.random.default_rng([self.seed, epoch, index])
        windows = draw_starts(self.views, sample.duration, rng)
        video, audio, flow = [], [], {}
        for name, view in self.views.items():
            if isinstance(view, VideoView):
                video.append(
                    view.request(windows[name], sample.start, sample.duration, self.loading.decode_size)
                )
            elif isinstance(view, FlowView):
                flow[name] = view.request(
                    windows[name], sample.start, sample.duration, self.loading.decode_size
                )
            else:
                audio.append(view.requests(windows[name], sample.start, sample.duration))
        if self._reader is None:  # one per worker process
            self._reader = create_reader(self.loading.reader, self.loading.limits)
        worker = get_worker_info()
        if worker is not None and self.diary is not None:
            self.diary.write(worker.id, index)
        item: Batch = {"index": index, "label": sample.label}
        most = self.loading.limits.memory
        try:
            with time_limit(self.loading.timeout, alone := worker is not None), memory_limit(most, alone):
                if self._flow is not None:
                    item |= read_views(self._flow, sample.path, flow, sample.aspect)
                frames, waves = self._reader.read(sample.path, video, [piece for a in audio for piece in a])
        except (MediaError, Overdue, MemoryError) as e:
            if isinstance(e, MemoryError) and worker is None:
                raise  # the machine's, not the sample's
            reason = str(e)
            if not isinstance(e, MediaError):
                self._reader = None  # it was interrupted anywhere: a new one for the next sample
                took = f"took longer than {self.loading.timeout:g} s"
                reason = (
                    f"reading {took if isinstance(e, Overdue) else f'needs more than {most:g} GiB of memory'}"
                )
            return Skip(os.path.relpath(sample.path, self.manifest.root), reason)
        clips, pieces, sounds = iter(frames), iter(waves), iter(audio)
        for name, view in self.views.items():
            if isinstance(view, VideoView):
                item[name] = torch.from_numpy(next(clips)).permute(3, 0, 1, 2)
                item[f"{name}.aspect"] = sample.aspect
            elif isinstance(view, AudioView):
                wave = np.concatenate([next(pieces) for _ in next(sounds)])
                item[name] = torch.from_numpy(wave[: view.samples])
        return item


def collate(items: Sequence[Batch | Skip]) -> Batch:
    """Stacks what could be read; what could not is listed under ``skipped`` as (path, reason)."""
    good = [item for item in items if not isinstance(item, Skip)]
    batch: Batch = {"skipped": [(s.path, s.reason) for s in items if isinstance(s, Skip)]}
    if not good:
        return batch | {"index": torch.empty(0, dtype=torch.long), "label": torch.empty(0, dtype=torch.long)}
    for name, first in good[0].items():
        values = [item[name] for item in good]
        if isinstance(first, Tensor):
            batch[name] = _stacked(values)
        else:
            batch[name] = torch.tensor(
                values, dtype=torch.float32 if isinstance(first, float) else torch.long
            )
    return batch


def _stacked(values: Sequence[Tensor]) -> Tensor:
    """As `torch.stack`, which takes four times as long for clips whose channels lie side by side, as decoded."""
    first = values[0]
    if first.is_contiguous() or any(v.shape != first.shape or v.dtype != first.dtype for v in values):
        return torch.stack(list(values))
    out = torch.empty((len(values), *first.shape), dtype=first.dtype)
    for slot, value in zip(out.numpy(), values, strict=True):
        np.copyto(slot, value.numpy())
    return out


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, index), shuffled anew each epoch when asked; Lightning sets the epoch.

    The first ``start`` are left out, of an order that is not shuffled. A shuffled epoch is shared among the ranks of a
    training, in turn and the same number for each, so that their batches together are those of one process.
    """

    def __init__(self, size: int, shuffle: bool, seed: int = 0, start: int = 0) -> None:
        self.size, self.shuffle, self.seed, self.start, self.epoch = size, shuffle, seed, start, 0
        self.seen = (-1, 0)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def begin_at(self, epoch: int, seen: int) -> None:
        """Leaves out the first ``seen`` samples of one epoch: an interrupted training has seen them."""
        self.seen = (epoch, seen)

    def __len__(self) -> int:
        return (self.size - self.start) // (ranks.count() if self.shuffle else 1)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.start, self.size)
        if self.shuffle:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
            order = order[ranks.own() :: ranks.count()][: len(self)]
        epoch, seen = self.seen
        return ((self.epoch, int(i)) for i in order[seen if epoch == self.epoch else 0 :])


class AVDataModule(LightningDataModule):
    """Serves a manifest's splits as batches of named views.

    Args:
        manifest: the samples, already restricted to the modalities that are needed.
        loading: batch size, workers, reader.
        seed: of the shuffling and of the start times.
    """

    def __init__(self, manifest: Manifest, loading: Loading, seed: int = 0) -> None:
        super().__init__()
        self.manifest, self.loading, self.seed = manifest, loading, seed
        self.train_views: Views = {}
        self.train = manifest.split("train")
        if len(self.train) < 2:
            raise UserError(
                f"only {len(self.train)} training samples can be used of {len(manifest)} readable ones; "
                "at least 2 are needed"
            )

    @property
    def batch_size(self) -> int:
        """The batch size, or the whole training split where that is smaller."""
        return min(self.loading.batch_size, len(self.train))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled training batches of the method's views; the incomplete last one is dropped."""
        data = ClipDataset(self.train, self.train_views, self.loading, self.seed)
        self._order = EpochSampler(len(data), shuffle=True, seed=self.seed)
        return self._loader(data, self._order, self.share(ranks.count()), drop_last=True)

    def share(self, count: int) -> int:
        """Samples of a batch that each of so many ranks reads: together they read what one process would.

        Raises:
            UserError: if a batch cannot be shared evenly, or gives a rank fewer than two samples.
        """
        each, rest = divmod(self.batch_size, count)
        if rest or (count > 1 and each < 2):
            few = (
                f", all of the {len(self.train)} training samples,"
                if self.batch_size < self.loading.batch_size
                else ""
            )
            raise UserError(
                f"--data.batch_size {self.batch_size}{few} is shared by {count} processes: give a multiple of {count}, "
                "at least 2 for each (batch normalisation)"
            )
        return each

    def begin_at(self, epoch: int, batches: int) -> None:
        """Training goes on in an epoch of which so many batches were seen; none of them is read again."""
        self._order.begin_at(epoch, batches * self.share(ranks.count()))

    def clips(
        self,
        split: str,
        video: VideoView | None,
        audio: AudioView | None,
        count: int,
        limit: int | None = None,
    ) -> DataLoader[Batch]:
        """Evaluation batches: ``count`` evenly spaced clips of each sample, without augmentation.

        Args:
            split: ``train``, ``val`` or ``test``.
            video: length and size of the frames, or None.
            audio: length and rate of the sound, or None.
            count: clips a sample, in the views ``video_0``, ``audio_0``, ``video_1`` …
            limit: use an evenly spread subset of at most so many samples.
        """
        views: dict[str, VideoView | AudioView] = {}
        for k in range(count):
            if video is not None:
                views[f"video_{k}"] = VideoView(video.frames, video.fps, video.size, "none", Spaced(k, count))
            if audio is not None:
                views[f"audio_{k}"] = AudioView(audio.seconds, audio.rate, "none", Spaced(k, count))
        manifest = self.manifest.split(split)
        if limit is not None and len(manifest) > limit:
            manifest = manifest.take(np.linspace(0, len(manifest) - 1, limit).round().astype(int))
        return self.serve(manifest, views)

    def serve(
        self, manifest: Manifest, views: Views, start: int = 0, batch_size: int | None = None, seed: int = 0
    ) -> DataLoader[Batch]:
        """Batches of any views of any samples, in the manifest's order.

        Args:
            manifest: the samples.
            views: by name.
            start: number of the first sample, where an earlier pass stopped.
            batch_size: samples a batch; by default the loading's.
            seed: of the views that lie at random places.
        """
        data = ClipDataset(manifest, views, self.loading, seed)
        sampler = EpochSampler(len(data), shuffle=False, start=start)
        return self._loader(data, sampler, batch_size or self.loading.batch_size)

    def _loader(
        self, data: ClipDataset, sampler: EpochSampler, batch_size: int, drop_last: bool = False
    ) -> DataLoader[Batch]:
        workers = self.loading.workers
        return Loader(
            data,
            self.loading.max_bad,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            drop_last=drop_last,
            persistent_workers=workers > 0 and drop_last,
            # The last resort; a sample's own limit strikes long before.
            timeout=PATIENCE * self.loading.timeout if workers else 0,
            worker_init_fn=begin_reading,
            pin_memory=torch.cuda.is_available(),
            # Else each new iterator draws from the global stream, once an epoch or once a run as there are workers or
            # not: the augmentation would depend on their number.
            generator=torch.Generator(),
            # A run of a bench lives in a process whose default is to start others afresh: each worker would import
            # torch again, which takes longer than the reading.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        )
