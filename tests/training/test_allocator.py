"""The heap keeps what is freed: the same blocks are had again without the system clearing pages."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from ssl_av.training.allocator import keep_freed_memory
if {keep}:
    keep_freed_memory()
def step():
    held = [np.ones(1_000_000, np.uint8) for _ in range(20)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool, **more: str) -> int:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep)], env=plain | more, capture_output=True, check=True
    )
    return int(out.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap only")
def test_freed_memory_is_used_again_unless_the_environment_says_otherwise() -> None:
    usual, kept = faults(False), faults(True)
    assert kept < usual / 10, (kept, usual)
    told = faults(True, MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert told > usual / 2, (told, usual)
