"""AVID's and CMA's losses and memory against numpy transcriptions of eq. 1–9."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ssl_av.errors import UserError
from ssl_av.memory import MemoryBank, agreement_positives, sample_negatives
from ssl_av.methods import create_method
from ssl_av.runs.run import save_untrained

Array = NDArray[np.float64]
N, B, K, D, TAU = 30, 4, 7, 6, 0.07
NETWORKS = {
    "video": "r2plus1d_10", "video_args": {"width": 1}, "audio": "conv9_audio", "audio_args": {"width": 1},
}  # fmt: skip
INPUTS = {"frames": 4, "fps": 8, "size": 32, "audio_seconds": 0.5, "front_end": "small"}
INDEX = torch.tensor([3, 11, 0, 29])


def build(name: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    small = {"inputs": INPUTS, "networks": NETWORKS, "dim": D, "hidden": 4, "num_samples": N, "negatives": K}
    return create_method(name, **(small | changes)).double().train()


def units(seed: int = 5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        m: F.normalize(torch.randn(B, D, dtype=torch.float64, generator=generator), dim=1).requires_grad_()
        for m in ("video", "audio")
    }


def nce(x: Array, positive: Array, noise: Array, z: float) -> float:
    """Eq. 1, P(D=1) and eq. 2, for one sample and one positive, N and all."""

    def is_data(memory: Array) -> float:
        p = np.exp(x @ memory / TAU) / (N * z)
        return float(p / (p + len(noise) / N))

    return -np.log(is_data(positive)) - sum(np.log(1 - is_data(m)) for m in noise)


def same_noise(monkeypatch: pytest.MonkeyPatch, low: int = 4) -> Array:
    rows = torch.randint(low, N - 1, (B, K), generator=torch.Generator().manual_seed(1))
    for module in ("avid", "cma"):
        monkeypatch.setattr(f"ssl_av.methods.{module}.sample_negatives", lambda *a, **k: rows)
    return rows.numpy()


def partition(x: Array, bank: Array, rows: Array) -> float:
    return float(np.mean([np.exp(x[i] @ bank[j] / TAU) for i in range(B) for j in rows[i]]))


PAIRS = {
    "self": [("video", "video"), ("audio", "audio")],
    "cross": [("video", "audio"), ("audio", "video")],
    "joint": [("video", "video"), ("audio", "audio"), ("video", "audio"), ("audio", "video")],
}


@pytest.mark.parametrize("mode", list(PAIRS))
@pytest.mark.parametrize("given", [None, 2.2045])
def test_eq_3_4_and_5(mode: str, given: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = same_noise(monkeypatch)
    method, e = build("avid", mode=mode, partition=given), units()
    bank = {m: getattr(method.bank, m).numpy().copy() for m in e}
    x = {m: v.detach().numpy() for m, v in e.items()}
    first = "video" if mode == "self" else "audio"
    z = given or partition(x["video"], bank[first], noise)
    expected = sum(
        nce(x[m][i], bank[t][INDEX[i]], bank[t][noise[i]], z) / B for m, t in PAIRS[mode] for i in range(B)
    )
    parts = method.loss(e, {"index": INDEX})
    assert parts["loss"].item() == pytest.approx(expected, rel=1e-7 if given is None else 1e-6)
    assert float(method.partition) == pytest.approx(z, rel=1e-6)
    mean = build("avid", mode=mode, partition=given, mean=True)
    assert mean.loss(units(), {"index": INDEX})["loss"].item() == pytest.approx(
        expected / len(PAIRS[mode]), rel=1e-6
    )


@pytest.mark.parametrize("mode", list(PAIRS))
def test_gradients_are_those_of_finite_differences_and_the_memory_has_none(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_noise(monkeypatch)
    method, e = build("avid", mode=mode, partition=2.2045).eval(), units()

    def loss(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return method.loss({"video": video, "audio": audio}, {"index": INDEX})["loss"]

    assert torch.autograd.gradcheck(loss, (e["video"], e["audio"]), eps=1e-7, rtol=1e-4)
    assert not method.bank.video.requires_grad
    assert not method.bank.audio.requires_grad


def test_the_partition_takes_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Z̄ is a constant of eq. 1: estimated from the embeddings, it must not pull at them."""
    same_noise(monkeypatch)
    e, estimated = units(), build("avid")
    estimated.loss(e, {"index": INDEX})["loss"].backward()
    fixed, given = units(), build("avid", partition=float(estimated.partition))
    given.loss(fixed, {"index": INDEX})["loss"].backward()
    for m in e:
        torch.testing.assert_close(e[m].grad, fixed[m].grad)


