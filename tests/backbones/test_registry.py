from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ssl_av import discovery
from ssl_av.backbones import create_backbone, describe_backbones, list_backbones, register_backbone, registry
from ssl_av.discovery import catalogued_backbones
from ssl_av.errors import UserError

VIDEO = ["r2plus1d_10", "r2plus1d_18", "r2plus1d_18_torchvision", "r2plus1d_18_tran", "r2plus1d_34",
         "r2plus1d_50", "r3d_18", "r3d_50", "s3d", "tsm_resnet50", "tsm_resnet50x2", "vit_small_tubelet"]  # fmt: skip
AUDIO = ["conv9_audio", "resnet18_audio", "resnet50_audio", "resnet50v2_audio", "resnet9_audio"]


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
        ("s3d", {"width": 16}, "of backbone .* 'width'; known: gating, in_channels, pool"),
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


def test_the_catalogue_is_what_is_measured() -> None:
    """After a change: python -c "from ssl_av.backbones.registry import write_catalogue as w; w()"."""
    assert catalogued_backbones() == describe_backbones()


def test_listing_does_not_import_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "ssl_av", "list", "backbones"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tsm_resnet50x2" in done.stdout
    assert "ssl_av.discovery" in imported
    assert "torch" not in imported


def test_the_documentation_has_every_backbone_with_its_parameters() -> None:
    text = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text(encoding="utf-8")
    for name, _, parameters, _ in catalogued_backbones():
        assert f"| `{name}` | {parameters:,} |" in text


def test_a_name_is_not_taken_twice() -> None:
    def r2plus1d_18() -> torch.nn.Module:
        return create_backbone("r2plus1d_10")

    with pytest.raises(ValueError, match="'r2plus1d_18' exists already: "):
        register_backbone(r2plus1d_18)


def test_another_package_offers_one_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(width: int = 2) -> torch.nn.Module:
        """Tiny."""
        return create_backbone("conv9_audio", width=width)

    entry = SimpleNamespace(name="tiny_outside", load=lambda: tiny)
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    for module in (registry, discovery):
        monkeypatch.setattr(
            module, "entry_points", lambda group: [entry] if group.endswith("backbones") else []
        )
    assert create_backbone("tiny_outside", width=3).num_features == 24
    assert "tiny_outside" in list_backbones()
    parameters = sum(p.numel() for p in tiny().parameters())
    assert ("tiny_outside", "audio", parameters, "Tiny.") in catalogued_backbones()


def test_registers_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))

    @register_backbone
    def tiny_audio(width: int = 2) -> torch.nn.Module:
        """Tiny."""
        return create_backbone("conv9_audio", width=width)

    assert "tiny_audio" in list_backbones("audio")
    assert create_backbone("tiny_audio", width=3).num_features == 24
