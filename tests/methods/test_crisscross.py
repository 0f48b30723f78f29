"""CrissCross: equations 2–5 transcribed, and the two segments' overlap."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.errors import UserError


def D(p: torch.Tensor, z: torch.Tensor) -> float:
    a, b = p.detach().numpy().astype(np.float64), z.detach().numpy().astype(np.float64)
    return -float(np.mean((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))


@pytest.fixture
def embeddings():
    g = torch.Generator().manual_seed(0)
    names = [f"{k}_{m}_{i}" for k in "zp" for m in ("video", "audio") for i in (1, 2)]
    return {n: torch.randn(5, 16, generator=g, requires_grad=True) for n in names}


def test_every_term(small, embeddings):
    e = embeddings
    z = {k[2:].replace("video_", "v").replace("audio_", "a"): x for k, x in e.items() if k[0] == "z"}
    p = {k[2:].replace("video_", "v").replace("audio_", "a"): x for k, x in e.items() if k[0] == "p"}

    def term(*pairs: tuple[str, str]) -> float:
        return sum(D(p[a], z[b]) / 2 for a, b in pairs) / 2

    intra = term(("v1", "v2"), ("v2", "v1"), ("a1", "a2"), ("a2", "a1"))
    sync = term(("v1", "a1"), ("a1", "v1"), ("v2", "a2"), ("a2", "v2"))
    relaxed = term(("v1", "a2"), ("a2", "v1"), ("v2", "a1"), ("a1", "v2"))
    parts = small("crisscross").loss(e, {})
    assert parts["intra"].item() == pytest.approx(intra, rel=1e-5)
    assert parts["sync"].item() == pytest.approx(sync, rel=1e-5)
    assert parts["async"].item() == pytest.approx(relaxed, rel=1e-5)
    assert parts["loss"].item() == pytest.approx((intra + sync + relaxed) / 3, rel=1e-5)


def test_no_gradient_through_the_projections_as_targets(small, embeddings):
    small("crisscross").loss(embeddings, {})["loss"].backward()
    for name, x in embeddings.items():
        assert (x.grad is not None) == name.startswith("p_")


def test_terms_can_be_left_out(small, embeddings):
    parts = small("crisscross", terms=["sync"]).loss(embeddings, {})
    assert set(parts) == {"loss", "sync"}
    assert parts["loss"].item() == parts["sync"].item()
    with pytest.raises(UserError, match="unknown term 'asinc'; did you mean async"):
        small("crisscross", terms=["asinc"])


def test_heads_are_separate_and_have_the_paper_s_layers(small):
    method = small("crisscross")
    for m in ("video", "audio"):
        assert [type(x).__name__ for x in method.projectors[m]] == [
            "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d",
        ]  # fmt: skip
        assert [type(x).__name__ for x in method.heads[m]] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert method.heads["video"] is not method.heads["audio"]
