"""Steps of the optimisers by hand, the groups, and the schedule at chosen steps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from ssl_av.errors import UserError
from ssl_av.methods.settings import Optim
from ssl_av.optim import LARC, LARS, create_optimizer, parameter_groups, schedule
from ssl_av.optim.groups import parameter_kinds


def weight(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def step(optimizer: torch.optim.Optimizer, p: nn.Parameter, *grad: float) -> list[float]:
    p.grad = torch.tensor(grad, dtype=p.dtype)
    optimizer.step()
    return p.tolist()


def test_lars_by_hand() -> None:
    w = weight(3, 4)
    optimizer = LARS([w], lr=1.0, momentum=0.9, nesterov=False)
    # ‖w‖ = 5, ‖g‖ = 1: the gradient is scaled by 0.001 · 5 / 1.
    assert step(optimizer, w, 0.6, 0.8) == pytest.approx([2.997, 3.996], abs=1e-12)
    # ‖w‖ = 4.995, ‖g‖ = 2: scaled to (−0.002997, −0.003996); momentum adds 0.9 · (0.003, 0.004).
    assert step(optimizer, w, -1.2, -1.6) == pytest.approx([2.997297, 3.996396], abs=1e-12)


def test_lars_with_nesterov_by_hand() -> None:
    w = weight(3, 4)
    # d = (0.003, 0.004), m = d: the step is d + 0.9 m, times the rate.
    got = step(LARS([w], lr=2.0, momentum=0.9, nesterov=True), w, 0.6, 0.8)
    assert got == pytest.approx([3 - 2 * 1.9 * 0.003, 4 - 2 * 1.9 * 0.004], abs=1e-12)


def test_lars_takes_the_norm_after_the_decay_was_added() -> None:
    """BYOL's form: ‖g + wd·w‖ = ‖(0.6, 0.8)‖ = 1, where You et al. have ‖g‖ + wd·‖w‖ = 1.5 + 2.5."""
    w = weight(3, 4)
    got = step(LARS([w], lr=1.0, momentum=0.0, weight_decay=0.5), w, -0.9, -1.2)
    assert got == pytest.approx([2.997, 3.996], abs=1e-12)


def test_lars_ignores_the_scale_of_the_gradient() -> None:
    steps = []
    for scale in (1.0, 1000.0):
        w = weight(3, 4)
        steps.append(step(LARS([w], lr=1.0), w, 0.6 * scale, 0.8 * scale))
    assert steps[0] == pytest.approx(steps[1], abs=1e-12)


def test_lars_without_adaptation_is_sgd() -> None:
    ours, theirs = weight(3, 4), weight(3, 4)
    lars = LARS([{"params": [ours], "adapt": False}], lr=0.1, weight_decay=0.01, nesterov=True)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    for grad in ((1.0, -2.0), (0.5, 0.5), (-3.0, 1.0)):
        assert step(lars, ours, *grad) == pytest.approx(step(sgd, theirs, *grad), abs=1e-12)


@pytest.mark.parametrize(("start", "grad"), [((0.0, 0.0), (0.6, 0.8)), ((3.0, 4.0), (0.0, 0.0))])
def test_lars_does_not_scale_where_a_norm_is_zero(start: tuple[float, ...], grad: tuple[float, ...]) -> None:
    w = weight(*start)
    got = step(LARS([w], lr=1.0, momentum=0.0), w, *grad)
    assert got == pytest.approx([a - b for a, b in zip(start, grad, strict=True)])


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"lr": 1.0, "momentum": 1.0}, {"lr": 1.0, "trust": 0.0}])
def test_lars_refuses_impossible_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="LARS"):
        LARS([weight(1)], **wrong)


def test_larc_by_hand() -> None:
    w = weight(3, 4)
    optimizer = LARC([w], lr=0.01, weight_decay=0.5)
    # 0.001 · 5 / (1 + 0.5 · 5) / 0.01 = 1/7 of g + 0.5 w = (2.1, 2.8)
    # Adam's first step is the rate times the sign.
    got = step(optimizer, w, 0.6, 0.8)
    assert w.grad is not None
    assert w.grad.tolist() == pytest.approx([0.3, 0.4], rel=1e-6)
    assert got == pytest.approx([2.99, 3.99], abs=1e-6)
    assert optimizer.param_groups[0]["weight_decay"] == 0.5  # as it was


def test_larc_clips_the_scale_at_one() -> None:
    w = weight(3, 4)
    step(LARC([w], lr=0.001, weight_decay=0.5), w, 0.6, 0.8)  # 1/0.7 > 1
    assert w.grad is not None
    assert w.grad.tolist() == pytest.approx([2.1, 2.8], rel=1e-9)


