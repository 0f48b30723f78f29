"""Processes that hang, crash or eat the memory: their item fails with its reason, the others are answered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from troubles import slow, trouble

from ssl_av.data.processes import Failed, in_processes

WORDS = [f"word{i}" for i in range(30)]


def test_every_item_is_answered_once() -> None:
    found = list(in_processes(trouble, WORDS, 2, 60))
    assert sorted(found) == sorted((word, word.upper()) for word in WORDS)
    assert list(in_processes(trouble, [], 2, 60)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("hang", r"took longer than 3 s"),
        ("crash", r"the process that opened it died \(SIGSEGV\)"),
        ("kill", r"the process that opened it died \(SIGKILL: out of memory\?\)"),
        ("raise", r"ValueError: two"),
        pytest.param(
            "eat",
            r"needs more than 1 GiB of memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="other systems set no such limit"),
        ),
    ],
)
def test_a_broken_item_fails_alone(word: str, reason: str) -> None:
    items = [*WORDS[:12], word, *WORDS[12:], word]
    found = list(in_processes(trouble, items, 1, 3, memory=1 << 30))
    assert len(found) == len(items)
    failed = [answer for _, answer in found if isinstance(answer, Failed)]
    assert len(failed) == 2
    assert all(re.fullmatch(reason, answer.reason) for answer in failed)
    assert {item: answer for item, answer in found if item != word} == {w: w.upper() for w in WORDS}


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").is_file() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_who_stops_asking_leaves_no_process_behind(tmp_path: Path) -> None:
    found = in_processes(trouble, [*WORDS, "hang"], 1, 60)
    next(found)
    found.close()  # type: ignore[attr-defined]
    file = tmp_path / "pid"
    assert [type(answer) for _, answer in in_processes(slow, [str(file)], 1, 2)] == [Failed]
    assert gone(int(file.read_text()))


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    file = tmp_path / "pid"
    script.write_text(
        "from troubles import slow\nfrom ssl_av.data.processes import in_processes\n"
        f"if __name__ == '__main__':\n    list(in_processes(slow, [{str(file)!r}], 1, 600))\n"
    )
    support = Path(__file__).resolve().parents[1] / "support"
    paths = os.pathsep.join([str(support), *filter(None, sys.path)])
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": paths})
    for _ in range(300):
        if file.is_file() and file.read_text():
            break
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    assert gone(int(file.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
def test_a_script_needs_a_guard_only_for_work_of_its_own(own: bool, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from ssl_av.data.processes import in_processes\ndef mine(x): return len(x)\n"
        f"print(list(in_processes({'mine' if own else 'len'}, ['a'], 1, 60)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if own:
        assert "must stand under: if __name__ == '__main__'" in done.stderr
    else:
        assert (done.stdout, done.stderr) == ("[('a', 1)]\n", "")
