"""`ssl-av data show`: what it draws is what training sees, and a user's mistakes are one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_av.cli import run
from ssl_av.config import RunConfig
from ssl_av.data.prepare import prepare_manifest
from ssl_av.data.show import Frames, Sound, flow_colours, look
from ssl_av.errors import UserError
from ssl_av.resolve import resolve_suite

FEW = {"train": 18, "val": 1, "test": 1, "workers": 1, "num_workers": 0}
WORDS = [word for name, value in FEW.items() for word in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("synthav")


def configured(root: Path, method: str, **own: object) -> RunConfig:
    data = {**FEW, "root": str(root)}
    return resolve_suite("tiny", None, data, {"methods": {method: own}}).run_config(method, 0)


def test_frames_and_times_are_those_of_the_file(root: Path) -> None:
    import av

    config = configured(root, "brave")
    manifest = prepare_manifest(config.data["name"], config.dataset_args, config.loading, progress=False)
    seen, skipped = look(config, manifest, 2)
    assert (len(seen), skipped) == (2, [])
    assert seen[0].label in manifest.classes
    assert seen[0].label in seen[0].name
    _, window, shown = seen[0].views["narrow"]
    assert isinstance(shown, Frames)
    (path,) = (p for p in root.rglob(seen[0].name) if "train" in p.parts)
    with av.open(str(path)) as file:
        frames = [(f.time, f.to_ndarray(format="rgb24", width=64, height=64)) for f in file.decode(video=0)]
    assert shown.times[0] == pytest.approx(window.start)
    for k in (0, 4):
        *_, (_, expected) = [f for f in frames if f[0] <= shown.times[k] + 1e-6]
        assert np.abs(shown.before[k].astype(int) - expected).mean() < 2  # another scaler


def test_what_is_shown_as_augmented_is_what_training_gets(root: Path) -> None:
    from ssl_av.data.datamodule import ClipDataset, collate
    from ssl_av.runs.run import build_method

    config = configured(root, "avid")
    manifest = prepare_manifest(config.data["name"], config.dataset_args, config.loading, progress=False)
    seen, _ = look(config, manifest, 3)
    method = build_method(config, manifest).train()
    train = manifest.split("train")
    rows = np.random.default_rng(0).permutation(len(train))[:3]
    data = ClipDataset(train, method.views, config.loading, 0)
    torch.manual_seed(0)
    batch = method.transform_batch(collate([data[(0, int(row))] for row in rows]))
    video, audio = seen[1].views["video"][2], seen[1].views["audio"][2]
    assert isinstance(video, Frames)
    assert isinstance(audio, Sound)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    shown = (video.after - mean) / std
    np.testing.assert_allclose(shown.transpose(3, 0, 1, 2), batch["video"][1].numpy(), atol=1e-4)
    np.testing.assert_array_equal(audio.after, batch["audio"][1, 0].numpy())
    assert np.abs(audio.before - audio.after).max() > 1e-3


def test_a_rescaling_view_is_read_longer_and_seen_at_the_common_length(root: Path) -> None:
    config = configured(root, "avid", inputs={"augment": "avid_paper"})
    manifest = prepare_manifest(config.data["name"], config.dataset_args, config.loading, progress=False)
    view, window, sound = look(config, manifest, 1)[0][0].views["audio"]
    assert isinstance(sound, Sound)
    assert window.seconds == view.seconds == pytest.approx(1.4)
    assert sound.seconds == (pytest.approx(1.4), pytest.approx(1.0))
    assert (len(sound.before), len(sound.after)) == (140, 100)


@pytest.mark.parametrize("method", ["brave", "stica", "crisscross", "avid", "cma", "supervised"])
def test_every_method_is_drawn(root: Path, tmp_path: Path, method: str) -> None:
    out = tmp_path / "views.png"
    words = ["--method", method, "--samples", "1", "--out", str(out), "--root", str(root), *WORDS]
    assert run(["data", "show", *words]) == 0
    picture = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert picture.shape[1] > 1500
    body = picture[picture.shape[0] // 4 :, 200:]
    assert (body.std(axis=2) > 10).mean() > 0.1  # spectrograms and clips, not an empty page


def test_options_reach_the_method_and_the_same_seed_gives_the_same_picture(
    root: Path, tmp_path: Path
) -> None:
    def draw(name: str, *more: str) -> bytes:
        out = tmp_path / name
        words = ["--method", "brave", "--samples", "1", "--out", str(out), "--root", str(root), *WORDS, *more]
        assert run(["data", "show", *words]) == 0
        return out.read_bytes()

    first = draw("a.png")
    assert draw("b.png") == first
    assert draw("c.png", "--seed", "1") != first
    assert draw("d.png", "--method.broad", "[audio, rgb+rc]", "--method.broad_frames", "8") != first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "show needs --method"),
        (["--method", "brav"], "unknown method 'brav'; did you mean brave"),
        (["--method", "random"], "untrained reference"),
        (["--method", "brave", "--data", "synthva"], "unknown data set 'synthva'; did you mean synthav"),
        (["--method", "brave", "--data", "folder"], "root"),
        (["--method", "brave", "--samples", "0"], "--samples 0: give 1 to 12"),
        (["--method", "brave", "--seed", "-1"], "--seed -1"),
        (["--method", "brave", "--dpi", "9"], "--dpi 9: give 30 to 600"),
        (["--method", "brave", "--out", "views.jpg"], "ends in .png"),
        (["--method", "brave", "--out", "no/such/folder/views.png"], "no folder no/such/folder"),
        (["--method", "brave", "--method.inputs.sise", "3"], "method.inputs.siz"),
        (["--method", "brave", "--sampels", "3"], "sampels"),
        (["--method", "brave", "extra"], "unexpected argument 'extra'"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as e:
        run(["data", "show", *words])
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_flow_is_coloured_by_its_direction() -> None:
    flow = np.zeros((2, 1, 2, 2), np.float32)
    flow[0, 0, 0], flow[0, 0, 1, 0] = (3, -3), 0
    right, left, still = (flow_colours(flow)[0][at] for at in ((0, 0), (0, 1), (1, 0)))
    assert right == pytest.approx([1, 0, 0], abs=0.05)
    assert left == pytest.approx([0, 1, 1], abs=0.05)
    assert still == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("show --method brave --samplez 3", "unknown option '--samplez'; did you mean --samples"),
        ("pack synthav --out x --siz 3", "unknown option '--siz'; did you mean --size"),
        ("prepare folder --root . --job 3", "unknown option '--job'; did you mean --jobs"),
        ("synth x --trian 8", "unknown option '--trian'; did you mean --train"),
    ],
)
def test_options_of_the_tool_and_of_the_data_set_are_suggested(words: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        run(["data", *words.split()])
    assert says in str(error.value)
