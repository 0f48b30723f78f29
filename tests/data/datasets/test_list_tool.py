"""`ssl-av data list`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ssl_av.data.datasets import dataset_class, list_datasets
from ssl_av.data.tools import run_tool
from ssl_av.errors import UserError

OFFICIAL = (
    "audioset",
    "dcase2014",
    "esc50",
    "grid",
    "hmdb51",
    "kinetics400",
    "kinetics600",
    "kinetics700",
    "kinetics_sound",
)


def test_every_data_set_says_what_it_is() -> None:
    names = list_datasets()
    assert {*OFFICIAL, "ucf101", "vggsound", "folder", "csv", "pack", "synthav"} == set(names)
    for name, line in names.items():
        of = dataset_class(name)
        assert line.endswith(".")
        assert of.needs
        assert of.label_type in ("single", "multi")
        assert set(of.modalities) <= {"video", "audio"}
        assert ("fold" in of.__dataclass_fields__) == (of.folds > 1)


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert run_tool(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    after = {line.split()[0]: lines[k + 1].strip() for k, line in enumerate(lines) if line[:1].strip()}
    assert after["esc50"] == "audio, single label, 5 folds"
    assert after["audioset"] == "video and audio, multi label"
    with pytest.raises(UserError):
        run_tool(["list", "--root", "x"])


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ssl_av.data.tools import run_tool; run_tool(['list']); print(sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = out.splitlines()[-1]
    assert not [name for name in ("torch", "av", "pyarrow", "numpy") if f"'{name}'" in loaded]
