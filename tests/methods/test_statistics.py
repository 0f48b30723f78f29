"""The reference without a network, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.methods import create_method

INPUTS = {"frames": 5, "fps": 8, "size": 16, "audio_seconds": 0.5, "front_end": "small"}


def test_sound_is_mean_deviation_and_maximum_of_each_band():
    net = create_method("statistics", inputs=INPUTS).backbones["audio"]
    spec = torch.randn(3, 1, 50, 64)
    x = spec[:, 0].numpy()
    expected = np.concatenate([x.mean(axis=1), x.std(axis=1), x.max(axis=1)], axis=1)
    np.testing.assert_allclose(net(spec), expected, atol=1e-5)
    assert net.num_features == expected.shape[1] == 192


def test_parts_keep_when_something_happened():
    net = create_method("statistics", inputs=INPUTS, parts=2).backbones["audio"]
    spec = torch.randn(2, 1, 50, 64)
    halves = [create_method("statistics", inputs=INPUTS).backbones["audio"](s) for s in spec.split(25, dim=2)]
    torch.testing.assert_close(net(spec), torch.cat(halves, dim=1))
    assert net.num_features == 384


@pytest.mark.parametrize("front_end", ["small", "wide", "brave", "crisscross", "stica"])
def test_silence_can_be_left_out(front_end: str) -> None:
    method = create_method("statistics", inputs=INPUTS | {"front_end": front_end}, skip_silence=True)
    rate = method.front_end.sample_rate
    sound = torch.randn(rate // 2) * 0.1
    filled = torch.stack([torch.cat([sound, torch.zeros(rate)]), torch.zeros(3 * rate // 2)])
    spec = method.front_end(filled)
    x = spec[0, 0].numpy()
    heard = x[(x > x[-1] + 1e-4).any(axis=1)]
    assert len(heard) < 0.4 * len(x)
    expected = np.concatenate([heard.mean(axis=0), heard.std(axis=0), heard.max(axis=0)])
    found = method.backbones["audio"](spec)
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    # nothing else is there: all of it counts
    np.testing.assert_allclose(found[1, : len(x[-1])], x[-1], atol=1e-5)
    everything = create_method("statistics", inputs=INPUTS | {"front_end": front_end}).backbones["audio"](
        spec
    )
    assert (everything[0] - found[0]).abs().max() > 0.1


def test_picture_is_colours_and_changes_of_a_grid():
    method = create_method("statistics", inputs=INPUTS, cells=4, region=(0.25, 0.5, 0.75, 1.0))
    video = torch.rand(2, 3, 5, 16, 16)
    x = video.numpy()[..., 8:16, 4:12].reshape(2, 3, 5, 4, 2, 4, 2).mean(axis=(4, 6))
    grey = np.einsum("bctij,c->btij", x, [0.299, 0.587, 0.114])
    change = np.diff(grey, axis=1)
    rows = [x[:, c, 1:] for c in range(3)] + [change]
    flat = np.stack(rows, axis=1).transpose(0, 1, 3, 4, 2).reshape(2, -1, 4)
    expected = np.concatenate([flat.mean(axis=2), flat.std(axis=2), flat.max(axis=2)], axis=1)
    net = method.backbones["video"]
    np.testing.assert_allclose(net(video), expected, atol=1e-5)
    assert net.num_features == expected.shape[1] == 3 * 4 * 16


def test_motion_is_the_changes_of_each_stretch():
    method = create_method("statistics", inputs=INPUTS, cells=4, parts=2, motion=True)
    video = torch.rand(2, 3, 5, 16, 16)
    x = video.numpy().reshape(2, 3, 5, 4, 4, 4, 4).mean(axis=(4, 6))
    change = np.diff(np.einsum("bctij,c->btij", x, [0.299, 0.587, 0.114]), axis=1).reshape(2, 4, 16)
    halves = [change[:, :2], change[:, 2:]]
    expected = np.concatenate([f(h).mean(axis=1) for h in halves for f in (np.asarray, np.abs)], axis=1)
    net = method.backbones["video"]
    np.testing.assert_allclose(net(video), expected, atol=1e-5)
    assert net.num_features == expected.shape[1] == 64


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"parts": 0}, "statistics: parts must be a whole number above 0"),
        ({"region": (0.5, 0.0, 0.5, 1.0)}, "region is left, top, right, bottom"),
        ({"cells": 20}, "at least 2 frames of 20 pixels, got 5 of 16"),
        ({"skip_silence": True, "inputs": INPUTS | {"front_end": "avid"}}, "inputs.front_end small or wide"),
        ({"part": 2}, "did you mean parts"),
    ],
)
def test_settings_that_cannot_be(settings: dict, says: str):
    with pytest.raises(UserError, match=says):
        create_method("statistics", **{"inputs": INPUTS, **settings})


def test_it_has_nothing_to_learn_and_comes_back_from_its_settings(tmp_path):
    from ssl_av import load_method
    from ssl_av.runs.run import save_untrained

    method = create_method("statistics", inputs=INPUTS, cells=4, region=(0.0, 0.5, 1.0, 1.0))
    assert not list(method.parameters())
    save_untrained(method, tmp_path / "last.ckpt")
    again = load_method(tmp_path / "last.ckpt")
    video = torch.rand(1, 3, 5, 16, 16)
    assert torch.equal(again.backbones["video"](video), method.backbones["video"](video))
    with pytest.raises(UserError, match="not fitted"):
        method.loss({}, {})