def test_larc_without_clipping_scales_by_the_local_rate() -> None:
    w = weight(3, 4)
    step(LARC([w], lr=0.01, clip=False), w, 0.6, 0.8)
    assert w.grad is not None
    assert w.grad.tolist() == pytest.approx([0.003, 0.004], rel=1e-6)


def test_larc_is_adam_on_the_scaled_gradients() -> None:
    ours, theirs = weight(3, 4), weight(3, 4)
    larc, adam = LARC([ours], lr=0.01, weight_decay=0.1), torch.optim.Adam([theirs], lr=0.01)
    for grad in ((1.0, -2.0), (0.5, 0.5), (-3.0, 1.0)):
        g, w = torch.tensor(grad, dtype=torch.float64), theirs.detach()
        local = 0.001 * w.norm() / (g.norm() + 0.1 * w.norm() + 1e-8)
        scaled = (g + 0.1 * w) * min(float(local) / 0.01, 1.0)
        assert step(larc, ours, *grad) == pytest.approx(step(adam, theirs, *scaled.tolist()), abs=1e-12)


@pytest.mark.parametrize("kind", [LARS, LARC])
def test_a_closure_is_run_once_before_the_step(kind: Any) -> None:
    w = weight(3, 4)
    optimizer, calls = kind([w], lr=0.01), []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        calls.append(1)
        return loss.detach()

    assert float(optimizer.step(closure)) == 25
    assert len(calls) == 1
    assert w.tolist() != [3, 4]


@pytest.mark.parametrize("kind", [LARS, LARC])
def test_goes_on_as_before_from_its_state(kind: Any) -> None:
    grads = ((1.0, -2.0), (0.5, 0.5), (-3.0, 1.0))
    w = weight(3, 4)
    first = kind([w], lr=0.01, weight_decay=0.1)
    step(first, w, *grads[0])
    again = weight(*w.tolist())
    second = kind([again], lr=0.5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # else they share their tensors
    for grad in grads[1:]:
        assert step(first, w, *grad) == step(second, again, *grad)


@pytest.mark.parametrize("kind", [LARS, LARC])
def test_a_rate_of_zero_changes_nothing(kind: Any) -> None:
    w = weight(3, 4)
    assert step(kind([w], lr=0.0, weight_decay=0.1), w, 0.6, 0.8) == [3, 4]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def test_groups_tell_predictor_and_biases_apart() -> None:
    net = Net()
    settings = Optim(name="lars", lr=0.5, weight_decay=0.1, predictor_scale=10, predictor_constant=True)
    groups = {g["name"]: g for g in parameter_groups(net, [net.head], settings)}
    base, plain, head, head_bias = (
        groups[n] for n in ("base", "base/bias+norm", "predictor", "predictor/bias+norm")
    )
    assert base["params"] == [net.body[0].weight]
    assert {id(p) for p in plain["params"]} == {id(p) for p in (net.body[0].bias, *net.body[1].parameters())}
    assert (head["params"], head_bias["params"]) == ([net.head.weight], [net.head.bias])
    assert [g["weight_decay"] for g in (base, plain, head, head_bias)] == [0.1, 0, 0.1, 0]
    assert [g["adapt"] for g in (base, plain, head, head_bias)] == [True, False, True, False]
    assert [g["lr"] for g in (base, plain, head, head_bias)] == [0.5, 0.5, 5, 5]
    assert [g["constant"] for g in (base, plain, head, head_bias)] == [False, False, True, True]


def test_decay_all_makes_one_group() -> None:
    net = Net()
    (group,) = parameter_groups(net, [], Optim(weight_decay=0.1, decay_all=True))
    assert len(group["params"]) == 6
    assert group["weight_decay"] == 0.1


def test_kinds_of_parameter_are_told_by_what_they_do() -> None:
    net = nn.ModuleDict(
        {
            "conv": nn.Conv2d(1, 2, 1),
            "batch": nn.BatchNorm2d(2),
            "layer": nn.LayerNorm(2),
            "attention": nn.MultiheadAttention(4, 1),
            "plain": nn.BatchNorm1d(2, affine=False),
        }
    )
    by_id = parameter_kinds(net)
    kinds = {name: by_id[id(p)] for name, p in net.named_parameters()}
    assert {n for n, k in kinds.items() if k == "norm"} == {
        "batch.weight", "batch.bias", "layer.weight", "layer.bias",
    }  # fmt: skip
    assert {n for n, k in kinds.items() if k == "bias"} == {
        "conv.bias", "attention.in_proj_bias", "attention.out_proj.bias",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("exclude", "decayed", "name"),
    [
        ((), 6, None),
        (("bias",), 4, "base/bias"),
        (("norm",), 4, "base/norm"),
        (("norm", "bias"), 2, "base/norm+bias"),
    ],
)
def test_exclusions_by_kind(exclude: tuple[str, ...], decayed: int, name: str | None) -> None:
    groups = {
        g["name"]: g
        for g in parameter_groups(Net(), [], Optim(name="lars", weight_decay=0.1, exclude=exclude))
    }
    assert len(groups["base"]["params"]) == decayed
    assert groups["base"]["adapt"]
    if name is not None:
        assert len(groups[name]["params"]) == 6 - decayed
        assert (groups[name]["weight_decay"], groups[name]["adapt"]) == (0, False)


def test_settings_reach_the_optimisers() -> None:
    def made(**settings: Any) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = create_optimizer(Optim(**settings), Net(), [], 4)["optimizer"]
        return optimizer

    sgd, lars = made(name="sgd", momentum=0.5, nesterov=True), made(name="lars", momentum=0.5, trust=0.02)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.5, True)
    assert (lars.defaults["momentum"], lars.defaults["trust"], lars.defaults["nesterov"]) == (0.5, 0.02, True)
    assert not made(name="sgd").defaults["nesterov"]
    assert not made(name="lars", nesterov=False).defaults["nesterov"]
    assert not made(name="lars").defaults["lr_in_momentum"]
    assert made(name="lars", lr_in_momentum=True).defaults["lr_in_momentum"]
    for name in ("adam", "adamw", "larc"):
        assert made(name=name, betas=(0.8, 0.9)).defaults["betas"] == (0.8, 0.9)
    assert made(name="larc", trust=0.02).param_groups[0]["trust"] == 0.02


