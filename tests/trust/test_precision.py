"""Half precision where it is asked for, and losses in float32 all the same."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_av.config import Budget
from ssl_av.data.manifest import Manifest
from ssl_av.methods.base import Method
from ssl_av.runs.run import execute


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avid", "brave", "cma", "crisscross", "stica", "supervised"])
def test_bf16_mixed(name: str, clips: Manifest, config_of, monkeypatch, tmp_path: Path) -> None:
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    step = Method.training_step

    def spy(self: Method, batch: dict[str, Any], batch_idx: int) -> Any:
        with torch.no_grad():
            half = self.net("video")(
                batch[next(n for n, v in self.views.items() if v.modality == "video")]
            ).dtype
        found = step(self, batch, batch_idx)
        assert found is not None
        seen.append((half, found["loss"].dtype))
        return found

    monkeypatch.setattr(Method, "training_step", spy)
    config = replace(config_of(name, trainer={"precision": "bf16-mixed"}, probes=0), budget=Budget(steps=2))
    record = execute(config, clips, tmp_path)
    assert seen == [(torch.bfloat16, torch.float32)] * 2
    assert all(math.isfinite(loss) for _, loss in record["curves"]["loss"])
