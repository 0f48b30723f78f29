"""Packs: the same batches as from the files, whole or not at all, refused where they hold too little."""

from __future__ import annotations

import shutil
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_av.data.datamodule import AVDataModule, ClipDataset
from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import AudioRequest, MediaError, VideoRequest, create_reader
from ssl_av.data.pack import GOP, describe_pack
from ssl_av.data.pack.build import build_pack
from ssl_av.data.pack.shards import Shard
from ssl_av.data.views import AudioView, StartsWith, VideoView
from ssl_av.errors import UserError

SIZE, RATE = 24, 8000
VIEWS = {"video": VideoView(4, 8.0, 32), "audio": AudioView(0.5, RATE, when=StartsWith("video"))}
LOADING = Loading(batch_size=4, num_workers=0, decode_size=SIZE)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def batches(manifest: Manifest) -> list:
    data = AVDataModule(manifest, LOADING, seed=5)
    data.train_views = VIEWS
    return list(data.train_dataloader())


def test_the_same_batches_as_from_the_files(clips, packed):
    form = describe_pack(packed.root)["pack"]["form"]
    pairs = list(zip(batches(clips), batches(packed), strict=True))
    assert len(pairs) == 2
    for files, pack in pairs:
        assert files["skipped"] == pack["skipped"] == []
        for name in ("index", "label", "video.aspect"):
            assert torch.equal(files[name], pack[name])
        if form == "frames":
            assert torch.equal(files["video"], pack["video"])
        else:
            assert psnr(files["video"].numpy(), pack["video"].numpy()) > 28
        assert pack["audio"].shape == files["audio"].shape
        assert pack["audio"].dtype == torch.float32
        # AAC's noise comes out anew wherever decoding begins, also from a file: the tone is what can be compared.
        spectra = [torch.fft.rfft(b["audio"])[:, :1000].abs() for b in (files, pack)]
        assert torch.nn.functional.cosine_similarity(*spectra).min() > 0.95


def test_a_pack_keeps_what_its_manifest_knew(clips, packed):
    assert packed.classes == clips.classes
    for split in ("train", "val", "test"):
        a, b = clips.split(split), packed.split(split)
        assert [(s.label, s.duration, s.aspect) for s in map(a.__getitem__, range(len(a)))] == [
            (s.label, s.duration, s.aspect) for s in map(b.__getitem__, range(len(b)))
        ]
    record = describe_pack(packed.root)["pack"]
    assert (record["manifest"], record["size"], record["rate"]) == (clips.hash, SIZE, RATE)
    assert describe_pack(clips.root) == {}
    rows, classes = PackDataset(packed.root).rows()
    assert (len(rows), classes) == (12, ("a", "b"))


def test_a_pack_can_be_moved(packed, tmp_path: Path):
    moved = shutil.copytree(packed.root, tmp_path / "else where")
    manifest = PackDataset(moved).manifest()
    assert Path(manifest[0].path).is_relative_to(moved)
    assert manifest.hash == packed.hash
    assert "video" in ClipDataset(manifest, VIEWS, LOADING)[(0, 0)]