def test_the_rate_is_scaled_only_when_asked() -> None:
    def rates(batch: int | None, **settings: Any) -> list[float]:
        net = Net()
        optim = Optim(lr=0.1, predictor_scale=10, decay_all=True, **settings)
        optimizer = create_optimizer(optim, net, [net.head], 4, batch=batch)["optimizer"]
        return [g["lr"] for g in optimizer.param_groups]

    assert rates(1024) == pytest.approx([0.1, 1.0])
    assert rates(1024, lr_scaling="linear") == pytest.approx([0.4, 4.0])
    assert rates(64, lr_scaling="linear", base_batch=512) == pytest.approx([0.0125, 0.125])
    with pytest.raises(UserError, match=r"optim\.lr_scaling linear: the batch size is not known"):
        rates(None, lr_scaling="linear")


@pytest.mark.parametrize(
    "field", [{"warmup": "2 epochs"}, {"schedule": "multistep", "milestones": ("1 epoch",)}]
)
def test_epochs_need_to_be_known(field: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="the steps of an epoch are not known; give steps or a share"):
        create_optimizer(Optim(**field), Net(), [], 4)
    create_optimizer(Optim(**field), Net(), [], 8, epoch_steps=4)


def test_a_warm_up_longer_than_the_training_is_said() -> None:
    with pytest.warns(UserWarning, match="warmup is 5000 steps, the whole training 10 steps"):
        create_optimizer(Optim(warmup="5000 steps"), Net(), [], 10)


def test_a_checkpoint_from_before_a_field_is_continued() -> None:
    w, twin = weight(3, 4), weight(3, 4)
    optimizer, untouched = LARS([w], lr=0.1), LARS([twin], lr=0.1)
    assert step(optimizer, w, 0.6, 0.8) == step(untouched, twin, 0.6, 0.8)
    saved = copy.deepcopy(optimizer.state_dict())
    del saved["param_groups"][0]["lr_in_momentum"]
    optimizer.load_state_dict(saved)
    assert step(optimizer, w, 0.6, 0.8) == step(untouched, twin, 0.6, 0.8) != [3, 4]


def test_larc_leaves_a_gradient_of_zeros_alone() -> None:
    """As apex does: no decay either."""
    w = weight(3, 4)
    assert step(LARC([w], lr=0.01, weight_decay=0.5), w, 0.0, 0.0) == [3, 4]


def test_cosine_at_chosen_steps() -> None:
    at = {s: schedule("cosine", s, 100, 0.1, 0.0) for s in (0, 9, 10, 55, 100, 120)}
    assert at == pytest.approx({0: 1 / 11, 9: 10 / 11, 10: 1, 55: 0.5, 100: 0, 120: 0}, abs=1e-12)


def test_cosine_ends_where_it_is_told() -> None:
    assert schedule("cosine", 50, 100, 0.0, 0.5) == pytest.approx(0.75)
    assert schedule("cosine", 100, 100, 0.0, 0.5) == pytest.approx(0.5)


def test_constant_after_the_warm_up() -> None:
    assert [schedule("constant", s, 10, 0.2, 0.0) for s in (0, 1, 2, 9)] == pytest.approx(
        [1 / 3, 2 / 3, 1, 1]
    )


