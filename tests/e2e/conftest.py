"""The command line as a user runs it, and data small enough for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command

from ssl_av.cli import main

Run = Callable[..., subprocess.CompletedProcess[str]]

#: makes a bench or a fit of seconds
SMALL = [
    "--data.train", "16", "--data.val", "8", "--data.test", "8", "--data.batch_size", "8",
    "--evaluation.clips", "1", "--evaluation.probes", "1",
]  # fmt: skip
SMALL_FIT = [
    *SMALL, "--method.inputs.size", "32", "--method.networks.video_args.width", "4",
    "--method.networks.audio_args.width", "4", "--budget", "steps=2",
]  # fmt: skip
SMALL_BENCH = [
    *SMALL, "--inputs.size", "32", "--networks.video_args.width", "4", "--networks.audio_args.width", "4",
    "--budget", "steps=2", "--methods.avid.negatives", "8",
]  # fmt: skip


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests of the command line: synthav is rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def environ(cache: Path) -> Callable[[], dict[str, str]]:
    """What commands find in their environment."""
    own = {
        "SSL_AV_CACHE": str(cache),
        "COLUMNS": "200",
        "WANDB_MODE": "offline",
        "WANDB__SERVICE_WAIT": "240",
    }
    return lambda: {**os.environ, **own}


@pytest.fixture
def ssl_av(tmp_path: Path, environ: Callable[[], dict[str, str]]) -> Run:
    """``ssl_av("fit", "--method", "avid")`` in an empty folder far away from the repository.

    ``timeout`` are seconds; ``first`` is called before, in the command's process.
    """

    def run(
        *words: object, timeout: float = 300, first: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return Command(words, tmp_path, environ(), first=first).ended(timeout)

    return run


@pytest.fixture
def small_fit() -> list[str]:
    """Options that make a fit one of seconds."""
    return SMALL_FIT


@pytest.fixture
def small_bench() -> list[str]:
    """Options that make a bench one of seconds."""
    return SMALL_BENCH


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """``refused(words, says)``: one line that says so, exit code 2, and nothing is written."""

    def check(words: list[str], says: str) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
        with pytest.raises(SystemExit) as ended:
            main(words)
        lines = capsys.readouterr().err.strip().splitlines()
        assert (ended.value.code, len(lines)) == (2, 1)
        assert says in lines[0]
        assert list(tmp_path.iterdir()) == []

    return check
