"""Several ranks compute what one process does: losses, gradients, memory, positives, batches, measurements."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rank_jobs
from gloo import Pool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the ranks are forked from a server"),
]


@pytest.fixture(scope="module", params=[2, 4])
def pool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Two ranks, then four."""
    ranks = Pool(request.param, tmp_path_factory.mktemp("ranks"))
    yield ranks
    ranks.close()


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "brave": ("brave", {}, {}),
    "stica": ("stica", {}, {}),
    "stica, keys without gradient": ("stica", {"detach_keys": True, "pairs": "official"}, {}),
    "crisscross": ("crisscross", {}, {}),
    "avid": ("avid", {}, {"steps": 2}),
    "avid, joint": ("avid", {"mode": "joint", "mean": True}, {}),
    "cma, first stage": ("cma", {}, {}),
    "cma": ("cma", {"candidates": 5, "positives": 5}, {"positives": True, "steps": 2}),
    "supervised": ("supervised", {}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_loss_gradient_and_memory_of_a_global_batch(case: str, pool: Pool) -> None:
    """Norms are frozen: their statistics are each rank's own, unless --trainer.sync_batchnorm."""
    name, changes, more = CASES[case]
    # Four samples for each rank; in some cases also without one that could not be read.
    for left_out in (-1, 5) if case in ("stica", "avid", "cma") else (-1,):
        size = 4 * len(pool.pipes) if case in ("stica", "avid", "cma") else 8
        arguments = {"name": name, "changes": changes, "size": size, "left_out": left_out, **more}
        one = rank_jobs.train(**arguments)
        found = pool.run("rank_jobs.train", **arguments)
        assert one["without"] == []
        assert len(one["gradients"]) > 20
        for rank in found:
            assert rank["loss"] == pytest.approx(one["loss"], rel=1e-6)
            for key in ("gradients", "buffers"):
                assert rank[key].keys() == one[key].keys()
                for n, x in one[key].items():
                    np.testing.assert_allclose(rank[key][n], x, rtol=1e-5, atol=1e-7, err_msg=n)
                    np.testing.assert_array_equal(rank[key][n], found[0][key][n], err_msg=n)


@pytest.mark.parametrize("own", [[[3, 1], [7, 2]], [[3, 1, 3], [3, 2]], [[5], [0, 0, 5, 5]]])
def test_a_row_that_occurs_several_times_moves_once(own: list[list[int]], pool: Pool) -> None:
    """Whichever ranks have it, in whatever order: towards the mean of the directions."""
    index = own * (len(pool.pipes) // 2)
    one = rank_jobs.update(index=index)
    for rank in pool.run("rank_jobs.update", index=index):
        for modality in ("video", "audio"):
            np.testing.assert_array_equal(rank[modality], one[modality])


@pytest.mark.parametrize("kind", ["agreement", "either"])
def test_positives_are_shared(kind: str, pool: Pool) -> None:
    one = rank_jobs.positives(size=39, kind=kind)
    for rank in pool.run("rank_jobs.positives", size=39, kind=kind):
        np.testing.assert_array_equal(rank, one)


@pytest.mark.parametrize(("size", "seen"), [(24, 0), (29, 0), (24, 2)])
def test_an_epoch_is_shared(size: int, seen: int, pool: Pool) -> None:
    """Every batch is the one process's, shared out; what does not fill one is left out as there."""
    for number in (0, 1):
        arguments = {"size": size, "batch": 4, "number": number, "seen": seen}
        one = rank_jobs.epoch(**arguments)
        shares = pool.run("rank_jobs.epoch", **arguments)
        together = [[i for share in batch for i in share] for batch in zip(*shares, strict=True)]
        assert [set(b) for b in together] == [set(b) for b in one]
        assert len({i for b in together for i in b}) == sum(map(len, together)) == (size // 4 - seen) * 4


def test_collapse_is_measured_of_all_ranks(pool: Pool) -> None:
    for batches in (3, 6):  # fewer than are kept, and more
        one = rank_jobs.collapse(batches=batches)["now"]["x"]
        for rank in pool.run("rank_jobs.collapse", batches=batches):
            for found in rank.values():
                assert found["x"] == pytest.approx(one, rel=1e-4)


def test_what_one_rank_comes_upon_ends_the_step_of_all(pool: Pool) -> None:
    last = len(pool.pipes) - 1
    said = pool.run("rank_jobs.not_finite", policy="stop")
    assert len(set(said)) == 1
    assert f"view 'video' holds NaN or infinity, in rows [{last}] of the manifest" in said[0][0]
    assert said[0][1], "the memory is as it was"
    assert pool.run("rank_jobs.not_finite", policy="skip") == [(True, 1, True)] * (last + 1)
    trained = pool.run("rank_jobs.too_few")
    assert len(set(trained)) == 1
    assert trained[0][0]
    assert trained[0][1] > 20


def test_each_rank_draws_its_own_negatives_and_never_its_own_rows(pool: Pool) -> None:
    found = pool.run("rank_jobs.draws", seed=7)
    assert found == pool.run("rank_jobs.draws", seed=7)
    for rank, rows in enumerate(found):
        for k, drawn in enumerate(rows):
            assert k * len(found) + rank not in drawn
            assert len(set(drawn)) == 19
    drawn = [tuple(row) for rows in found for row in rows]
    assert len(set(drawn)) == len(drawn), "streams of their own"
