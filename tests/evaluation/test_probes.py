"""Probes on features whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ssl_av.backbones import create_backbone
from ssl_av.errors import UserError
from ssl_av.evaluation.pooling import BlockFeatures, pool_to
from ssl_av.evaluation.probes import Probe, measure_probe, probe, train_probe
from ssl_av.methods.settings import Optim

FAST = Probe(Optim(lr=0.05, weight_decay=0.0), epochs=15, batch_size=64, norm="fixed")


def clips(n: int, seed: int, signal: float, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """[n, count, 12] features of four classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    centres = np.random.default_rng(9).normal(size=(4, 12))
    x = signal * centres[y][:, None] + rng.normal(size=(n, count, 12))
    return x.astype(np.float32), y


def splits(signal: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {"train": clips(160, 0, signal), "val": clips(60, 1, signal, 2), "test": clips(80, 2, signal)}


def test_separable_features_are_separated():
    found = probe(splits(6.0), FAST)
    assert found["val"].metrics["top1"] == found["test"].metrics["top1"] == 1.0
    assert found["test"].metrics["clips"] == 3
    assert found["val"].metrics["clips"] == 2
    assert found["test"].scores.shape == (80, 4)


def test_permuted_labels_stay_at_chance():
    data = splits(6.0)
    x, y = data["train"]
    data["train"] = (x, np.random.default_rng(3).permutation(y))
    found = probe(data, FAST)["test"].metrics
    assert abs(found["top1"] - 0.25) < 0.2


def test_the_mean_over_clips_is_better_than_a_clip():
    found = probe(splits(0.6), FAST)["test"].metrics
    assert 0.3 < found["clip_top1"] < found["top1"]


@pytest.mark.parametrize(
    "optim",
    [
        Optim(name="lars", lr=2.0, weight_decay=0.0, trust=0.01, warmup="2 epochs", schedule="cosine"),
        Optim(name="sgd", lr=0.1, weight_decay=1e-4, schedule="multistep", milestones=("4 epochs", "8 epochs")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("draw", ["all", "one"])
def test_other_optimisers_and_draws_learn_too(optim, draw):
    settings = Probe(optim, epochs=15, batch_size=32, norm="learned", draw=draw)
    assert probe(splits(6.0), settings)["test"].metrics["top1"] > 0.95


def test_same_seed_same_scores_and_the_global_state_stays():
    data, settings = splits(0.5), Probe(FAST.optim, epochs=2, batch_size=32, hidden=(8,), dropout=0.3)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (probe(data, settings, seed=1)["test"].scores for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, probe(data, settings, seed=2)["test"].scores)


def test_nothing_is_chosen_on_a_measured_split():
    data = splits(0.5)
    first = train_probe(*data["train"], FAST)
    both = probe(data, FAST)
    alone = probe({"train": data["train"], "test": data["test"]}, FAST)
    np.testing.assert_array_equal(both["test"].scores, alone["test"].scores)
    np.testing.assert_array_equal(measure_probe(first, *data["test"], FAST).scores, alone["test"].scores)


def test_features_are_read_from_a_mapped_file_of_halves(tmp_path):
    data = splits(6.0)
    x, y = data["train"]
    np.save(tmp_path / "x.npy", x.astype(np.float16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = train_probe(mapped, y, FAST)
    assert measure_probe(model, *data["test"], FAST).metrics["top1"] == 1.0
    assert measure_probe(model, mapped, y, FAST).metrics["top1"] == 1.0


def test_the_fixed_norm_has_no_parameters_and_takes_out_the_scale():
    data = splits(6.0)
    model = train_probe(*data["train"], FAST)
    kinds = [type(m).__name__ for m in model]
    assert kinds == ["BatchNorm1d", "Linear"]
    assert [tuple(p.shape) for p in model.parameters()] == [(4, 12), (4,)]
    assert not model.training
    learned = train_probe(*data["train"], Probe(FAST.optim, epochs=1, norm="learned"))
    assert len(list(learned.parameters())) == 4
    scaled = {s: (x * np.logspace(-3, 3, 12, dtype=np.float32) + 7, y) for s, (x, y) in data.items()}
    assert probe(scaled, FAST)["test"].metrics["top1"] == 1.0


def test_a_hidden_layer_learns_what_no_line_separates():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    line = Probe(Optim(lr=0.05, weight_decay=0.0), epochs=25, batch_size=50)
    mlp = Probe(line.optim, epochs=25, batch_size=50, norm="learned", hidden=(32,))
    top1 = {
        name: measure_probe(train_probe(x[:300], y[:300], s), x[300:], y[300:], s).metrics["top1"]
        for name, s in {"line": line, "mlp": mlp}.items()
    }
    assert top1["line"] < 0.7
    assert top1["mlp"] > 0.9
    kinds = [
        type(m).__name__ for m in train_probe(x, y, Probe(hidden=(3,), norm="learned", epochs=1, dropout=0.5))
    ]
    assert kinds == ["BatchNorm1d", "Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]


def test_several_labels_a_sample():
    rng = np.random.default_rng(0)
    y = (rng.random((200, 5)) < 0.3).astype(np.uint8)
    x = (y @ rng.normal(size=(5, 16)) + 0.1 * rng.normal(size=(200, 16))).astype(np.float32)
    settings = Probe(FAST.optim, epochs=40, batch_size=50, norm="fixed")
    found = probe({"train": (x[:150], y[:150]), "test": (x[150:], y[150:])}, settings)["test"].metrics
    assert found["map"] > 0.97
    with pytest.raises(UserError, match=r"labels must be \[N\], or \[N, classes\]"):
        train_probe(x, y[..., None], settings)


def test_samples_without_a_label_take_no_part():
    x, y = clips(160, 0, 6.0)
    some = y.copy()
    some[::2] = -1
    gone = x.copy()
    gone[::2] = np.nan
    model = train_probe(gone, some, FAST, classes=4)
    found = measure_probe(model, x, some, FAST)
    assert found.metrics["samples"] == 80
    assert found.rows.tolist() == list(range(1, 160, 2))


def test_in_turn_each_epoch_has_the_next_clip():
    x, y = clips(64, 0, 6.0)
    x[:, 1:] = np.nan  # one epoch sees the first clips alone
    turn = Probe(FAST.optim, epochs=1, batch_size=32, draw="turn")
    assert measure_probe(train_probe(x, y, turn), x[:, 0], y, turn).metrics["clips"] == 1
    with pytest.raises(UserError, match="the loss of the probe is nan after 4 steps"):
        train_probe(x, y, Probe(FAST.optim, epochs=2, batch_size=32, draw="turn"))


def test_progress_by_the_epoch():
    seen = []
    train_probe(*clips(40, 0, 1.0), Probe(epochs=3, batch_size=32), progress=lambda *a: seen.append(a))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_mistakes_are_explained():
    x, y = clips(20, 0, 1.0)
    with pytest.raises(UserError, match="a split named train, got val"):
        probe({"val": (x, y)}, FAST)
    with pytest.raises(UserError, match="a label is 3, but there are 2 classes"):
        train_probe(x, y, FAST, classes=2)
    with pytest.raises(UserError, match=r"with a label a row, got \[20, 3, 12\] and \[19\]"):
        train_probe(x, y[:-1], FAST)
    with pytest.raises(UserError, match="at least 2 labelled"):
        train_probe(x, np.full(20, -1), FAST, classes=2)
    with pytest.raises(UserError, match="no labelled sample"):
        measure_probe(train_probe(x, y, FAST), x, np.full(20, -1), FAST)
    with pytest.raises(UserError, match="the loss of the probe is nan"):
        train_probe(x * np.nan, y, FAST)
    with pytest.raises(UserError, match="did you mean learned"):
        Probe(norm="learnt")
    with pytest.raises(UserError, match="dropout must be"):
        Probe(dropout=1.0)
    with pytest.raises(UserError, match="batch_size must be at least 2"):
        Probe(batch_size=1)


def test_blocks_have_the_sizes_of_avids_code():
    # conv2x … conv5x at 224 pixels and 8 frames
    shapes = {9216: (64, 8, 56, 56), 8192: (128, 4, 28, 28)}
    for size, shape in shapes.items():
        assert pool_to(torch.randn(2, *shape), size).shape == (2, size)
    assert pool_to(torch.randn(2, 256, 2, 14, 14), 9216).shape == (2, 9216)
    assert pool_to(torch.randn(2, 512, 1, 7, 7), 8192).shape == (2, 8192)
    x = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(pool_to(x, 3), x.amax(dim=(2, 3, 4)))
    assert pool_to(torch.randn(2, 4, 9, 9), 16).shape == (2, 16)


def test_blocks_of_a_backbone_in_order():
    net = create_backbone("r2plus1d_10", width=4).eval()
    blocks = BlockFeatures(net, (36, 32, 36, 32))
    found = blocks(torch.randn(2, 3, 8, 32, 32))
    assert list(found) == ["block1", "block2", "block3", "block4"]
    assert found["block1"].shape == (2, 36)
    torch.testing.assert_close(BlockFeatures(net, (1,), ["conv5x"])(torch.ones(1, 3, 8, 32, 32))["block1"],
                               net(torch.ones(1, 3, 8, 32, 32)))  # fmt: skip
    with pytest.raises(UserError, match="did you mean conv5x"):
        BlockFeatures(net, (1,), ["conv6x"])
    with pytest.raises(UserError, match="2 sizes for 1 blocks"):
        BlockFeatures(net, (1, 2), ["conv5x"])
    with pytest.raises(UserError, match="no forward_stages"):
        BlockFeatures(nn.Linear(1, 1), (1,))  # type: ignore[arg-type]
