"""A reader that goes away takes nothing but the words with it."""

from __future__ import annotations

import subprocess
import sys

from ssl_av.unheard import GOES_ON


def test_a_list_whose_reader_goes_away_ends_quietly() -> None:
    words = [sys.executable, "-m", "ssl_av", "list", "methods"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_what_goes_on_says_so_once_and_without_any_reader() -> None:
    code = """if True:
        import os, sys
        from ssl_av.unheard import unheard
        with unheard(told=True):
            for _ in range(3):
                print("x" * 100_000)
                sys.stdout.flush()
            os.close(2), os.dup2(1, 2)
            print("done", file=sys.stderr)
        sys.exit(7)
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        p.stdout.close()
        assert p.stderr.read().splitlines() == [GOES_ON]
    assert p.returncode == 7
