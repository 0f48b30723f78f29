"""BraVe, equations 2–5, transcribed into float64 numpy from the backbones' features on; gradients, calls, symmetry."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
from plain_heads import Array, Spied, assert_gradient, mlp, numpy_of, unit

HEADS = {
    "hidden": 7, "dim": 5, "broad_frames": 4, "broad_fps": 4, "broad_size": 16, "broad_seconds": 0.5,
}  # fmt: skip
VARIANTS = {
    "V-A": {"broad": ["audio"]},
    "V-V": {"broad": ["rgb"]},
    "V-Vx3": {"broad": ["rgb+rc", "rgb+rc", "rgb+rc"]},
    "V-Fx2": {"broad": ["flow", "flow"]},
    "V-FA": {"broad": ["flow", "audio"]},
    "V-VVFA": {"broad": ["rgb", "flow", "rgb+rc", "audio"]},
    "other widths": {"broad": ["audio", "rgb"], "broad_network": "r2plus1d_10", "broad_network_args": {"width": 1}},
    "nothing shared": {"broad": ["rgb"], "share": []},
    "nothing shared, two modalities": {"broad": ["audio", "rgb", "rgb"], "share": []},
    "predictor shared": {"broad": ["rgb"], "share": ["predictor"]},
    "backbone, projector shared": {"broad": ["rgb"], "share": ["backbone", "projector"]},
    "all shared": {"broad": ["rgb", "rgb"], "share": ["backbone", "projector", "predictor"]},
    "one frame": {
        "broad": ["rgb+rc", "audio"], "inputs": {"frames": 1, "size": 16, "audio_seconds": 0.5, "front_end": "small"},
    },
}  # fmt: skip


class Paper:
    """§3.1: f from outside, then z = g(f), h(z), and equations 2 to 5."""

    def __init__(self, spied: Spied) -> None:
        self.method, self.scale = spied.method, spied.method.scale
        self.modality = {"narrow": "", **spied.method.broad}
        calls: dict[torch.nn.Module, int] = defaultdict(int)
        self.tensors, self.features = {}, {}
        for view, m in self.modality.items():  # the order in which the views are seen
            net = self.method.broad_backbones[m] if m else self.method.backbones["video"]
            self.tensors[view] = spied.features[net][calls[net]]
            self.features[view] = numpy_of(self.tensors[view])
            calls[net] += 1

    def z(self, view: str, f: Array) -> Array:
        m = self.modality[view]
        if not m:
            return mlp(self.method.projector, f)
        own = "projector" not in self.method.settings["share"]
        f = mlp(self.method.adapters[m], f)  # a single linear layer where the dimensions do not match
        return mlp(self.method.own_projectors[m] if own else self.method.projector, f)

    def h(self, view: str, z: Array) -> Array:
        m = self.modality[view]
        own = m and "predictor" not in self.method.settings["share"]
        return mlp(self.method.own_predictors[m] if own else self.method.predictor, z)

    def loss(self, features: dict[str, Array], targets: dict[str, Array]) -> float:
        """``targets`` are the z under the stop-gradient."""
        prediction = {v: self.h(v, self.z(v, f)) for v, f in features.items()}

        def distance(p: Array, t: Array) -> float:
            return float(((unit(p) - unit(t)) ** 2).sum(axis=1).mean())

        terms = []
        for m in dict.fromkeys(self.modality.values()):
            views = [v for v, other in self.modality.items() if other == m and m]
            if views:
                mean = sum(targets[v] for v in views) / len(views)
                terms.append(distance(prediction["narrow"], mean))  # eq. 2
                terms.append(
                    sum(distance(prediction[v], targets["narrow"]) for v in views) / len(views)
                )  # eq. 3, 4
        return sum(terms) if self.scale == "paper" else sum(t / 2 for t in terms) / len(terms)  # eq. 5


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def spied(request):
    return Spied("brave", **HEADS, **VARIANTS[request.param])


def test_embeddings_and_loss(spied):
    paper = Paper(spied)
    z = {view: paper.z(view, f) for view, f in paper.features.items()}
    for view in z:
        np.testing.assert_allclose(numpy_of(spied.embeddings[f"z_{view}"]), z[view], rtol=1e-9, atol=1e-9)
        h = paper.h(view, z[view])
        np.testing.assert_allclose(numpy_of(spied.embeddings[f"h_{view}"]), h, rtol=1e-9, atol=1e-9)
    assert spied.parts["loss"].item() == pytest.approx(paper.loss(paper.features, z), rel=1e-6)


def test_gradients_are_the_finite_differences_of_the_predictions_alone(spied):
    paper = Paper(spied)
    targets = {view: paper.z(view, f) for view, f in paper.features.items()}  # held fixed: sg[·]
    gradients = torch.autograd.grad(spied.parts["loss"], list(paper.tensors.values()), retain_graph=True)
    for view, gradient in zip(paper.tensors, gradients, strict=True):
        assert_gradient(
            gradient, lambda x, v=view: paper.loss(paper.features | {v: x}, targets), paper.features[view]
        )


def test_the_official_scale_is_half_of_the_mean():
    spied = Spied("brave", **HEADS, broad=["flow", "audio", "flow"], scale="official")
    paper = Paper(spied)
    z = {view: paper.z(view, f) for view, f in paper.features.items()}
    assert spied.parts["loss"].item() == pytest.approx(paper.loss(paper.features, z), rel=1e-6)
    paper.scale = "paper"
    assert spied.parts["loss"].item() == pytest.approx(paper.loss(paper.features, z) / 8, rel=1e-6)


def test_every_view_goes_through_its_backbone_once(spied):
    method, broad = spied.method, list(spied.method.broad.values())
    shared = "backbone" in method.settings["share"]
    assert spied.calls[method.backbones["video"]] == 1 + (len(broad) if shared else 0)
    if not shared:
        assert {m: spied.calls[net] for m, net in method.broad_backbones.items()} == {
            m: broad.count(m) for m in broad
        }
    for own, module in ((method.own_projectors, method.projector), (method.own_predictors, method.predictor)):
        assert spied.calls[module] == 1 + (0 if len(own) else len(broad))
        assert all(spied.calls[net] == broad.count(m) for m, net in own.items())


def test_each_half_of_the_loss_moves_the_side_that_predicts(spied):
    if "backbone" in spied.method.settings["share"]:
        pytest.skip("one backbone is both sides")
    method = spied.method
    for m, broad in method.broad_backbones.items():
        narrow = method.backbones["video"]
        for term, moves, rests in ((f"narrow_to_{m}", narrow, broad), (f"{m}_to_narrow", broad, narrow)):
            for net, wanted in ((moves, True), (rests, False)):
                gradients = torch.autograd.grad(
                    spied.parts[term], list(net.parameters()), retain_graph=True, allow_unused=True
                )
                assert all((g is not None) == wanted for g in gradients)


def test_narrow_and_broad_may_change_places():
    spied = Spied("brave", **HEADS, broad=["rgb"])
    swapped = {k.replace("narrow", "·").replace("broad_0", "narrow").replace("·", "broad_0"): e
               for k, e in spied.embeddings.items()}  # fmt: skip
    parts = spied.method.loss(swapped, spied.batch)
    assert parts["loss"].item() == pytest.approx(spied.parts["loss"].item(), rel=1e-6)
    assert parts["narrow_to_rgb"].item() == pytest.approx(spied.parts["rgb_to_narrow"].item(), rel=1e-6)


def test_the_order_of_the_views_of_a_modality_does_not_matter():
    spied = Spied("brave", **HEADS, broad=["rgb", "audio", "rgb", "rgb"])
    order = {"broad_0": "broad_3", "broad_2": "broad_0", "broad_3": "broad_2"}
    turned = {k[:2] + order.get(k[2:], k[2:]): e for k, e in spied.embeddings.items()}
    assert spied.method.loss(turned, {})["loss"].item() == pytest.approx(spied.parts["loss"].item(), rel=1e-6)
