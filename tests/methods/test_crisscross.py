"""CrissCross: equations 2–5 transcribed, and the two segments' overlap."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_av.data.views import draw_starts, modalities
from ssl_av.errors import UserError
from ssl_av.methods import create_method


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


@pytest.mark.parametrize(
    ("term", "present", "absent"), [("v1v2", "video", "audio"), ("a1a2", "audio", "video")]
)
def test_one_modality_alone_is_all_that_is_read_and_learned(small, batch_of, term, present, absent):
    method = small("crisscross", terms=[term])
    assert list(method.views) == [f"{present}_1", f"{present}_2"]
    assert list(method.backbones) == list(method.projectors) == list(method.heads) == [present]
    assert modalities(method.views) == {present}
    batch = method.transform_batch(batch_of(method))
    parts = method.loss(method(batch), batch)
    assert set(parts) == {"loss", term}
    parts["loss"].backward()
    assert [n for n, p in method.named_parameters() if p.grad is None] == []
    assert method.embed(present, torch.randn(2, 32, 1, 1)) is None
    w = draw_starts(method.views, 20.0, np.random.default_rng(0))  # mild: half of a segment later
    first, second = w[f"{present}_1"], w[f"{present}_2"]
    assert second.start - first.start == pytest.approx(first.seconds / 2)


def test_terms_that_count_twice(small):
    for terms in ([], ["sync", "sync"], ["intra", "v1v2"]):
        with pytest.raises(UserError, match=r"terms must name some of .*, each once"):
            small("crisscross", terms=terms)


def test_common_predictor(small):
    method = small("crisscross", common_predictor=True)
    assert method.heads["video"] is method.heads["audio"]
    z, p = method.project("video", torch.randn(4, 32))
    assert torch.allclose(method.heads["video"](torch.nn.functional.normalize(z, dim=1)), p)
    separate = sum(x.numel() for x in small("crisscross").parameters())
    one = sum(x.numel() for x in method.heads["video"].parameters())
    assert sum(x.numel() for x in method.parameters()) == separate - one


def test_projector_layers(small):
    layers = [type(x).__name__ for x in small("crisscross", projector_layers=2).projectors["audio"]]
    assert layers == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    with pytest.raises(UserError, match="projector_layers must be above 0, got 0"):
        small("crisscross", projector_layers=0)


def test_the_numbers_of_tables_s7_and_s8():
    method = create_method("crisscross", networks={"video": "r2plus1d_10", "audio": "resnet9_audio"})
    shapes = [tuple(m.weight.shape) for m in method.projectors["video"] if isinstance(m, torch.nn.Linear)]
    assert shapes == [(2048, 512), (2048, 2048), (2048, 2048)]
    shapes = [tuple(m.weight.shape) for m in method.heads["audio"] if isinstance(m, torch.nn.Linear)]
    assert shapes == [(512, 2048), (2048, 512)]
