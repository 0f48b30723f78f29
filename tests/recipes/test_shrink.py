"""Every recipe trains: the same code path at toy size, on one small synthav."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssl_av.config import RunConfig
from ssl_av.data.manifest import Manifest
from ssl_av.data.prepare import prepare_manifest
from ssl_av.quiet import quiet
from ssl_av.recipes import load_recipe, recipe_names
from ssl_av.runs.run import execute
from ssl_av.training import spending

Resolve = Callable[..., RunConfig]
#: what a recipe chooses and a shrunk one must not change
VARIANT = (
    "broad", "sync", "share", "scale", "terms", "relaxation", "projector_layers", "common_predictor", "mode", "mean",
    "kind", "weight", "rgb_crops", "small_rgb_crops", "pooling", "layers", "weight_within", "weight_cross", "pairs",
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    """A cache of its own, for synthav and its optical flow."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_AV_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def synthav(cache: Path, resolved: Resolve) -> Manifest:
    """The few samples that all shrunk recipes train on."""
    quiet()
    config = resolved("avid/kinetics400", "--shrink")
    return prepare_manifest(config.data["name"], config.dataset_args, config.loading, progress=False)


@pytest.fixture(scope="module")
def flow(synthav: Manifest) -> None:
    """Their optical flow, where it goes by default."""
    pytest.importorskip("cv2.optflow", reason="OpenCV's contrib modules are not installed")
    from ssl_av.data.flow import default_folder
    from ssl_av.data.flow_tvl1 import FlowSettings, make_flow

    report = make_flow(synthav.split("train"), default_folder(synthav.root), FlowSettings(fps=4, size=16))
    assert not report.failed


def counts(crops: dict[str, Any] | None) -> dict[str, Any]:
    """Of each kind of feature crop, without its size."""
    return {k: v and v[0] for k, v in (crops or {}).items() if k != "combine"}


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains_two_steps(
    name: str,
    resolved: Resolve,
    synthav: Manifest,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    # its operations are counted in tests/recipes/test_dry_run.py; that takes longer than the two steps do
    monkeypatch.setattr(spending, "step_flops", lambda make, batch_size: None)
    if "flow" in load_recipe(name).method.get("broad", ()):
        request.getfixturevalue("flow")
    config = resolved(name, "--shrink")
    record = execute(config, synthav, tmp_path)
    losses = [loss for _, loss in record["curves"]["loss"]]
    assert len(losses) == 2
    assert all(math.isfinite(loss) for loss in losses)
    assert record["budget"]["spent"]["samples"] == 2 * config.loading.batch_size
    assert record["recipe"] == name == json.loads((tmp_path / "record.json").read_text())["recipe"]
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["recipe"] == name


@pytest.mark.parametrize("name", recipe_names())
def test_a_shrunk_recipe_is_the_same_method(name: str, resolved: Resolve):
    small, large = resolved(name, "--shrink").method, resolved(name).method
    assert {k: small.get(k) for k in VARIANT} == {k: large.get(k) for k in VARIANT}
    assert small["networks"]["video"] == large["networks"]["video"]
    assert small["networks"]["audio"] == large["networks"]["audio"]
    assert {**small["optim"], "warmup": 0} == {**large["optim"], "warmup": 0}
    assert small["inputs"]["front_end"] == large["inputs"]["front_end"]
    assert small["inputs"].get("augment") == large["inputs"].get("augment")
    assert counts(small.get("crops")) == counts(large.get("crops")), "as many feature crops of each kind"


def test_options_win_over_the_shrunk_recipe(resolved: Resolve):
    config = resolved("avid/kinetics400", "--shrink", "--method.negatives", "5", "--budget", "steps=3")
    assert config.method["negatives"] == 5
    assert config.budget.asked() == {"steps": 3}
    assert config.data["name"] == "synthav"