@pytest.mark.parametrize("total", [0, 1, 2])
def test_schedule_of_very_short_trainings_is_finite(total: int) -> None:
    assert all(0 <= schedule("cosine", s, total, 1.0, 0.0) <= 1 for s in range(total + 1))


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars", "larc"])
def test_only_the_predictor_keeps_its_rate(name: str) -> None:
    net = Net()
    settings = Optim(name=name, lr=0.01, schedule="cosine", predictor_scale=10, predictor_constant=True)
    made = create_optimizer(settings, net, [net.head], total_steps=4)
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    for _ in range(2):
        net.head(net.body(torch.randn(5, 3))).sum().backward()
        optimizer.step()
        scheduler.step()
    rates = {g["name"]: g["lr"] for g in optimizer.param_groups}
    assert rates["base"] == pytest.approx(0.005)
    assert rates["predictor"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adma"}, "unknown optimizer 'adma'; did you mean adam"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean cosine"),
        ({"lr_scaling": "liner"}, "unknown lr_scaling 'liner'; did you mean linear"),
        ({"exclude": ("biases",)}, "unknown kind of parameter in optim.exclude 'biases'; did you mean bias"),
        ({"exclude": "bias"}, "optim.exclude must be a list, got 'bias'"),
        ({"exclude": ("bias",), "decay_all": True}, "set optim.decay_all: false"),
        ({"lr": 0.0}, "optim.lr must be above 0"),
        ({"lr": -1}, "optim.lr must be above 0, got -1"),
        ({"lr": "fast"}, "optim.lr must be a number, got 'fast'"),
        ({"lr": float("nan")}, "optim.lr must be a number"),
        ({"lr": True}, "optim.lr must be a number"),
        ({"weight_decay": -1e-5}, "optim.weight_decay must be at least 0, got -1e-05"),
        ({"predictor_scale": 0}, "optim.predictor_scale must be above 0"),
        ({"base_batch": 0}, "optim.base_batch must be above 0"),
        ({"momentum": 1.0}, "optim.momentum must be at least 0 and below 1"),
        ({"betas": (0.9,)}, "optim.betas must be two numbers"),
        ({"betas": (0.9, 1.0)}, "optim.betas must be at least 0 and below 1"),
        ({"nesterov": True}, "optim.nesterov is for sgd and lars, not for adam"),
        ({"name": "sgd", "momentum": 0, "nesterov": True}, "optim.nesterov needs a momentum"),
        ({"name": "sgd", "lr_in_momentum": True}, "optim.lr_in_momentum is for lars, not for sgd"),
        ({"warmup": "5000 stpes"}, "unknown unit in optim.warmup 'stpes'; did you mean steps"),
        ({"warmup": "long"}, "optim.warmup: 'long' is not a share such as 0.1, '5000 steps' or '10 epochs'"),
        ({"warmup": 10}, "optim.warmup: 10 is more than the whole training; write '10 steps' or '10 epochs'"),
        ({"warmup": "0.5 steps"}, "not a whole number of steps"),
        ({"warmup": -0.1}, "optim.warmup must be at least 0"),
        ({"warmup_start": 2.0}, "optim.warmup_start must be from 0 to 1"),
        ({"schedule": "multistep"}, "multistep needs optim.milestones"),
        ({"milestones": (0.5,)}, "optim.milestones are for the schedule multistep, not for constant"),
        ({"schedule": "multistep", "milestones": (0.6, 0.3)}, r"must rise, got \[0.6, 0.3\]"),
        ({"schedule": "multistep", "milestones": ("6 epochs", 0.9)}, "must be in one unit"),
        ({"schedule": "multistep", "milestones": 0.5}, "optim.milestones must be a list"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as e:
        Optim(**settings)
    assert "\n" not in str(e.value)


def test_lists_of_a_file_become_tuples() -> None:
    settings = Optim(schedule="multistep", milestones=["6 epochs"], betas=[0.9, 0.95], exclude=[])  # type: ignore[arg-type]
    assert (settings.milestones, settings.betas, settings.exclude) == (("6 epochs",), (0.9, 0.95), ())
    assert hash(settings) == hash(
        Optim(schedule="multistep", milestones=("6 epochs",), betas=(0.9, 0.95), exclude=())
    )


def test_a_copy_of_larc_steps_like_the_original() -> None:
    w = weight(3, 4)
    first = LARC([w], lr=0.01, trust=0.002)
    step(first, w, 1.0, -2.0)
    second = copy.deepcopy(first)
    (again,) = second.param_groups[0]["params"]
    assert step(first, w, 0.5, 0.5) == step(second, again, 0.5, 0.5)
