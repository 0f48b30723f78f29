"""STiCA's losses against numpy transcriptions of eq. 1, 5, 6, 7 and §3.2, and of what the released code computes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ssl_av.errors import UserError
from ssl_av.losses import info_nce, info_nce_pairs
from ssl_av.methods import create_method
from ssl_av.transforms.feature_crops import FeatureCrops

Array = NDArray[np.float64]
TAU_V, TAU_X = 0.5, 0.1
B, D = 5, 6
NETWORKS = {
    "video": "r2plus1d_10", "video_args": {"width": 2, "time_strides": (1, 1, 1, 1)},
    "audio": "conv9_audio", "audio_args": {"width": 2},
}  # fmt: skip
INPUTS = {"frames": 4, "fps": 8, "size": 32, "audio_seconds": 0.5, "front_end": "small"}


def nce(z_a: Array, z_b: Array, tau: float) -> float:
    """Eq. 1, sample by sample."""
    total = 0.0
    for i in range(len(z_a)):
        sims = [z_a[i] @ z / np.linalg.norm(z_a[i]) / np.linalg.norm(z) for z in z_b]
        total -= np.log(np.exp(sims[i] / tau) / np.sum(np.exp(np.array(sims) / tau)))
    return total / len(z_a)


def stica(**changes: Any) -> Any:
    torch.manual_seed(0)
    small = {"inputs": INPUTS, "networks": NETWORKS, "dim": D, "hidden": 8, "dropout": 0.0}
    return create_method("stica", **(small | changes)).train()


def embeddings(*names: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {n: torch.randn(B, D, dtype=torch.float64, generator=generator).requires_grad_() for n in names}


def plain(e: dict[str, torch.Tensor]) -> dict[str, Array]:
    return {n: x.detach().numpy() for n, x in e.items()}


def names(kinds: dict[str, int], view: int) -> list[str]:
    return [f"{kind}{view}_{k}" for kind, count in kinds.items() for k in range(count)]


ALL = ["audio", "L1", "L2", *names({"M": 2, "S": 3}, 1), *names({"M": 2, "S": 3}, 2)]


@pytest.mark.parametrize("mean", [False, True])
def test_eq_7_with_the_pairs_of_eq_6(mean: bool) -> None:
    e = embeddings(*ALL)
    z = plain(e)
    l_vv = terms = 0.0
    for a, b in itertools.product(names({"M": 2, "S": 3}, 1), names({"M": 2, "S": 3}, 2)):
        if a[0] == b[0] == "S":
            continue
        l_vv += nce(z[a], z[b], TAU_V) + nce(z[b], z[a], TAU_V)
        terms += 2
    assert terms == 2 * ((2 + 3) ** 2 - 3**2)  # the paper's count
    l_va = sum(nce(z[v], z["audio"], TAU_X) + nce(z["audio"], z[v], TAU_X) for v in ("L1", "L2"))
    scale = (terms, 4) if mean else (1, 1)
    method = stica(weight_within=0.3, weight_cross=0.7, mean=mean)
    parts = method.loss(e, {})
    assert parts["within"].item() == pytest.approx(l_vv / scale[0], rel=1e-10)
    assert parts["cross"].item() == pytest.approx(l_va / scale[1], rel=1e-10)
    assert parts["loss"].item() == pytest.approx(0.3 * l_vv / scale[0] + 0.7 * l_va / scale[1], rel=1e-10)


@pytest.mark.parametrize("options", [{}, {"mean": False}, {"pairs": "official"}])
def test_gradients_are_those_of_finite_differences(options: dict[str, Any]) -> None:
    method, e = stica(**options), embeddings(*ALL)
    if options.get("pairs") == "official":  # it detaches: only what still learns can be compared
        learning = ["audio", "L1", "L2", *names({"S": 3}, 2)]
    else:
        learning = [n for n in ALL if n not in ("L1", "L2")] + ["L1", "L2"]

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return method.loss(e | dict(zip(learning, values, strict=True)), {})["loss"]

    assert torch.autograd.gradcheck(loss, tuple(e[n] for n in learning), eps=1e-6, atol=1e-7)


def test_the_released_code_s_pairs_with_separate_crops() -> None:
    """Per axis: second medium crops both ways, a half each, counted once; small of view 2 → medium of view 1."""
    kinds = {"M": 2, "S": 3, "Mt": 2, "St": 1}
    e = embeddings("audio", "L1", "L2", *names(kinds, 1), *names(kinds, 2))
    z = plain(e)
    total = count = 0.0
    for t, small in (("", 3), ("t", 1)):
        one, two = z[f"M{t}1_1"], z[f"M{t}2_1"]
        total += 0.5 * (nce(one, two, TAU_V) + nce(two, one, TAU_V))
        count += 1
        for i, j in itertools.product(range(2), range(small)):
            total += nce(z[f"S{t}2_{j}"], z[f"M{t}1_{i}"], TAU_V)
            count += 1
    cross = sum(nce(z[v], z["audio"], TAU_X) + nce(z["audio"], z[v], TAU_X) for v in ("L1", "L2")) / 4
    method = stica(pairs="official", detach_keys=True, crops={"combine": "separate", "places": "official"})
    loss = method.loss(e, {})["loss"]
    assert loss.item() == pytest.approx(0.5 * total / count + 0.5 * cross, rel=1e-10)
    loss.backward()
    silent = {n for n, x in e.items() if x.grad is None or not x.grad.any()}
    # medium crops but the last are only searched for; small ones of the first view have no part
    assert silent == {"M1_0", "M2_0", "Mt1_0", "Mt2_0", *names({"S": 3, "St": 1}, 1)}


def test_keys_receive_a_gradient_unless_they_are_detached() -> None:
    for detach, learns in ((False, True), (True, False)):
        e = embeddings("audio", "L1", "L2")
        method = stica(crops=None, detach_keys=detach)
        method.nce(e, ["L1"], ["L2"], TAU_V).sum().backward()
        assert e["L1"].grad is not None
        assert (e["L2"].grad is not None) is learns


def test_multi_crop_adds_large_to_small_one_way() -> None:
    """§3.2: L(L1, L2) + L(L2, L1) + L(L1, S) + L(L2, S)."""
    e = embeddings("audio", "L1", "L2", "small_1")
    z = plain(e)
    expected = sum(
        nce(z[a], z[b], TAU_V) for a, b in (("L1", "L2"), ("L2", "L1"), ("L1", "small_1"), ("L2", "small_1"))
    )
    method = stica(crops=None, small_rgb_crops=1, small_rgb_size=16, mean=False)
    assert method.loss(e, {})["within"].item() == pytest.approx(expected, rel=1e-10)
    view = method.views["small_1"]
    assert (view.size, view.frames, view.when.view) == (16, 4, "video_1")
    assert method.transforms["small_1"].augment.crop_area == (0.05, 0.14)


def test_four_rgb_crops_are_contrasted_two_by_two() -> None:
    large = ["L1", "L2", "L3", "L4"]
    e = embeddings("audio", *large)
    z = plain(e)
    pairs = list(itertools.permutations(large, 2))
    method = stica(crops=None, rgb_crops=4)
    expected = sum(nce(z[a], z[b], TAU_V) for a, b in pairs) / len(pairs)
    assert method.loss(e, {})["within"].item() == pytest.approx(expected, rel=1e-10)
    assert list(method.views) == ["video_1", "video_2", "video_3", "video_4", "audio"]


def test_the_rows_of_table_3() -> None:
    cross = stica(rgb_crops=1, crops=None, weight_within=0, weight_cross=1)
    assert list(cross.views) == ["video_1", "audio"]
    assert set(cross.loss(embeddings("audio", "L1"), {})) == {"loss", "cross"}
    within = stica(crops=None, weight_within=1, weight_cross=0)
    assert list(within.views) == ["video_1", "video_2"]
    assert list(within.backbones) == ["video"]
    e = embeddings("L1", "L2")
    parts = within.loss(e, {})
    z = plain(e)
    assert parts["loss"].item() == pytest.approx(
        (nce(z["L1"], z["L2"], TAU_V) + nce(z["L2"], z["L1"], TAU_V)) / 2, rel=1e-10
    )
    assert within.embed("video", torch.randn(2, 16, 4, 4, 4)) is None


def test_every_pair_at_once_is_each_pair_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(n, m, 6, dtype=torch.float64, generator=generator) for n, m in ((3, 4), (2, 9)))
    every = info_nce_pairs(q, k, 0.3)
    for i, j in itertools.product(range(3), range(2)):
        assert every[i, j].item() == pytest.approx(info_nce(q[i], k[j], 0.3).item(), rel=1e-12)
        assert every[i, j].item() == pytest.approx(
            nce_of_more_keys(q[i].numpy(), k[j].numpy(), 0.3), rel=1e-12
        )


def nce_of_more_keys(q: Array, k: Array, tau: float) -> float:
    s = (q / np.linalg.norm(q, axis=1)[:, None]) @ (k / np.linalg.norm(k, axis=1)[:, None]).T / tau
    return float(np.mean([np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(s)]))


def test_both_poolings_and_their_parameters() -> None:
    features = torch.randn(3, 16, 4, 5, 5)
    average = stica(pooling="average")
    torch.testing.assert_close(average.pool(features), features.mean(dim=(2, 3, 4)))
    for pooling, count in (("transformer", 4), ("official", 2)):
        method = stica(pooling=pooling, layers=1)
        maps = [p for n, p in method.attend.named_parameters() if p.shape == (16, 16)]
        assert len(maps) == count  # value and output projections are the identity in the released code
    # Table 1d: 37.2M without, 42.4M with two layers of width 512 and 47.7M with four: the official form.
    from ssl_av.heads import TemporalTransformer

    for layers, millions in ((2, 42.4 - 37.2), (4, 47.7 - 37.2)):
        size = sum(
            p.numel()
            for p in TemporalTransformer(512, layers, identity_values=True, cls_token=False).parameters()
        )
        assert size / 1e6 == pytest.approx(millions, abs=0.1)


def test_time_steps_are_stretched_before_the_transformer() -> None:
    method = stica(pooling="official", time_steps=4)
    seen = []
    method.attend.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    method.pool(torch.randn(2, 16, 3, 5, 5))
    method.pool(torch.randn(2, 16, 4, 5, 5))
    assert seen == [(2, 4, 16), (2, 4, 16)]


def where(crop: torch.Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Corner and extent of a crop of `grid`."""
    first = int(crop[0, 0, 0, 0, 0])
    return (first // 49, first // 7 % 7, first % 7), tuple(crop.shape[2:])


GRID = torch.arange(4 * 7 * 7.0).view(1, 1, 4, 7, 7)


@pytest.mark.parametrize(
    ("crops", "shapes"),
    [
        ({"medium_space": None, "small_space": None, "medium_time": None, "small_time": None}, {"M0": (4, 7, 7)}),
        (
            {"medium_space": (1, 6), "small_space": (2, 4), "medium_time": None, "small_time": None},
            {"M0": (4, 6, 6), "S0": (4, 4, 4), "S1": (4, 4, 4)},
        ),
        (
            {"medium_space": (1, 6), "small_space": (2, 4), "medium_time": (2, 3), "small_time": (1, 2)},
            {"M0": (3, 6, 6), "M1": (3, 6, 6), "S0": (2, 4, 4), "S1": (2, 4, 4)},
        ),
        (
            {"medium_space": None, "small_space": None, "medium_time": (2, 3), "small_time": (1, 2)},
            {"M0": (3, 7, 7), "M1": (3, 7, 7), "S0": (2, 7, 7)},
        ),
        (
            {"combine": "separate"},
            {f"M{k}": (4, 6, 6) for k in range(2)} | {f"Mt{k}": (3, 7, 7) for k in range(2)}
            | {f"S{k}": (4, 4, 4) for k in range(4)} | {"St0": (2, 7, 7)},
        ),
    ],
)  # fmt: skip
def test_the_rows_of_table_1b_are_pieces_of_the_map(crops: dict[str, Any], shapes: dict[str, Any]) -> None:
    found = FeatureCrops(**crops).cut(GRID)
    assert {name: tuple(crop.shape[2:]) for name, crop in found.items()} == shapes
    for crop in found.values():  # eq. 5: Ψ(v)[t, y, x] of one box
        (t, y, x), (n_t, n_y, n_x) = where(crop)
        assert torch.equal(crop, GRID[:, :, t : t + n_t, y : y + n_y, x : x + n_x])


@pytest.mark.parametrize(("places", "medium", "small", "length"), [("all", 2, 4, 2), ("official", 1, 3, 1)])
def test_where_crops_may_lie(places: str, medium: int, small: int, length: int) -> None:
    torch.manual_seed(0)
    crops = FeatureCrops((1, 6), (1, 3), (1, 4), (1, 2), places=places)
    corners = [{n: where(c)[0] for n, c in crops.cut(GRID).items()} for _ in range(400)]
    for name, axis, count in (
        ("M0", 1, medium),
        ("M0", 2, medium),
        ("M0", 0, length),
        ("S0", 1, small),
        ("S0", 2, small),
    ):
        assert {c[name][axis] for c in corners} == set(range(count))


def test_what_cannot_be_is_said_in_a_line() -> None:
    for changes, message in (
        ({"rgb_crops": 1}, "one RGB crop makes no pair"),
        ({"rgb_crops": 3, "pairs": "official"}, "is for two RGB crops"),
        ({"weight_within": 0, "weight_cross": 0}, "one of them must be above 0"),
        ({"pooling": "transformers"}, "did you mean transformer"),
        ({"crops": {"combine": "produkt"}}, "did you mean product"),
        ({"crops": {"small_space": (0, 4)}}, "a count and a size, both above 0"),
        ({"time_steps": 0}, "time_steps must be above 0"),
    ):
        with pytest.raises(UserError, match=message):
            stica(**changes)
    one = {n: x[:1] for n, x in embeddings(*ALL).items()}
    with pytest.raises(UserError, match="needs 2 or more"):
        stica().loss(one, {})
