"""Making packs: whole or not at all, interrupted and continued, what fails named."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_av.data.datamodule import ClipDataset
from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Row, Skip, build_manifest
from ssl_av.data.media import MediaError, VideoRequest, create_reader
from ssl_av.data.pack import PACK_FILE, Pack, check_views, describe_pack
from ssl_av.data.pack import build as building
from ssl_av.data.pack.build import build_pack
from ssl_av.data.pack.sums import SUMS_FILE, damaged
from ssl_av.data.prepare import prepare_manifest
from ssl_av.data.views import AudioView, StartsWith, VideoView
from ssl_av.errors import UserError

SIZE, RATE = 24, 8000
VIEWS = {"video": VideoView(4, 8.0, 32), "audio": AudioView(0.5, RATE, when=StartsWith("video"))}
LOADING = Loading(batch_size=4, num_workers=0, decode_size=SIZE)


def test_what_cannot_be_read_is_skipped_as_from_the_files(clips, tmp_path: Path, pack_of):
    rows = []
    for i in range(8):
        shutil.copy(clips[i].path, tmp_path / f"{i}.mp4")
        rows.append(Row(f"{i}.mp4", 0, "train"))
    manifest = build_manifest(rows, ("a",), tmp_path, create_reader())
    (tmp_path / "2.mp4").write_bytes(b"no more")
    (tmp_path / "5.mp4").unlink()
    built = build_pack(manifest, pack_of(manifest, form="frames"), tmp_path / "pack")
    assert [skip.path for skip in built.failures] == ["2.mp4", "5.mp4"]
    assert built.failures[1].reason == "no such file"
    pack = PackDataset(tmp_path / "pack").manifest()
    for index in range(8):
        a, b = (ClipDataset(m, VIEWS, LOADING)[(0, index)] for m in (manifest, pack))
        if index in (2, 5):
            assert isinstance(a, Skip)
            assert isinstance(b, Skip)
            assert a.reason == b.reason
        else:
            assert torch.equal(a["video"], b["video"])


def test_an_interrupted_packing_goes_on(clips, tmp_path: Path, monkeypatch, capfd, pack_of):
    out, pack = tmp_path / "pack", pack_of(clips)
    real, seen = building.pack_sample, []

    def fails(sample, *rest):
        seen.append(sample.path)
        if len(seen) == 8:
            raise KeyboardInterrupt
        return real(sample, *rest)

    monkeypatch.setattr(building, "pack_sample", fails)
    with pytest.raises(KeyboardInterrupt):
        build_pack(clips, pack, out)
    assert sorted(f.name for f in (out / "shards").iterdir()) == ["00000.arrow"]
    with pytest.raises(UserError, match="is not finished; run its `ssl-av data pack` command again"):
        PackDataset(out).manifest()
    (out / "shards" / ".00001.arrow.999999999.part").write_bytes(b"left by a killed process")
    (out / "shards" / f".00002.arrow.{os.getpid()}.part").write_bytes(b"of a living one")
    before = (out / "shards" / "00000.arrow").stat().st_mtime_ns
    build_pack(clips, pack, out)
    assert len(seen) == 8 + 7  # the two of the second shard that were lost, and the others
    assert (out / "shards" / "00000.arrow").stat().st_mtime_ns == before
    parts = [f.name for f in (out / "shards").glob(".*")]
    assert parts in ([], [f".00002.arrow.{os.getpid()}.part"])
    assert len(PackDataset(out).manifest()) == 12
    again = build_pack(clips, pack, out)
    assert (len(seen), again.failures) == (15, ())
    bad = out / "shards" / "00001.arrow"
    good = bad.read_bytes()
    # a bit changed, cut off, lost: the same command brings it back
    for spoilt in (good[:-3000] + bytes([good[-3000] ^ 1]) + good[-2999:], good[:5000], None):
        assert list(damaged(out, out / "shards")) == []
        bad.unlink() if spoilt is None else bad.write_bytes(spoilt)
        capfd.readouterr()
        prepare_manifest("pack", {"root": out}, LOADING)  # who cannot pack again may use what is left
        assert "is damaged (00001.arrow is not" in capfd.readouterr().err
        (out / "manifest.arrow").write_bytes(b"\0" * 5000)
        build_pack(clips, pack, out)
        assert len(PackDataset(out).manifest()) == 12
        assert "00001.arrow is not" in capfd.readouterr().err
        assert bad.read_bytes() == good
    (out / SUMS_FILE).unlink()  # a pack of before there were checksums
    bad.write_bytes(good[:5000])
    with pytest.raises(
        UserError, match=r"00001\.arrow: is damaged; remove it, then give the same command again"
    ):
        build_pack(clips, pack, out)


def test_a_folder_of_another_pack_or_of_something_else(clips, packed, tmp_path: Path, pack_of):
    form = describe_pack(packed.root)["pack"]["form"]
    with pytest.raises(UserError, match="holds a pack of other size: 24, now 32; give another folder"):
        build_pack(clips, pack_of(clips, form=form, size=32), packed.root)
    with pytest.raises(UserError, match=r"holds a pack of other data \(another manifest\)"):
        build_pack(clips.take([0]), pack_of(clips.take([0]), form=form), packed.root)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="exists and is no pack"):
        build_pack(clips, pack_of(clips), tmp_path)
    with pytest.raises(UserError, match="not a pack; `ssl-av data pack NAME --out DIR` makes one"):
        PackDataset(tmp_path).manifest()
    with pytest.raises(UserError, match="no such folder"):
        PackDataset(tmp_path / "none").manifest()
    (tmp_path / PACK_FILE).write_text('{"version": 99}')
    with pytest.raises(UserError, match="a pack of version 99, this ssl-av reads version 1: pack again"):
        PackDataset(tmp_path).manifest()
    (tmp_path / PACK_FILE).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        check_views(tmp_path, VIEWS, SIZE)


def test_a_damaged_pack_is_named(clips, tmp_path: Path, pack_of):
    one = clips.take([0])
    build_pack(one, pack_of(one), tmp_path / "pack")
    reader, request = create_reader(), [VideoRequest(np.arange(8) / 8, (SIZE, SIZE))]
    pack = tmp_path / "pack"
    good = reader.read(f"{pack}/shards/00000.arrow#0", request)[0][0]
    os.mkfifo(tmp_path / "pipe.arrow")  # it would be waited for
    with pytest.raises(MediaError, match="damaged shard"):
        reader.read(f"{tmp_path}/pipe.arrow#0", request)
    for number, (cut, reason) in enumerate([(0.5, "damaged shard"), (0.0, "damaged shard")]):
        bad = shutil.copytree(pack, tmp_path / f"bad{number}") / "shards" / "00000.arrow"
        whole = bad.read_bytes()
        bad.write_bytes(whole[: int(len(whole) * cut)])
        with pytest.raises(MediaError, match=reason):
            reader.read(f"{bad}#0", request)
    for member, reason in (("00000.arrow#7", "damaged shard"), ("00009.arrow#0", "no such shard")):
        with pytest.raises(MediaError, match=reason):
            reader.read(f"{pack}/shards/{member}", request)
    assert np.array_equal(reader.read(f"{pack}/shards/00000.arrow#0", request)[0][0], good)


class FragilePool:
    """Does the work at once; the third sample kills the process."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, work, sample, pack) -> Future:
        future: Future = Future()
        if sample.path.endswith("train2.mp4"):
            future.set_exception(BrokenProcessPool())
        else:
            future.set_result(work(sample, pack))
        return future

    def shutdown(self, **_: object) -> None: ...

    def __enter__(self) -> FragilePool:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("workers", [2, 8])
