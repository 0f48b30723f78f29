from __future__ import annotations

import os

import pytest

from ssl_av.data.loading import Loading, cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_a_job_has_the_cores_that_it_was_given():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
        assert Loading().workers == Loading().compute_threads() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert cores() == len(before)
