from __future__ import annotations

import pytest
import torch

from ssl_av.backbones import create_backbone, describe_backbones, list_backbones, register_backbone, registry
from ssl_av.errors import UserError

VIDEO = ["r2plus1d_10", "r2plus1d_18", "r2plus1d_18_torchvision", "r2plus1d_34"]
AUDIO = ["conv9_audio", "resnet18_audio", "resnet50_audio", "resnet9_audio"]


def test_lists_by_modality() -> None:
    assert list_backbones() == sorted(VIDEO + AUDIO)
    assert list_backbones("video") == VIDEO
    assert list_backbones(modality="audio") == AUDIO


def test_describes_each_one() -> None:
    rows = {name: rest for name, *rest in describe_backbones()}
    assert list(rows) == VIDEO + AUDIO
    assert rows["r2plus1d_18"][:2] == ["video", 15_379_136]
    assert all(line and "\n" not in line for *_, line in rows.values())


def test_options_reach_the_network() -> None:
    assert create_backbone("r2plus1d_10", width=4).num_features == 32
    assert create_backbone("conv9_audio", width=2).num_features == 16


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("r2plus1d_81", {}, "unknown backbone 'r2plus1d_81'; did you mean .*ssl-av list backbones"),
        ("r2plus1d_10", {"widht": 16}, "of backbone 'r2plus1d_10' 'widht'; did you mean width"),
        ("r2plus1d_18_torchvision", {"width": 16}, "of backbone .* 'width'; known: in_channels, pool"),
        ("conv9_audio", {"pool": "mean"}, "unknown pool 'mean'; .*max"),
        ("r2plus1d_10", {"width": 0}, "width must be a whole number above 0, got 0"),
        ("conv9_audio", {"width": 2.5}, "width must be a whole number above 0, got 2.5"),
        ("resnet9_audio", {"width": "16"}, "width must be a whole number above 0, got '16'"),
        ("r2plus1d_34", {"blocks": [3, 4, 6]}, r"blocks must be 4 numbers, got \[3, 4, 6\]"),
    ],
)
def test_mistakes_are_answered_in_one_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        create_backbone(name, **options)
    assert "\n" not in str(caught.value)


def test_unknown_modality() -> None:
    with pytest.raises(UserError, match="did you mean video"):
        list_backbones("vide")


def test_registers_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))

    @register_backbone
    def tiny_audio(width: int = 2) -> torch.nn.Module:
        """Tiny."""
        return create_backbone("conv9_audio", width=width)

    assert "tiny_audio" in list_backbones("audio")
    assert create_backbone("tiny_audio", width=3).num_features == 24