def test_the_bank_after_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """m̄ ← (μ m̄ + (1 − μ) x) / ‖·‖ for the batch's rows, after the loss has been taken."""
    same_noise(monkeypatch)
    method, e = build("avid", momentum=0.7), units()
    before = {m: getattr(method.bank, m).numpy().copy() for m in e}
    method.loss(e, {"index": INDEX})
    for m, x in e.items():
        expected = before[m]
        for row, i in enumerate(INDEX.tolist()):
            mixed = 0.7 * expected[i] + 0.3 * x[row].detach().numpy()
            expected[i] = mixed / np.linalg.norm(mixed)
        np.testing.assert_allclose(getattr(method.bank, m).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "within"), [({}, K), ({"within_negatives": 3}, 3), ({"mean": True, "weight": 0.5}, K)]
)
def test_eq_8_and_9(options: dict[str, Any], within: int, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = same_noise(monkeypatch)
    method, e = build("cma", positives=5, partition=2.2045, **({"weight": 0.7} | options)), units()
    method.find_positives()
    sets = method.positive_set.numpy()
    bank = {m: getattr(method.bank, m).numpy().copy() for m in e}
    x = {m: v.detach().numpy() for m, v in e.items()}
    cross = wmpd = 0.0
    for i, own in enumerate(INDEX.tolist()):
        for m, t in PAIRS["cross"]:
            cross += nce(x[m][i], bank[t][own], bank[t][noise[i]], 2.2045) / B
        for m in ("video", "audio"):
            # The sum over the noise is the same for every positive, so its mean over them is it once.
            wmpd += (
                np.mean([nce(x[m][i], bank[m][p], bank[m][noise[i, :within]], 2.2045) for p in sets[own]]) / B
            )
    weight = method.weight
    expected = cross + weight * wmpd
    if method.mean:
        expected /= 2 + 2 * weight
    assert method.loss(e, {"index": INDEX})["loss"].item() == pytest.approx(expected, rel=1e-6)


def test_cma_gradients_are_those_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    same_noise(monkeypatch)
    method, e = build("cma", positives=5, partition=2.2045).eval(), units()
    method.find_positives()

    def loss(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return method.loss({"video": video, "audio": audio}, {"index": INDEX})["loss"]

    assert torch.autograd.gradcheck(loss, (e["video"], e["audio"]), eps=1e-7, rtol=1e-4)


COMBINE: dict[str, Callable[[Array, Array], Array]] = {
    "agreement": np.minimum, "either": np.maximum, "video": lambda v, a: v, "audio": lambda v, a: a,
}  # fmt: skip


@pytest.mark.parametrize("kind", list(COMBINE))
@pytest.mark.parametrize(("size", "chunk", "k"), [(41, 7, 5), (700, 64, 9), (650, 1000, 3)])
def test_positives_equal_brute_force(kind: Any, size: int, chunk: int, k: int) -> None:
    """Few samples are sorted as they are, many by groups of 64 neighbours; the last group and chunk are not full."""
    generator = torch.Generator().manual_seed(3)
    video, audio = (
        F.normalize(torch.randn(size, 6, generator=generator, dtype=torch.float64), dim=1) for _ in "va"
    )
    found = agreement_positives(video, audio, k, kind, chunk)
    v, a = video.numpy() @ video.numpy().T, audio.numpy() @ audio.numpy().T
    score = COMBINE[kind](v, a).copy()
    np.fill_diagonal(score, -np.inf)
    assert np.array_equal(found.numpy(), np.argsort(-score, axis=1)[:, :k])


@pytest.mark.parametrize("kind", list(COMBINE))
@pytest.mark.parametrize("size", [9, 257])
def test_with_ties_the_row_itself_is_never_found_and_no_row_twice(kind: Any, size: int) -> None:
    """All rows in three directions: every similarity is tied with many."""
    three = torch.eye(3, dtype=torch.float64)[torch.arange(size) % 3]
    k = min(size - 1, 40)
    found = agreement_positives(three, three, k, kind, chunk=50)
    for i in range(size):
        assert i not in found[i]
        assert len(set(found[i].tolist())) == k
        same = (size - 1 - i % 3) // 3  # others of the same direction come first
        assert int((found[i] % 3 == i % 3).sum()) == min(same, k)


def test_candidates_are_drawn_from_and_never_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build("cma", positives=3, candidates=9)
    method.find_positives()
    drawn = []

    def noise(index: torch.Tensor, n: int, size: int, exclude: torch.Tensor) -> torch.Tensor:
        drawn.append(exclude)
        return sample_negatives(index, n, size, exclude)

    monkeypatch.setattr("ssl_av.methods.cma.sample_negatives", noise)
    method.loss(units(), {"index": INDEX})
    related = method.positive_set[INDEX]
    assert torch.equal(drawn[0], related)
    counts = np.zeros(9)
    for _ in range(600):
        chosen = method.draw_positives(related)
        assert all(len(set(row.tolist())) == 3 for row in chosen)
        counts += (chosen[0][:, None] == related[0]).sum(0).numpy()
    assert abs(counts - 200).max() < 60  # 600 · 3 / 9; standard deviation 11.5


@pytest.mark.parametrize("allowed", [False, True])
def test_whether_the_anchor_may_be_noise(allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    method = build("cma", positives=3, anchor_as_negative=allowed)
    method.find_positives()
    seen: list[set[int]] = []

    def noise(index: torch.Tensor, n: int, size: int, exclude: torch.Tensor) -> torch.Tensor:
        rows = sample_negatives(index, 2000, size, exclude)
        seen.extend(set(row.tolist()) for row in rows)
        return rows

    monkeypatch.setattr("ssl_av.methods.cma.sample_negatives", noise)
    method.loss(units(), {"index": INDEX})
    for row, i in zip(seen, INDEX.tolist(), strict=True):
        everything = set(range(N)) - set(method.positive_set[i].tolist())
        assert row == (everything if allowed else everything - {i})


@pytest.mark.parametrize("size", [2, 3, 17])
def test_without_positives_noise_is_uniform_over_the_others(size: int) -> None:
    torch.manual_seed(0)
    rows = sample_negatives(torch.arange(size), 20_000, size)
    for i, drawn in enumerate(rows):
        counts = torch.bincount(drawn, minlength=size).double()
        expected = 20_000 / (size - 1)
        assert counts[i] == 0
        others = counts[torch.arange(size) != i]
        assert (others - expected).abs().max() < 5 * expected**0.5


def test_degenerate_sizes_are_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("avid", "cma"):
        method = build(name, negatives=N, **({"positives": 3} if name == "cma" else {}))
        with pytest.raises(UserError, match=r"negatives=30 does not fit 30 training samples"):
            method.loss(units(), {"index": INDEX})
    for changes, message in (
        ({"positives": 29}, "positives=29 does not fit 30 training samples"),
        ({"positives": 5, "candidates": 4}, "positives=5 must lie between 1 and candidates=4"),
        ({"positives": 5, "candidates": 40}, "positives=40 does not fit 30"),
        ({"positives": 5, "renew_steps": 0}, "renew_steps must be above 0"),
        ({"positives": 5, "weight": -1}, "weight must not be below 0"),
        ({"positives": 5, "kind": "agrement"}, "did you mean agreement"),
        ({"positives": 5, "partition": 0}, "partition must be above 0"),
    ):
        with pytest.raises(UserError, match=message):
            build("cma", **changes)
    with pytest.raises(ValueError, match="no negatives left"):
        sample_negatives(torch.tensor([0]), 3, 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_a_number_never_reaches_the_memory(bad: float) -> None:
    bank = MemoryBank(N, D)
    before = bank.state_dict()
    before = {n: t.clone() for n, t in before.items()}
    video, audio = torch.randn(B, D), torch.randn(B, D)
    audio[2, 1] = bad
    with pytest.raises(UserError, match=r"the audio embedding of sample 0 and 0 others of 4 is not a number"):
        bank.update(INDEX, video, audio)
    assert all(torch.equal(before[n], t) for n, t in bank.state_dict().items())


def test_cma_goes_on_from_an_avid_checkpoint(tmp_path: Path) -> None:
    avid = build("avid", partition=2.5)
    avid.loss(units(), {"index": INDEX})
    save_untrained(avid.float(), tmp_path / "avid.ckpt")
    method = build("cma", positives=3, init=str(tmp_path / "avid.ckpt"))
    assert method.stages(40) == [("cma", 40)]
    method._trainer = SimpleNamespace(
        ckpt_path=None, estimated_stepping_batches=40, global_step=0, current_epoch=0
    )
    method.setup("fit")
    theirs = avid.state_dict()
    taken = [n for n in theirs if n.startswith(("backbones.", "projectors.", "bank.", "partition"))]
    assert len(taken) > 20
    for n in taken:
        torch.testing.assert_close(method.state_dict()[n], theirs[n], check_dtype=False)
    method.on_train_batch_start(None, 0)
    expected = agreement_positives(method.bank.video, method.bank.audio, 3)
    assert torch.equal(method.positive_set, expected)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("avid", {"num_samples": 31}, "its memory holds 31 samples, the training data are 30"),
        ("avid", {"hidden": 5}, "does not fit --method.networks, dim or hidden"),
        ("stica", {}, "a checkpoint of stica; CMA starts from one of avid or cma"),
    ],
)
def test_another_checkpoint_is_refused(
    name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    common = {"inputs": INPUTS, "networks": NETWORKS, "dim": D, "hidden": 4}
    own = {"num_samples": N, "negatives": K} if name == "avid" else {}
    other = create_method(name, **(common | own | changes))
    save_untrained(other, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match=message):
        build("cma", positives=3).start_from(str(tmp_path / "other.ckpt"))
    with pytest.raises(UserError, match="no such checkpoint"):
        build("cma", positives=3).start_from(str(tmp_path / "missing.ckpt"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"renew_epochs": 2}, [0, 20, 40]),
        ({"renew_epochs": None}, [0]),
        ({"renew_steps": 15}, [0, 15, 30, 45]),
    ],
)
def test_when_positives_are_renewed(options: dict[str, Any], expected: list[int]) -> None:
    method = build("cma", positives=3, avid_share=0.0, **options)
    trainer = SimpleNamespace(estimated_stepping_batches=50, global_step=0, current_epoch=0)
    method._trainer = trainer
    seen: list[int] = []
    method.find_positives = lambda: seen.append(trainer.global_step)
    for trainer.global_step in range(50):
        trainer.current_epoch = trainer.global_step // 10
        method.on_train_batch_start(None, 0)
    assert seen == expected