def test_a_file_that_kills_its_process_is_named_and_the_rest_is_packed(
    workers, clips, tmp_path: Path, monkeypatch, pack_of
):
    monkeypatch.setattr(building, "_pool", FragilePool)
    built = build_pack(clips, pack_of(clips, form="frames"), tmp_path / "pack", workers=workers)
    assert built.failures == (Skip("train2.mp4", "the process that read it died"),)
    pack = PackDataset(tmp_path / "pack").manifest()
    reader, request = create_reader(), [VideoRequest(np.zeros(1), (SIZE, SIZE))]
    for i in range(len(clips)):
        if i != 2:
            a, b = (reader.read(m[i].path, request)[0][0] for m in (clips, pack))
            assert np.array_equal(a, b)


@pytest.mark.slow
def test_the_same_bytes_from_any_number_of_processes(clips, packed, tmp_path: Path, pack_of):
    form = describe_pack(packed.root)["pack"]["form"]
    build_pack(clips, pack_of(clips, form=form), tmp_path / "pack", workers=2, progress=True)
    for shard in (packed.root / "shards").iterdir():
        assert shard.read_bytes() == (tmp_path / "pack" / "shards" / shard.name).read_bytes()


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"form": "vido"}, "unknown form 'vido'; did you mean video"),
        ({"shape": "sqare"}, "did you mean square"),
        ({"size": 127}, "--size 127: give an even number"),
        ({"fps": 0.0}, "--fps 0.0"),
        ({"rate": 10}, "--rate 10"),
        ({"per_shard": 0}, "--per_shard 0"),
    ],
)
def test_settings_that_cannot_work(kw, message):
    with pytest.raises(UserError, match=message):
        Pack("x", "0", 1, **kw)
