"""`--trainer.compile`: the same names, the same losses, and a resume that is exact."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from ssl_av.checks import check_trainer
from ssl_av.data.manifest import Manifest
from ssl_av.errors import UserError
from ssl_av.runs.run import execute
from ssl_av.training.compiling import check_compile, compiled
from ssl_av.training.resume import last_checkpoint


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as lines:
        return [float(row["loss"]) for row in csv.DictReader(lines) if row["loss"]]


@pytest.mark.slow
def test_a_compiled_training_has_the_same_losses_and_names(
    clips: Manifest, config_of, undisturbed, state_of, capsys, tmp_path: Path
) -> None:
    written = undisturbed("supervised")
    config = config_of("supervised", trainer={"compile": "aot_eager"})
    record = execute(config, clips, tmp_path, resume=last_checkpoint(written / "3"))
    assert losses(tmp_path) == pytest.approx(losses(written / "whole")[3:], rel=1e-3)
    ours, theirs = state_of(tmp_path), state_of(written / "whole")
    assert ours["state_dict"].keys() == theirs["state_dict"].keys()
    assert record["health"]["changed"] == ['trainer.compile (none there, "aot_eager" here)']
    assert "warning: goes on with other settings: trainer.compile" in capsys.readouterr().err


def test_only_what_trains_is_compiled(config_of) -> None:
    from ssl_av.methods import create_method

    method = create_method(
        "supervised", **{k: v for k, v in config_of("supervised").method.items() if k != "name"}
    )
    net, names = method.net("audio"), list(method.state_dict())
    x, before = torch.randn(2, 1, 64, 64), net.forward_features
    with compiled(method, "eager"):
        assert list(method.state_dict()) == names
        assert torch.allclose(net.train()(x), net.pool(before(x)), atol=1e-5)
        assert torch.equal(net.eval()(x), net.pool(before(x)))
    assert net.forward_features == before


def test_where_nothing_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match=r"unknown backend of --trainer.compile 'inducktor'; did you mean inductor"
    ):
        check_trainer({"compile": "inducktor"})

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no working\nC++ compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(
        UserError, match=r"^--trainer.compile inductor: nothing .* no working C\+\+ compiler; .*out$"
    ):
        check_compile("inductor")
    check_compile("none")