def test_every_frame_in_any_order_and_over_keyframes(clips, packed):
    reader = create_reader()
    times = np.array([3.9, 0.0, 0.76, 0.74, 1.5, 0.76, 2.26])
    requests = [VideoRequest(times, (SIZE, SIZE)), VideoRequest(times[::-1], (SIZE // 2, SIZE))]
    for one, other in zip(
        reader.read(clips[0].path, requests)[0], reader.read(packed[0].path, requests)[0], strict=True
    ):
        assert one.shape == other.shape
        assert min(psnr(a, b) for a, b in zip(one, other, strict=True)) > 24
    stored = Shard(packed.root / "shards" / "00000.arrow")[0]
    assert len(stored.times) == 64
    if len(stored.packets):
        nal = [
            stored.picture[begin + 4] & 31 for begin in stored.packets[:-1]
        ]  # the first unit of each packet
        assert [i for i, kind in enumerate(nal) if kind in (7, 9)] == list(range(0, 64, GOP))


def test_probing_a_pack(clips, packed):
    file, member = create_reader().probe(clips[0].path), create_reader().probe(packed[0].path)
    assert (member.width, member.height, member.audio_rate) == (SIZE, SIZE, RATE)
    assert (member.has_video, member.has_audio) == (True, True)
    assert member.duration == pytest.approx(file.duration, abs=0.01)
    assert member.fps == pytest.approx(file.fps, rel=0.02)


def test_a_piece_of_a_file_has_times_of_its_own(clips, tmp_path: Path, pack_of):
    rows = [Row(clips[i].path, 0, "train", start=1.03, end=2.71) for i in range(2)]
    pieces = build_manifest(rows, ("a",), Path(clips.root), create_reader())
    build_pack(pieces, pack_of(pieces, form="frames"), tmp_path / "pack")
    pack = PackDataset(tmp_path / "pack").manifest()
    for epoch in range(5):
        a, b = (ClipDataset(m, VIEWS, LOADING)[(epoch, 1)] for m in (pieces, pack))
        assert torch.equal(a["video"], b["video"])


def test_fewer_frames_a_second(clips, tmp_path: Path, pack_of):
    build_pack(clips.take([0]), pack_of(clips.take([0]), form="frames", fps=5.0), tmp_path / "pack")
    pack = PackDataset(tmp_path / "pack").manifest()
    reader, times = create_reader(), np.array([0.0, 0.55, 1.99, 3.97])
    kept = np.floor(times * 5) / 5
    expected = reader.read(clips[0].path, [VideoRequest(kept, (SIZE, SIZE))])[0][0]
    assert np.array_equal(reader.read(pack[0].path, [VideoRequest(times, (SIZE, SIZE))])[0][0], expected)


def test_the_picture_s_own_shape(clips, tmp_path: Path, pack_of):
    wide = clips.take([0])
    pack = pack_of(wide, shape="aspect", size=32)
    build_pack(wide, pack, tmp_path / "pack")
    assert Shard(tmp_path / "pack" / "shards" / "00000.arrow")[0].width == 32
    from ssl_av.data.pack.encode import _size

    assert _size(replace(wide[0], aspect=340 / 256), replace(pack, size=128)) == (128, 170)
    assert _size(replace(wide[0], aspect=9 / 16), replace(pack, size=128)) == (228, 128)


def write_wav(path: Path, wave_: np.ndarray, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((wave_ * 32767).astype("<i2").tobytes())


def test_sound_is_shifted_by_less_than_a_sample_and_else_the_same(tmp_path: Path, pack_of):
    source, tone = 16_000, 440.0
    write_wav(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * tone * np.arange(2 * source) / source), source)
    manifest = build_manifest([Row("a.wav", 0, "train")], ("a",), tmp_path, create_reader())
    build_pack(manifest, pack_of(manifest), tmp_path / "pack")
    pack = PackDataset(tmp_path / "pack").manifest()
    reader = create_reader()
    for start, rate, shift in (
        (0.5, RATE, 0.0),
        (0.50004, RATE, 0.5 / RATE + 0.5 / source),
        (0.5, 4000, 0.0),
        (1.8, RATE, 0.0),
    ):
        request = [AudioRequest(start, 0.25, rate)]
        a, b = (reader.read(m[0].path, (), request)[1][0] for m in (manifest, pack))
        inside = slice(0, round((1.99 - start) * rate))  # the very end is the resampler's
        assert np.abs(a - b)[inside].max() < 1e-3 + 0.5 * 2 * np.pi * tone * shift
        assert len(a) == len(b)
    assert not b[-100:].any()
    with pytest.raises(MediaError, match="no video stream"):
        reader.read(pack[0].path, [VideoRequest(np.zeros(1))])
    with pytest.raises(MediaError, match=r"no sound from 2\.50 s"):
        reader.read(pack[0].path, (), [AudioRequest(2.5, 0.2, RATE)])


@pytest.mark.parametrize(
    ("views", "decode_size", "message"),
    [
        ({"v": VideoView(4, 8.0, 32)}, 32, "holds 24 pixels, view 'v' asks for --data.decode_size 32: .* --size 32"),
        ({"v": VideoView(4, 8.5, 32)}, 24, "holds 8 frames a second, view 'v' asks for 8.5 .* --fps 8.5"),
        ({"a": AudioView(1.0, 16_000)}, 24, "holds sound at 8000 Hz, view 'a' asks for sound at 16000 Hz"),
    ],
)  # fmt: skip
def test_views_that_a_pack_cannot_serve(views, decode_size, message, clips, tmp_path: Path, pack_of):
    one = clips.take([0])
    build_pack(one, pack_of(one, fps=8.0), tmp_path / "pack")
    pack = PackDataset(tmp_path / "pack").manifest()
    with pytest.raises(UserError, match=message):
        ClipDataset(pack, views, replace(LOADING, decode_size=decode_size))
    ClipDataset(pack, VIEWS, LOADING)
    ClipDataset(one, views, replace(LOADING, decode_size=decode_size))
    reader = create_reader()
    with pytest.raises(MediaError, match="holds 24x24 pixels, asked for 32x24"):
        reader.read(pack[0].path, [VideoRequest(np.zeros(1), (32, 24))])
    with pytest.raises(MediaError, match="holds sound at 8000 Hz, asked for 16000 Hz"):
        reader.read(pack[0].path, (), [AudioRequest(0.0, 0.5, 16_000)])


@pytest.mark.slow
def test_real_files_of_all_kinds(shared: Path, tmp_path: Path, pack_of):
    names = (
        "RATRACE",
        "non_zero_start",
        "rotated",
        "video_90",
        "odd_width",
        "sine_stereo",
        "pancake",
        "part_0",
    )
    files = [f for f in sorted((shared / "clips").rglob("*.*")) if any(n in f.name for n in names)]
    assert len(files) == len(names)
    rows = [Row(str(f), 0, "train") for f in files]
    manifest = build_manifest(rows, ("a",), shared / "clips", create_reader())
    build_pack(manifest, pack_of(manifest, form="frames"), tmp_path / "pack")
    pack = PackDataset(tmp_path / "pack").manifest()
    reader, rng = create_reader(), np.random.default_rng(0)
    for i in range(len(manifest)):
        times = np.sort(rng.uniform(0, max(manifest[i].duration - 0.1, 0.01), 6))
        request = [VideoRequest(times, (SIZE, SIZE))]
        a, b = (reader.read(m[i].path, request)[0][0] for m in (manifest, pack))
        assert np.array_equal(a, b), manifest[i].path
