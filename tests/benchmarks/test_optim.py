"""The benchmark of the optimisers runs, and its two ways take the same steps."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "optim.py"


def test_it_prints_a_ratio_for_each_optimiser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["optim.py", "--quick"])
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "cpu, quick" in line]
    assert [line[0] for line in lines] == ["LARS", "LARC"]
    assert all(float(line[6]) > 0 for line in lines)


@pytest.mark.parametrize("name", ["LARS", "LARC"])
def test_both_ways_take_the_same_steps(name: str) -> None:
    script = runpy.run_path(str(SCRIPT))
    taken = []
    for make in script["WAYS"][name]:
        params = script["parameters"](4, "cpu")
        optimizer = make(params)
        for _ in range(3):
            for p in params:
                p.grad = p.detach().cos()
            optimizer.step()
        taken.append([p.detach() for p in params])
    for ours, usual in zip(*taken, strict=True):
        torch.testing.assert_close(ours, usual, rtol=1e-6, atol=1e-8)
