"""Joules, from a machine that the test makes up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ssl_av.training.accounting import Clock
from ssl_av.training.energy import Energy


@pytest.fixture
def rapl(tmp_path: Path) -> Path:
    """Two packages, the first with cores and memory, and a counter of the whole platform."""
    for domain, name, joules in (
        ("intel-rapl:0", "package-0", 100), ("intel-rapl:0:0", "core", 60), ("intel-rapl:0:1", "dram", 10),
        ("intel-rapl:1", "package-1", 50), ("intel-rapl:2", "psys", 400),
    ):  # fmt: skip
        folder = tmp_path / domain
        folder.mkdir()
        (folder / "name").write_text(name + "\n")
        (folder / "max_energy_range_uj").write_text("200000000\n")
        set_joules(tmp_path, domain, joules)
    return tmp_path


def set_joules(root: Path, domain: str, joules: float) -> None:
    (root / domain / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")


def test_packages_and_memory_are_counted_once_each(rapl: Path):
    energy = Energy(rapl=rapl)
    assert energy.parts == ("package-0", "dram 0", "package-1")
    assert energy() == 0
    for domain, joules in (
        ("intel-rapl:0", 130),
        ("intel-rapl:0:0", 85),
        ("intel-rapl:0:1", 12),
        ("intel-rapl:2", 900),
    ):
        set_joules(rapl, domain, joules)
    assert energy() == pytest.approx(32)


def test_a_counter_that_begins_anew_goes_on(rapl: Path):
    energy = Energy(rapl=rapl)
    set_joules(rapl, "intel-rapl:1", 199)
    assert energy() == pytest.approx(149)
    set_joules(rapl, "intel-rapl:1", 9)
    assert energy() == pytest.approx(159)


def test_a_machine_that_cannot_tell_says_nothing(rapl: Path, tmp_path: Path):
    assert Energy(rapl=tmp_path / "nothing").parts == ()
    assert Energy(gpu=0, rapl=rapl).parts == (), "without the GPU's own counter the rest says too little"
    assert Clock(Energy(rapl=tmp_path / "nothing")).joules is None


def test_a_gpu_is_counted_with_the_processors(rapl: Path, monkeypatch: pytest.MonkeyPatch):
    used = {"mj": 5000}
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: used["mj"] if handle == "GPU-abc" else 1 / 0,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid="abc"))
    energy = Energy(gpu=0, rapl=rapl)
    assert energy.parts[0] == "gpu"
    used["mj"] += 2500
    assert energy() == pytest.approx(2.5)


def test_the_clock_counts_from_the_wait_to_the_end_of_the_step(rapl: Path):
    clock = Clock(Energy(rapl=rapl))
    for wait, step, probe in ((110, 130, 150), (151, 171, 190)):
        clock.start(Clock.WAIT)
        set_joules(rapl, "intel-rapl:0", wait)
        clock.stop(Clock.WAIT)
        clock.start(Clock.STEP)
        set_joules(rapl, "intel-rapl:0", step)
        clock.stop(Clock.STEP)
        set_joules(rapl, "intel-rapl:0", probe)  # what lies between two steps is no training
    assert clock.joules == pytest.approx(30 + 21)
