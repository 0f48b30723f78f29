"""The datamodule on real files: named views, the same whatever the workers, nothing replaced in silence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ssl_av.data.datamodule import AVDataModule, ClipDataset, EpochSampler, collate
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Row, Skip, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.views import AudioView, StartsWith, VideoView
from ssl_av.errors import UserError

VIEWS = {
    "video": VideoView(4, 8.0, 32),
    "audio": AudioView(0.5, 8000, when=StartsWith("video")),
}
LOADING = Loading(batch_size=4, num_workers=0, decode_size=24)


def batches(manifest: Manifest, loading: Loading, epoch: int = 0) -> list:
    data = AVDataModule(manifest, loading, seed=5)
    data.train_views = VIEWS
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_a_batch_holds_every_view_with_index_and_label(clips):
    batch = batches(clips, LOADING)[0]
    assert batch["video"].shape == (4, 3, 4, 24, 24)
    assert batch["video"].dtype == torch.uint8
    assert batch["video.aspect"].tolist() == [1.0] * 4
    assert batch["audio"].shape == (4, 4000)
    assert batch["audio"].dtype == torch.float32
    assert batch["audio"].abs().sum() > 0
    assert batch["skipped"] == []
    for index, label in zip(batch["index"].tolist(), batch["label"].tolist(), strict=True):
        assert clips.split("train")[index].label == label


@pytest.mark.slow
def test_the_same_for_any_number_of_workers_and_different_in_the_next_epoch(clips):
    alone, together = batches(clips, LOADING), batches(clips, replace(LOADING, num_workers=2))
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a["index"], b["index"])
        assert torch.equal(a["video"], b["video"])
        assert torch.equal(a["audio"], b["audio"])
    later = batches(clips, LOADING, epoch=1)
    assert not all(torch.equal(a["index"], b["index"]) for a, b in zip(alone, later, strict=True))


class Echo:
    """A reader that answers with what it was asked for."""

    def read(self, path, video, audio):
        return [], [np.full(request.samples, request.start, np.float32) for request in audio]


@pytest.mark.parametrize("workers", [1, 2])
def test_start_times_are_the_same_for_any_number_of_workers(clips, monkeypatch, workers):
    monkeypatch.setattr("ssl_av.data.datamodule.create_reader", lambda *_: Echo())
    views = {
        "a": AudioView(0.1, 100),
        "b": AudioView(0.2, 100),
        "c": AudioView(0.2, 100, when=StartsWith("a")),
    }
    train = clips.split("train")

    def starts(workers: int, seed: int, epoch: int) -> list[tuple[float, ...]]:
        data = ClipDataset(train, views, LOADING, seed)
        sampler = EpochSampler(len(data), shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        loader = DataLoader(
            data, batch_size=2, sampler=sampler, num_workers=workers, collate_fn=collate, multiprocessing_context="fork"
            if workers else None,
        )  # fmt: skip
        rows = [zip(b["index"], b["a"][:, 0], b["b"][:, 0], b["c"][:, 0], strict=True) for b in loader]
        return [tuple(map(float, row)) for batch in rows for row in batch]

    alone = starts(0, seed=5, epoch=2)
    assert starts(workers, seed=5, epoch=2) == alone
    assert all(a == c != b for _, a, b, c in alone)
    assert set(alone).isdisjoint(starts(workers, seed=5, epoch=3))
    assert set(alone).isdisjoint(starts(workers, seed=6, epoch=2))


def test_start_times_change_with_the_epoch_not_with_the_order(clips):
    data = ClipDataset(clips.split("train"), VIEWS, LOADING, seed=5)
    first, again, later = data[(0, 3)], data[(0, 3)], data[(1, 3)]
    assert torch.equal(first["audio"], again["audio"])
    assert not torch.equal(first["audio"], later["audio"])


def test_the_sampler_visits_every_sample_once_an_epoch():
    sampler = EpochSampler(7, shuffle=True, seed=1)
    sampler.set_epoch(2)
    keys = list(sampler)
    assert sorted(i for _, i in keys) == list(range(7))
    assert {epoch for epoch, _ in keys} == {2}


@pytest.fixture
def damaged(clips, tmp_path: Path) -> Manifest:
    """As `clips`, but two training files vanish or break after they were listed."""
    rows = []
    for i in range(8):
        shutil.copy(Path(clips.root) / f"train{i}.mp4", tmp_path / f"{i}.mp4")
        rows.append(Row(str(tmp_path / f"{i}.mp4"), i % 2, "train"))
    for split in ("val", "test"):
        shutil.copy(Path(clips.root) / f"{split}0.mp4", tmp_path / f"{split}.mp4")
        rows.append(Row(str(tmp_path / f"{split}.mp4"), 0, split))
    manifest = build_manifest(rows, ("a", "b"), tmp_path, create_reader())
    (tmp_path / "2.mp4").unlink()
    (tmp_path / "5.mp4").write_bytes(b"no more")
    return manifest


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(damaged):
    found = batches(damaged, LOADING)
    assert sum(len(b["index"]) for b in found) == 6
    skipped = dict(s for b in found for s in b["skipped"])
    assert set(skipped) == {"2.mp4", "5.mp4"}
    assert all(skipped.values())
    assert {i for b in found for i in b["index"].tolist()} == {0, 1, 3, 4, 6, 7}


def test_a_batch_of_which_nothing_can_be_read_is_empty():
    batch = collate([Skip("a.mp4", "gone"), Skip("b.mp4", "gone")])
    assert len(batch["index"]) == 0
    assert batch["skipped"] == [("a.mp4", "gone"), ("b.mp4", "gone")]


def test_evaluation_clips_are_evenly_spaced_and_not_random(clips):
    data = AVDataModule(clips, LOADING)
    first = next(iter(data.clips("test", VIEWS["video"], VIEWS["audio"], count=3)))
    again = next(iter(data.clips("test", VIEWS["video"], VIEWS["audio"], count=3)))
    assert {"video_0", "video_1", "video_2", "audio_0", "audio_1", "audio_2"} <= set(first)
    assert torch.equal(first["audio_1"], again["audio_1"])
    assert not torch.equal(first["audio_0"], first["audio_2"])
    assert len(next(iter(data.clips("train", VIEWS["video"], None, 1, limit=3)))["index"]) == 3


def test_a_small_training_split_is_one_batch(clips):
    data = AVDataModule(clips, replace(LOADING, batch_size=32))
    assert data.batch_size == 8
    with pytest.raises(UserError, match="only 1 training samples"):
        AVDataModule(clips.take([0, 8, 9, 10]), LOADING)


def test_loading_refuses_what_cannot_work():
    with pytest.raises(UserError, match="batch_size must be at least 2"):
        Loading(batch_size=1)
    with pytest.raises(UserError, match="decode_size"):
        Loading(decode_size=2)


def test_an_epoch_goes_on_after_what_was_seen_and_nothing_of_that_is_read(clips, monkeypatch):
    data = AVDataModule(clips, LOADING, seed=5)
    data.train_views = VIEWS
    loader = data.train_dataloader()
    whole = {epoch: [b["index"].tolist() for b in _epoch(loader, epoch)] for epoch in (0, 1, 2)}
    read = []
    get = ClipDataset.__getitem__
    monkeypatch.setattr(ClipDataset, "__getitem__", lambda self, key: (read.append(key), get(self, key))[1])
    data.begin_at(1, 1)
    assert len(loader) == 2  # as many batches as an epoch has
    assert [b["index"].tolist() for b in _epoch(loader, 1)] == whole[1][1:]
    assert [index for _, index in read] == whole[1][1]
    assert [b["index"].tolist() for b in _epoch(loader, 2)] == whole[2]


def _epoch(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_ranks_share_an_epoch(monkeypatch):
    def share(rank: int, ranks: int, seen: int = 0) -> list[int]:
        monkeypatch.setattr("ssl_av.data.datamodule.ranks.count", lambda: ranks)
        monkeypatch.setattr("ssl_av.data.datamodule.ranks.own", lambda: rank)
        sampler = EpochSampler(11, shuffle=True, seed=3)
        sampler.set_epoch(2)
        sampler.begin_at(2, seen)
        found = list(sampler)
        assert {epoch for epoch, _ in found} == {2}
        assert len(sampler) == len(found) + seen == 11 // ranks
        return [index for _, index in found]

    shares = [share(rank, 3) for rank in range(3)]
    assert len({i for one in shares for i in one}) == 9
    assert share(1, 3, seen=2) == shares[1][2:]
    assert sorted(share(0, 1)) == list(range(11))
