"""The HEAR API: https://hearbenchmark.com/hear-api.html, and what its validator checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ssl_av.backbones.base import Backbone
from ssl_av.errors import UserError
from ssl_av.evaluation import hear
from ssl_av.evaluation.hear import HearModel, get_scene_embeddings, get_timestamp_embeddings, load_model
from ssl_av.methods import create_method
from ssl_av.runs.run import save_untrained
from ssl_av.transforms.spectrograms import FrontEnd

SMALL = {
    "networks": {
        "video": "r2plus1d_10", "video_args": {"width": 4},
        "audio": "conv9_audio", "audio_args": {"width": 4},
    },
}  # fmt: skip


def checkpoint(folder: Path, front_end: str, name: str = "random") -> Path:
    inputs = {"frames": 4, "fps": 8, "size": 32, "audio_seconds": 1.5, "front_end": front_end}
    torch.manual_seed(0)
    save_untrained(create_method(name, inputs=inputs, **SMALL), folder / f"{front_end}.ckpt")
    return folder / f"{front_end}.ckpt"


def noise(sounds: int, seconds: float, rate: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(sounds, int(seconds * rate), generator=generator) * 2 - 1


@pytest.mark.parametrize("front_end", ["small", "avid", "stica", "brave", "crisscross"])
def test_shapes_types_and_times(tmp_path: Path, front_end: str):
    model = load_model(str(checkpoint(tmp_path, front_end)))
    assert isinstance(model, nn.Module)
    assert not model.training
    assert model.sample_rate in (16000, 22050, 44100, 48000)
    assert type(model.scene_embedding_size) is int
    assert type(model.timestamp_embedding_size) is int
    scenes = get_scene_embeddings(noise(2, 2.74, model.sample_rate), model)
    assert scenes.dtype == torch.float32
    assert scenes.shape == (2, model.scene_embedding_size)
    for seconds in (0.02, 1.07, 1.98):
        found, stamps = get_timestamp_embeddings(noise(2, seconds, model.sample_rate), model)
        assert found.dtype == stamps.dtype == torch.float32
        assert found.shape == (*stamps.shape, model.timestamp_embedding_size)
        assert stamps.shape[0] == 2
        assert bool((stamps.diff(dim=1) - 50).abs().max() < 1e-3) if seconds > 0.05 else stamps.shape[1] == 1
        assert stamps.min() == 0
        assert 1000 * seconds - 50 < stamps.max() <= 1000 * seconds
        assert torch.isfinite(found).all()
    assert torch.isfinite(get_scene_embeddings(noise(1, 0.02, model.sample_rate), model)).all()


def test_a_clip_alone_gives_what_it_gives_in_a_batch(tmp_path: Path):
    model = load_model(checkpoint(tmp_path, "avid"), batch=7)
    audio = noise(3, 4.3, model.sample_rate)
    audio[1] *= 0.01
    alone = [get_scene_embeddings(clip[None], model) for clip in audio]
    assert torch.allclose(get_scene_embeddings(audio, model), torch.cat(alone), atol=1e-5)
    parts = [get_timestamp_embeddings(clip[None], model)[0] for clip in audio]
    assert torch.allclose(get_timestamp_embeddings(audio, model)[0], torch.cat(parts), atol=1e-5)


def test_is_the_backbone_of_the_file(tmp_path: Path):
    from ssl_av import load_method

    path = checkpoint(tmp_path, "small")
    model, method = load_model(path), load_method(path)
    audio = noise(2, 1.5, 16000)  # as long as it was trained on: one window
    direct = method.net("audio")(method.front_end(audio))
    assert torch.allclose(get_scene_embeddings(audio, model), direct, atol=1e-6)
    longer = torch.cat([audio, audio.flip(1)], dim=1)  # 3 s: windows at 0, 0.75 and 1.5 s
    three = [method.net("audio")(method.front_end(longer[:, k : k + 24000])) for k in (0, 12000, 24000)]
    assert torch.allclose(get_scene_embeddings(longer, model), torch.stack(three).mean(0), atol=1e-6)


def test_another_rate_is_resampled(tmp_path: Path):
    from ssl_av import load_method

    path = checkpoint(tmp_path, "avid")
    model, method = load_model(path), load_method(path)
    assert (method.front_end.sample_rate, model.sample_rate) == (24000, 48000)
    tone = {rate: torch.sin(2 * torch.pi * 440 * torch.arange(rate) / rate)[None] for rate in (24000, 48000)}
    want = method.net("audio")(method.front_end(tone[24000]))
    found = get_scene_embeddings(tone[48000], model)
    assert torch.nn.functional.cosine_similarity(found, want).item() > 0.999


class Samples(FrontEnd):
    """The waveform itself."""

    sample_rate, bins, hop = 44100, 1, 1

    def frames(self, samples: int) -> int:
        return samples

    def _values(self, wave: Tensor) -> Tensor:
        return wave[..., None]


class Loudest(Backbone):
    """The largest sample, and where it stands."""

    modality, num_features, stages, smallest = "audio", 2, (), (1, 1)

    def __init__(self) -> None:
        super().__init__("max")
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        top = x.flatten(1).max(dim=1)
        return torch.stack([top.values, top.indices.float()], dim=1)


def test_timestamps_are_the_centres():
    model = HearModel(Loudest(), Samples(), seconds=1.0, window=0.3, hop=0.025)
    audio = torch.zeros(1, 3 * 44100)
    audio[0, 2 * 44100] = 1.0  # a click at two seconds
    found, stamps = get_timestamp_embeddings(audio, model)
    hears = stamps[found[..., 0] > 0]
    assert hears.mean().item() == pytest.approx(2000, abs=13)
    assert hears.min() >= 1849
    assert hears.max() <= 2151
    at = (stamps == 2000).nonzero()[0, 1]
    assert found[0, at, 1].item() == pytest.approx(0.15 * 44100, abs=1)


def test_times_do_not_drift():
    """25 ms are 1102.5 samples at 44.1 kHz: rounded once and added up, 37 minutes are 25 ms wrong."""
    model = HearModel(Loudest(), Samples(), seconds=1.0, window=0.05, hop=0.025)
    audio = torch.zeros(1, 300 * 44100)
    audio[0, -44100] = 1.0
    found, stamps = get_timestamp_embeddings(audio, model)
    at = (stamps == 299_000).nonzero()[0, 1]
    assert stamps.shape[1] == 12_001
    assert found[0, at, 1].item() == pytest.approx(0.025 * 44100, abs=1)


def test_wrong_input(tmp_path: Path):
    with pytest.raises(UserError, match="no such checkpoint"):
        load_model(tmp_path / "none.ckpt")
    with pytest.raises(UserError, match="give a file"):
        load_model()
    path = checkpoint(tmp_path, "small")
    with pytest.raises(UserError, match="above 0"):
        load_model(path, hop=0)
    model = load_model(path)
    with pytest.raises(ValueError, match="n_sounds, n_samples"):
        get_scene_embeddings(torch.zeros(16000), model)
    with pytest.raises(ValueError, match="no samples"):
        get_scene_embeddings(torch.zeros(1, 0), model)
    assert set(dir(hear)) >= {"load_model", "get_scene_embeddings", "get_timestamp_embeddings"}
