"""TensorBoard's files, read back by TensorBoard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_av.bench.suite import load_suite
from ssl_av.config import Budget, RunConfig
from ssl_av.errors import UserError
from ssl_av.tracking import tensorboard


def config(**changes: object) -> RunConfig:
    return RunConfig(
        method={"name": "avid", "optim": {"lr": 1e-3}},
        data={"name": "synthav"},
        budget=Budget(steps=4),
        **changes,
    )  # type: ignore[arg-type]


def test_without_it_there_is_one_line_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs TensorBoard: pip install 'ssl-av\[tensorboard\]'"):
        load_suite("tiny", {"tensorboard": True})
    assert load_suite("tiny", {"tensorboard": False}).tensorboard is False


def test_only_a_run_that_writes_it_says_so() -> None:
    assert "tensorboard" not in config().to_dict()
    asked = config(tensorboard=True)
    assert RunConfig.from_dict(asked.to_dict()) == asked
    with pytest.raises(UserError, match="tensorboard is true or false, got 'yes'"):
        load_suite("tiny", {"tensorboard": "yes"})


def test_scalars_results_and_pictures_are_there(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = tensorboard.board_logger(tmp_path)
    for step in range(4):
        first.log_metrics({"loss": 4.0 - step}, step)
    first.finalize("failed")
    again = tensorboard.board_logger(tmp_path, step=2)  # killed after its second step was saved
    for step in (2, 3):
        again.log_metrics({"loss": 1.0 - step}, step)
    again.finalize("success")
    (tmp_path / "figures").mkdir()
    Image.fromarray(np.full((5, 7, 3), 90, np.uint8)).save(tmp_path / "figures" / "views.png")
    record = {"status": "completed", "results": {"linear-svm": {"video": {"top1": 0.5}}},
              "budget": {"spent": {"steps": 4}}}  # fmt: skip
    tensorboard.finish_board(config(tensorboard=True), record, tmp_path)
    found = events.EventAccumulator(str(tmp_path / tensorboard.FOLDER)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(0, 4.0), (1, 3.0), (2, -1.0), (3, -2.0)]
    assert found.Scalars("results/linear-svm/video/top1")[0].value == 0.5
    picture = found.Images("figures/views")[0]
    assert (picture.width, picture.height, picture.step) == (7, 5, 4)
