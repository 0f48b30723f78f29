"""The embedded data set: what it renders, that nothing but time gives the class away, and its cache."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ssl_av.data import synthav
from ssl_av.data.datasets.synthav import SynthavDataset
from ssl_av.errors import UserError


def decode(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        wave = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return frames, wave


def test_sample_has_the_promised_shape() -> None:
    frames, wave, label = synthav.render_sample(0, "train", 11)
    assert frames.shape == (synthav.SECONDS * synthav.FPS, synthav.SIZE, synthav.SIZE, 3)
    assert frames.dtype == np.uint8
    assert wave.shape == (synthav.SECONDS * synthav.RATE,)
    assert wave.dtype == np.float32
    assert np.abs(wave).max() <= 1.0
    assert label == 11 % len(synthav.EVENTS)


def test_same_arguments_same_sample_and_all_else_differs() -> None:
    frames, wave, _ = synthav.render_sample(0, "train", 3)
    again, wave_again, _ = synthav.render_sample(0, "train", 3)
    np.testing.assert_array_equal(frames, again)
    np.testing.assert_array_equal(wave, wave_again)
    for other in ((1, "train", 3), (0, "val", 3), (0, "test", 3), (0, "train", 11)):
        other_frames, other_wave, _ = synthav.render_sample(*other)
        assert not np.array_equal(frames, other_frames)
        assert not np.array_equal(wave, other_wave)


@pytest.mark.parametrize("event", synthav.EVENTS)
def test_contours_visit_every_height_equally(event: str) -> None:
    rng = np.random.default_rng(0)
    seconds = np.arange(80) / 20
    heights = np.concatenate([synthav.draw_contour(rng, *event.split("-"))(seconds) for _ in range(2000)])
    assert heights.min() >= 0
    assert heights.max() <= 1
    counts, _ = np.histogram(heights, bins=10, range=(0, 1))
    assert np.abs(counts / counts.mean() - 1).max() < 0.1


@pytest.mark.parametrize(("motion", "upwards"), [("rise", 1.0), ("fall", 0.0), ("swing", 0.5)])
def test_contours_move_as_they_are_called(motion: str, upwards: float) -> None:
    contour = synthav.draw_contour(np.random.default_rng(1), motion, "slow")
    steps = np.diff(contour(np.arange(4000) / 1000))
    glides = steps[np.abs(steps) < 0.1]
    assert np.mean(glides > 0) == pytest.approx(upwards, abs=0.15)


def test_hops_hold_and_never_stay() -> None:
    contour = synthav.draw_contour(np.random.default_rng(2), "hop", "quick")
    steps = np.diff(contour(np.arange(4000) / 1000))
    assert np.mean(steps == 0) > 0.98
    assert np.abs(steps[steps != 0]).min() >= 0.24
    assert np.diff(contour.heights).all()


def features(split: str, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    found: dict[str, list[np.ndarray]] = {"colour": [], "image": [], "power": [], "log": []}
    labels = []
    for index in range(count):
        frames, wave, label = synthav.render_sample(0, split, index)
        spectrum = np.abs(np.fft.rfft(wave.reshape(-1, 400) * np.hanning(400))) ** 2
        bands = spectrum[:, 1:].reshape(len(spectrum), 40, 5).mean(axis=2)
        found["colour"].append(frames.mean(axis=(0, 1, 2)))
        found["image"].append(frames.mean(axis=0).reshape(8, 8, 8, 8, 3).mean(axis=(1, 3)).ravel())
        found["power"].append(bands.mean(axis=0))
        found["log"].append(np.log(bands + 1e-6).mean(axis=0))
        labels.append(label)
    return {name: np.stack(rows) for name, rows in found.items()}, np.array(labels)


@pytest.mark.slow
def test_averages_over_time_do_not_give_the_class_away() -> None:
    train, train_labels = features("train", 320)
    test, test_labels = features("test", 480)
    for name in train:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        accuracy = classifier.fit(train[name], train_labels).score(test[name], test_labels)
        # Chance is 12.5 %; 480 samples scatter by 1.5 points.
        assert accuracy < 0.18, f"a linear classifier on the mean {name} is right in {accuracy:.0%}"


def test_file_is_what_was_rendered(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    synthav.render_file(path, 0, "val", 0)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    frames, wave, _ = synthav.render_sample(0, "val", 0)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height, video.average_rate) == (synthav.SIZE, synthav.SIZE, synthav.FPS)
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", synthav.RATE, 1)
        assert float(audio.duration * audio.time_base) == pytest.approx(synthav.SECONDS, abs=0.1)
    decoded, sound = decode(path)
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 8
    # 1,024 samples are one AAC frame.
    assert abs(len(sound) - len(wave)) <= 2 * 1024
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(np.sqrt(np.mean(wave**2)), rel=0.2)


def test_same_seed_same_file(tmp_path: Path) -> None:
    digests = []
    for name in ("a.mp4", "b.mp4"):
        synthav.render_file(tmp_path / name, 5, "test", 6)
        digests.append(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_a_failed_rendering_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, *_: object) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(synthav, "write_mp4", broken)
    with pytest.raises(KeyboardInterrupt):
        synthav.render_file(tmp_path / "a.mp4", 0, "train", 0)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_balanced_and_there(tmp_path: Path) -> None:
    dataset = SynthavDataset(root=tmp_path, train=16, val=8, test=8, workers=1)
    rows, classes = dataset.rows()
    assert classes == synthav.EVENTS
    assert Counter(row.split for row in rows) == {"train": 16, "val": 8, "test": 8}
    for split in synthav.SPLITS:
        assert len(set(Counter(row.label for row in rows if row.split == split).values())) == 1
    assert all((dataset.root / row.path).is_file() for row in rows)
    assert all(classes[row.label] in row.path for row in rows)


def test_interrupted_rendering_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, rendered = synthav.render_file, []

    def stopping(path: Path, *what: object) -> None:
        if len(rendered) == 5:
            raise KeyboardInterrupt
        rendered.append(path)
        real(path, *what)  # type: ignore[arg-type]

    dataset = SynthavDataset(root=tmp_path, train=8, val=1, test=1, workers=1)
    monkeypatch.setattr(synthav, "render_file", stopping)
    with pytest.raises(KeyboardInterrupt):
        dataset.rows()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    assert len(before) == 5
    monkeypatch.setattr(synthav, "render_file", real)
    # Other sizes of the same seed share the files.
    SynthavDataset(root=tmp_path, train=9, val=1, test=1, workers=1).rows()
    assert len(list(tmp_path.rglob("*.mp4"))) == 11
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_processes_render_the_same_files(tmp_path: Path) -> None:
    files = []
    for workers in (1, 2):
        root = tmp_path / str(workers)
        SynthavDataset(root=root, train=8, val=1, test=1, workers=workers).rows()
        files.append({path.name: path.read_bytes() for path in sorted(root.rglob("*.mp4"))})
    assert files[0] == files[1]


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"train": 0}, {"workers": 0}])
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        SynthavDataset(root=tmp_path, **wrong)


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another root"):
        SynthavDataset(root=tmp_path / "file", train=1, val=1, test=1, workers=1).rows()


def test_a_renderer_that_dies_is_one_line_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures.process import BrokenProcessPool

    from ssl_av.data.datasets import synthav as dataset

    def die(*_: object) -> None:
        raise BrokenProcessPool("a child process terminated abruptly")

    monkeypatch.setattr(dataset, "_render", die)
    with pytest.raises(UserError, match=r"a process that rendered it died .* set workers to 1"):
        SynthavDataset(root=tmp_path, train=1, val=1, test=1).rows()
