"""The manifest: probing once, selecting, saving, and a hash that is the same elsewhere."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ssl_av.data.manifest import Manifest, Row, Sample, Skip, build_manifest
from ssl_av.data.media import AudioRequest, MediaError, MediaInfo, VideoRequest, create_reader
from ssl_av.data.skips import Skips
from ssl_av.errors import UserError


class FakeReader:
    """Knows files by their names: ``broken``, ``mute``, ``blind``, else a video of 10 s with sound."""

    name = "fake"

    def __init__(self) -> None:
        self.probed: list[str] = []

    def probe(self, path: str | os.PathLike[str]) -> MediaInfo:
        name = os.path.basename(path)
        self.probed.append(name)
        if "broken" in name:
            raise MediaError("the file is empty")
        seen, heard = "blind" not in name, "mute" not in name
        return MediaInfo(10.0, seen, heard, 25.0, 320, 240, 4 / 3, 44_100, 10.0, 10.0)

    def read(
        self,
        path: str | os.PathLike[str],
        video: Sequence[VideoRequest] = (),
        audio: Sequence[AudioRequest] = (),
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        raise AssertionError("a manifest reads nothing")


def rows(count: int = 20) -> list[Row]:
    return [Row(f"{'ab'[i % 2]}/{i}.mp4", i % 2) for i in range(count)]


def build(root: Path, listed: Sequence[Row], **kw: object) -> Manifest:
    return build_manifest(listed, ("a", "b"), root, FakeReader(), **kw)  # type: ignore[arg-type]


def test_samples(tmp_path: Path) -> None:
    manifest = build(tmp_path, rows())
    assert len(manifest) == 20
    assert manifest.classes == ("a", "b")
    assert manifest[3] == Sample(str(tmp_path / "b" / "3.mp4"), 1, 0.0, 10.0, True, True, 4 / 3)
    assert manifest[-1].path.endswith("19.mp4")
    assert list(manifest.labels) == [0, 1] * 10
    with pytest.raises(IndexError):
        manifest[20]


def test_splits_are_views(tmp_path: Path) -> None:
    manifest = build(tmp_path, rows(100))
    parts = [manifest.split(name) for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [70, 10, 20]
    assert {sample.path for part in parts for sample in part} == {sample.path for sample in manifest}  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="did you mean val"):
        manifest.split("vall")
    taken = parts[0].take(np.array([5, 2, 2]))
    assert [s.path for s in taken] == [parts[0][i].path for i in (5, 2, 2)]  # type: ignore[attr-defined]


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path: Path) -> None:
    listed = [Row("x.mp4"), Row("broken.mp4"), Row("mute.mp4"), Row("blind.ogg"), Row("x.mp4", start=11.0)]
    manifest = build(tmp_path, listed)
    assert len(manifest) == 3
    assert manifest.skipped == (
        Skip("broken.mp4", "the file is empty"),
        Skip("x.mp4", "nothing from 11.00 s to 10.00 s (the file has 10.00 s)"),
    )
    assert [s.path for s in manifest.require(audio=True).skipped[2:]] == ["mute.mp4"]
    both = manifest.require(video=True, audio=True)
    assert len(both) == 1
    assert both.skipped[2:] == (Skip("mute.mp4", "no audio stream"), Skip("blind.ogg", "no video stream"))
    assert len(manifest.require()) == 3


def test_pieces_of_a_file_are_probed_once(tmp_path: Path) -> None:
    reader = FakeReader()
    listed = [Row("a.mp4", start=float(s), end=s + 4.0) for s in (0, 3, 8)]
    manifest = build_manifest(listed, (), tmp_path, reader)
    assert reader.probed == ["a.mp4"]
    assert [(s.start, s.duration) for s in manifest] == [(0.0, 4.0), (3.0, 4.0), (8.0, 2.0)]  # type: ignore[attr-defined]


def test_saved_and_loaded(tmp_path: Path) -> None:
    manifest = build(tmp_path, [*rows(), Row("broken.mp4"), Row("mute é.mp4")])
    view = manifest.require(audio=True).split("train")
    view.save(tmp_path / "deep" / "m.arrow")
    loaded = Manifest.load(tmp_path / "deep" / "m.arrow")
    assert list(loaded) == list(view)  # type: ignore[call-overload]
    assert (loaded.classes, loaded.skipped, loaded.hash) == (view.classes, view.skipped, view.hash)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["m.arrow"]


def test_what_is_left_out_is_kept_in_columns(tmp_path: Path) -> None:
    gone, odd, last = (
        Skip("a.mp4", "no such file"),
        Skip("b\udcff.mp4", "bad ?"),
        Skip("c.mp4", "no such file"),
    )
    skips = Skips([gone, Skip("b\udcff.mp4", "bad \udcff"), last])
    assert skips == (gone, odd, last)
    assert skips != skips[:2]
    assert (skips[-1], skips[1:]) == (last, (odd, last))
    assert skips.reasons() == {"no such file": 2, "bad ?": 1}
    assert skips.where("no such file", is_it=False) == (odd,)
    more = skips.extended(["d.mp4"], ["no audio stream"])
    assert (len(more), len(skips), more[3]) == (4, 3, Skip("d.mp4", "no audio stream"))
    assert pickle.loads(pickle.dumps(more)) == Skips.from_bytes(more.to_bytes()) == tuple(more)
    assert Skips.from_bytes(Skips().to_bytes()) == ()
    assert not Skips().reasons()


def test_empty_manifest(tmp_path: Path) -> None:
    manifest = build(tmp_path, [Row("broken.mp4")])
    manifest.save(tmp_path / "m.arrow")
    loaded = Manifest.load(tmp_path / "m.arrow")
    assert len(loaded) == len(loaded.split("train")) == len(loaded.labels) == 0
    assert loaded.skipped == manifest.skipped


def test_what_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        Manifest.load(tmp_path / "none.arrow")
    (tmp_path / "text.arrow").write_text("no")
    with pytest.raises(UserError, match="is not a manifest"):
        Manifest.load(tmp_path / "text.arrow")


def test_a_damaged_manifest_is_never_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each byte of its cells changed alone: refused, or what is read is the same (padding)."""
    labelled = [Row(f"{i}.mp4", labels=(0, 1)[: i % 3]) for i in range(5)]
    whole = build(tmp_path, labelled, cache=tmp_path / "cache")
    want, name = [whole[i] for i in range(5)], whole.hash  # not mapped from the file any more
    (file,) = (tmp_path / "cache").glob("*.arrow")
    data, said = file.read_bytes(), "is not a manifest of ssl-av .*it is not as it was written"
    cells = data.index(b"0.mp41.mp42.mp4")
    refused = 0
    for at in range(cells - 64, len(data) - 64, 7):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            assert [Manifest.load(file)[i] for i in range(5)] == want
        except UserError:
            refused += 1
    assert refused > 50
    file.write_bytes(data.replace(b"0.mp41.mp42.mp4", b"0.mp41.mp47.mp4"))
    with pytest.raises(UserError, match=said):
        Manifest.load(file)
    again = build(tmp_path, labelled, cache=tmp_path / "cache")
    assert re.search(f"^ssl-av: warning: .*{said}.*; it is made anew$", capsys.readouterr().err, re.M)
    assert [again[i] for i in range(5)] == want
    assert file.read_bytes() == data

    table = pa.ipc.open_file(str(file)).read_all()
    old = {k: v for k, v in table.schema.metadata.items() if k != b"ssl_av.sum"}
    with pa.ipc.new_file(str(file), table.schema.with_metadata(old)) as writer:
        writer.write_table(table.replace_schema_metadata(old))
    assert Manifest.load(file).hash == name, "of before there were checksums"


