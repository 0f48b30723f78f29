"""One command at a time trains in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ssl_av.data.manifest import Manifest
from ssl_av.lock import HeldError, is_held
from ssl_av.runs import run
from ssl_av.training.resume import last_checkpoint

HOLD = """
import sys
from pathlib import Path
from ssl_av.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_command_is_refused(
    clips: Manifest, config_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "WAIT", 0.1)
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(HeldError, match=f"process {other.pid} on .* is working in it"):
            run.execute(config_of("supervised", probes=0), clips, tmp_path)
        assert not (tmp_path / "config.yaml").exists()
    run.execute(config_of("supervised", probes=0), clips, tmp_path)
    assert last_checkpoint(tmp_path).is_file()
    assert not is_held(tmp_path)
