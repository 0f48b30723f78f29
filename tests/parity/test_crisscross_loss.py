"""CrissCross, equations 1–5, transcribed into float64 numpy from the backbones' features on; gradients, symmetry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_heads import Array, Spied, assert_gradient, mlp, numpy_of, unit

HEADS = {"projector": 6, "predictor": 4}
ALL = ["intra", "sync", "async"]
VARIANTS = {
    "eq. 5": {},
    "common predictor": {"common_predictor": True},
    "two layers": {"projector_layers": 2},
    **{"+".join(terms): {"terms": terms} for terms in (
        ["v1v2"], ["a1a2"], ["intra"], ["sync"], ["async"], ["sync", "intra"], ["sync", "async"],
        ["async", "intra"], ["v1v2", "sync", "async"], ["a1a2", "sync", "async"],
    )},
}  # fmt: skip
SHORT = {"v1": "video_1", "v2": "video_2", "a1": "audio_1", "a2": "audio_2"}


class Paper:
    """§3.2: z = f(·) with its projector, p = h(z), and equations 1 to 5."""

    def __init__(self, spied: Spied) -> None:
        self.method = spied.method
        self.views = [s for s, view in SHORT.items() if view in spied.method.views]
        self.tensors = {}
        for s in self.views:
            m, i = SHORT[s].split("_")
            self.tensors[s] = spied.features[self.method.backbones[m]][int(i) - 1]
        self.features = {s: numpy_of(x) for s, x in self.tensors.items()}

    def z(self, view: str, f: Array) -> Array:
        return mlp(self.method.projectors[SHORT[view][:5]], f)

    def p(self, view: str, z: Array) -> Array:
        z = unit(z) if self.method.settings["common_predictor"] else z  # §4.4
        return mlp(self.method.heads[SHORT[view][:5]], z)

    def loss(self, features: dict[str, Array], targets: dict[str, Array]) -> dict[str, float]:
        """``targets`` are the z under the stop-gradient S(·)."""
        p = {v: self.p(v, self.z(v, f)) for v, f in features.items()}

        def D(a: str, b: str) -> float:
            return -float((unit(p[a]) * unit(targets[b])).sum(axis=1).mean())  # eq. 1

        parts = {}
        if "v1" in p:
            parts["v1v2"] = D("v1", "v2") / 2 + D("v2", "v1") / 2
        if "a1" in p:
            parts["a1a2"] = D("a1", "a2") / 2 + D("a2", "a1") / 2
        if len(p) == 4:
            # eq. 2, 3, 4
            parts["intra"] = (
                D("v1", "v2") / 2 + D("v2", "v1") / 2 + D("a1", "a2") / 2 + D("a2", "a1") / 2
            ) / 2
            parts["sync"] = (
                D("v1", "a1") / 2 + D("a1", "v1") / 2 + D("v2", "a2") / 2 + D("a2", "v2") / 2
            ) / 2
            parts["async"] = (
                D("v1", "a2") / 2 + D("a2", "v1") / 2 + D("v2", "a1") / 2 + D("a1", "v2") / 2
            ) / 2
        parts = {t: parts[t] for t in self.method.settings["terms"]}
        return parts | {"loss": sum(parts.values()) / len(parts)}  # eq. 5


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def spied(request):
    return Spied("crisscross", **HEADS, **VARIANTS[request.param])


def test_embeddings_and_every_term(spied):
    paper = Paper(spied)
    z = {v: paper.z(v, f) for v, f in paper.features.items()}
    for v in z:
        np.testing.assert_allclose(numpy_of(spied.embeddings[f"z_{SHORT[v]}"]), z[v], rtol=1e-9, atol=1e-9)
        p = paper.p(v, z[v])
        np.testing.assert_allclose(numpy_of(spied.embeddings[f"p_{SHORT[v]}"]), p, rtol=1e-9, atol=1e-9)
    expected = paper.loss(paper.features, z)
    assert set(spied.parts) == set(expected)
    for name, value in expected.items():
        assert spied.parts[name].item() == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_gradients_are_the_finite_differences_of_the_predictions_alone(spied):
    paper = Paper(spied)
    targets = {v: paper.z(v, f) for v, f in paper.features.items()}  # held fixed: S(·)
    gradients = torch.autograd.grad(spied.parts["loss"], list(paper.tensors.values()), retain_graph=True)
    for view, gradient in zip(paper.tensors, gradients, strict=True):
        assert_gradient(
            gradient,
            lambda x, v=view: paper.loss(paper.features | {v: x}, targets)["loss"],
            paper.features[view],
        )


def test_each_network_sees_each_of_its_two_views_once(spied):
    method = spied.method
    for m in method.backbones:
        assert spied.calls[method.backbones[m]] == spied.calls[method.projectors[m]] == 2
        both = method.common_predictor
        assert spied.calls[method.heads[m]] == (4 if both else 2)
        assert (
            (method.heads["video"] is method.heads["audio"]) == both if len(method.backbones) == 2 else True
        )


def test_the_two_segments_and_the_two_modalities_may_change_places():
    spied = Spied("crisscross", **HEADS, terms=ALL)

    def renamed(a: str, b: str) -> dict[str, float]:
        e = {k.replace(a, "·").replace(b, a).replace("·", b): x for k, x in spied.embeddings.items()}
        return {k: v.item() for k, v in spied.method.loss(e, {}).items()}

    expected = {k: pytest.approx(v.item(), rel=1e-5) for k, v in spied.parts.items()}
    assert renamed("_1", "_2") == expected
    assert renamed("video", "audio") == expected
    # one modality's segments alone: what was simultaneous is not any more
    e = {k.replace("audio_1", "·").replace("audio_2", "audio_1").replace("·", "audio_2"): x
         for k, x in spied.embeddings.items()}  # fmt: skip
    parts = spied.method.loss(e, {})
    assert (parts["sync"].item(), parts["async"].item()) == (expected["async"], expected["sync"])