def test_a_manifest_of_an_older_version_is_refused(tmp_path: Path) -> None:
    build(tmp_path, rows(3)).save(tmp_path / "m.arrow")
    table = pa.ipc.open_file(str(tmp_path / "m.arrow")).read_all().drop_columns(["silent", "codec"])
    with pa.ipc.new_file(str(tmp_path / "old.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(UserError, match=r"older ssl-av \(it has no codec, silent\); make it again"):
        Manifest.load(tmp_path / "old.arrow")


def test_hash_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    here, there = build(tmp_path / "here", rows()), build(tmp_path / "there", rows())
    assert here.hash == there.hash
    assert len(here.hash) == 16
    absolute = [Row(str(tmp_path / "here" / row.path), row.label) for row in rows()]
    assert build(tmp_path / "here", absolute).hash == here.hash
    others = [
        build(tmp_path, rows(19)),
        build(tmp_path, [*rows(19), Row("a/19.mp4", 1)]),
        build(tmp_path, [*rows(19), Row("b/19.mp4", 0)]),
        build(tmp_path, [*rows(19), Row("b/19.mp4", 1, start=1.0)]),
        build_manifest(rows(), ("a", "c"), tmp_path, FakeReader()),
        here.split("train"),
    ]
    assert len({other.hash for other in others} | {here.hash}) == 7


def test_cache_is_used_until_a_file_changes(tmp_path: Path) -> None:
    for row in rows(4):
        (tmp_path / row.path).parent.mkdir(exist_ok=True)
        (tmp_path / row.path).write_bytes(b"x")
    cache = tmp_path / "cache"

    def probed(listed: Sequence[Row]) -> int:
        reader = FakeReader()
        manifest = build_manifest(listed, ("a", "b"), tmp_path, reader, cache=cache)
        assert len(manifest) == len(listed)
        return len(reader.probed)

    assert probed(rows(4)) == 4
    assert probed(rows(4)) == 0
    assert probed(rows(3)) == 0  # another list of the same files: their answers are in the journal
    (tmp_path / rows(4)[1].path).write_bytes(b"longer")
    assert probed(rows(4)) == 1
    for file in cache.glob("*.arrow"):
        file.write_bytes(b"damaged")
    assert probed(rows(4)) == 0
    for file in (f for f in cache.rglob("*") if f.is_file()):
        file.write_bytes(b"damaged")
    assert probed(rows(4)) == 4
    assert probed(rows(4)) == 0


def _paths(manifest: Manifest) -> list[str]:
    return [sample.path for sample in manifest]  # type: ignore[attr-defined]


def test_workers_map_the_file_instead_of_copying_it(tmp_path: Path) -> None:
    build(tmp_path, rows(2000)).save(tmp_path / "m.arrow")
    view = Manifest.load(tmp_path / "m.arrow").split("val")
    assert len(pickle.dumps(view)) < 200 * 8 + 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(len, (view,)) == 200
    again = pickle.loads(pickle.dumps(view))
    assert _paths(again) == _paths(view)
    in_memory = build(tmp_path, rows(5))
    assert _paths(pickle.loads(pickle.dumps(in_memory))) == _paths(in_memory)


def test_progress_bar_goes_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(build(tmp_path, rows(3), progress=True)) == 3
    assert capfd.readouterr().out == ""


def test_names_that_are_not_unicode_are_left_out(tmp_path: Path) -> None:
    manifest = build_manifest([Row("bad\udcff.mp4"), Row("x.mp4")], (), tmp_path, create_reader())
    manifest.save(tmp_path / "m.arrow")
    assert len(Manifest.load(tmp_path / "m.arrow").skipped) == 2


def test_real_folder(shared: Path, tmp_path: Path) -> None:
    root = shared / "clips"
    listed = [Row(str(p.relative_to(root))) for p in sorted(root.glob("original/*"))]
    manifest = build_manifest(listed, (), root, create_reader(), workers=1, cache=tmp_path)
    assert len(manifest) == 24
    assert len(manifest.require(audio=True)) == 7
    assert manifest.skipped == ()
    assert build_manifest(listed, (), root, create_reader(), cache=tmp_path).hash == manifest.hash
    names = ("path", "width", "height", "codec", "audio_codec", "audio_rate", "silent")
    known = {path: rest for path, *rest in zip(*manifest.columns(*names).values(), strict=True)}
    assert known["original/av1_video.mkv"][2] == "av1"
    assert known["original/h265_video.mp4"][2] == "hevc"
    assert known["original/nasa_13013.mp4"][3:] == ["aac", 8000, False]
    assert known["original/v_SoccerJuggling_g23_c01.avi"] == [320, 240, "mpeg4", "", 0, False]


def test_silence_of_real_clips(shared: Path) -> None:
    root = shared / "ucf101_mini"
    listed = [Row(str(p.relative_to(root))) for p in sorted(root.glob("BabyCrawling/*"))]
    columns = build_manifest(listed, (), root, create_reader()).columns("has_audio", "silent")
    assert (columns["has_audio"].sum(), columns["silent"].sum()) == (46, 2)  # as their README says
