"""Memory bank, negatives and agreement positives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssl_av.memory import MemoryBank, agreement_positives, sample_negatives


def test_rows_begin_as_unit_vectors_and_differ_between_modalities():
    bank = MemoryBank(20, 8)
    assert torch.allclose(bank.video.norm(dim=1), torch.ones(20))
    assert torch.allclose(bank.audio.norm(dim=1), torch.ones(20))
    assert not torch.allclose(bank.video, bank.audio)


def test_update_is_the_renormalised_moving_average_of_the_named_rows_only():
    bank = MemoryBank(6, 4, momentum=0.5)
    before = bank.video.clone(), bank.audio.clone()
    index = torch.tensor([4, 1])
    video, audio = torch.randn(2, 4), torch.randn(2, 4)
    bank.update(index, video, audio)
    for now, old, new in ((bank.video, before[0], video), (bank.audio, before[1], audio)):
        for row, i in enumerate(index.tolist()):
            v = new[row].numpy() / np.linalg.norm(new[row].numpy())
            mixed = 0.5 * old[i].numpy() + 0.5 * v
            np.testing.assert_allclose(now[i].numpy(), mixed / np.linalg.norm(mixed), rtol=1e-5)
        untouched = [0, 2, 3, 5]
        assert torch.equal(now[untouched], old[untouched])


def test_the_bank_is_in_the_state_dict_and_takes_no_gradient():
    bank = MemoryBank(6, 4)
    assert set(bank.state_dict()) == {"video", "audio"}
    x = torch.randn(2, 4, requires_grad=True)
    bank.update(torch.tensor([0, 1]), x, x)
    assert not bank.video.requires_grad


def test_an_index_outside_the_bank_is_named():
    with pytest.raises(ValueError, match="sample index 6 lies outside a memory bank of 6 rows"):
        MemoryBank(6, 4).update(torch.tensor([6]), torch.randn(1, 4), torch.randn(1, 4))


def test_negatives_are_uniform_over_the_other_rows():
    torch.manual_seed(0)
    drawn = sample_negatives(torch.tensor([0, 3, 9]), 30_000, 10)
    for row, i in enumerate((0, 3, 9)):
        counts = torch.bincount(drawn[row], minlength=10).float()
        assert counts[i] == 0
        others = counts[counts > 0]
        assert len(others) == 9
        # 30,000 / 9 = 3333 expected, standard deviation 54
        assert (others - 30_000 / 9).abs().max() < 5 * 54.4


def test_negatives_avoid_positives_with_repeats_and_the_row_itself_among_them():
    torch.manual_seed(0)
    index = torch.tensor([2, 5])
    exclude = torch.tensor([[0, 0, 2, 9], [6, 7, 4, 4]])
    drawn = sample_negatives(index, 20_000, 10, exclude)
    assert set(drawn[0].tolist()) == {1, 3, 4, 5, 6, 7, 8}
    assert set(drawn[1].tolist()) == {0, 1, 2, 3, 8, 9}
    for row, allowed in ((0, 7), (1, 6)):
        counts = torch.bincount(drawn[row], minlength=10).float()
        expected = 20_000 / allowed
        assert (counts[counts > 0] - expected).abs().max() < 5 * expected**0.5


@pytest.mark.parametrize(
    "exclude", [None, torch.tensor([[1, 7], [2, 2], [6, 0]]), torch.tensor([[1], [2], [6]])]
)
def test_a_seed_gives_the_same_negatives(exclude):
    index = torch.tensor([0, 3, 9])
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(sample_negatives(index, 50, 10, exclude))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].shape == (3, 50)
    assert drawn[0].dtype == torch.long


def test_negatives_are_uniform_where_as_many_rows_are_excluded_for_each():
    torch.manual_seed(0)
    index, exclude = torch.tensor([2, 9]), torch.tensor([[0, 4], [3, 1]])
    drawn = sample_negatives(index, 21_000, 10, exclude)
    for row in range(2):
        counts = torch.bincount(drawn[row], minlength=10).float()
        assert counts[index[row]] == counts[exclude[row]].sum() == 0
        # 3000 expected, standard deviation 51
        assert (counts[counts > 0] - 3000).abs().max() < 5 * 51


def test_of_two_rows_the_other_is_drawn_and_one_alone_has_no_negative():
    assert sample_negatives(torch.tensor([0, 1]), 6, 2).tolist() == [[1] * 6, [0] * 6]
    with pytest.raises(ValueError, match="no negatives left"):
        sample_negatives(torch.tensor([0]), 4, 1)


def test_in_a_large_bank_the_last_row_and_the_first_can_be_drawn_and_the_own_cannot():
    """So few draws of so many rows that only one in two batches holds an own row at all."""
    torch.manual_seed(0)
    size, index = 600, torch.arange(0, 600, 60)
    drawn = torch.cat([sample_negatives(index, 40, size) for _ in range(300)], dim=1)
    assert not (drawn == index[:, None]).any()
    counts = torch.bincount(drawn.flatten(), minlength=size).float()
    often = torch.full((size,), 10 * 12_000 / (size - 1)).index_fill(0, index, 9 * 12_000 / (size - 1))
    assert (counts - often).abs().max() < 5 * 200**0.5


def test_no_negatives_left_is_an_error():
    with pytest.raises(ValueError, match="no negatives left"):
        sample_negatives(torch.tensor([0]), 4, 3, torch.tensor([[1, 2]]))


@pytest.mark.parametrize("kind", ["agreement", "video", "audio", "either"])
def test_positives_equal_brute_force_and_never_hold_the_row(kind):
    generator = torch.Generator().manual_seed(3)
    video = F.normalize(torch.randn(41, 6, generator=generator), dim=1)
    audio = F.normalize(torch.randn(41, 6, generator=generator), dim=1)
    found = agreement_positives(video, audio, 5, kind, chunk=7)
    combine = {"agreement": min, "either": max, "video": lambda v, a: v, "audio": lambda v, a: a}[kind]
    for i in range(41):
        scores = {
            j: combine(float(video[i] @ video[j]), float(audio[i] @ audio[j])) for j in range(41) if j != i
        }
        best = sorted(scores, key=lambda j: -scores[j])[:5]
        assert found[i].tolist() == best


def test_the_row_itself_is_left_out_even_when_every_row_is_equal():
    same = F.normalize(torch.ones(9, 4), dim=1)
    found = agreement_positives(same, same, 8)
    for i in range(9):
        assert sorted(found[i].tolist()) == [j for j in range(9) if j != i]


def test_more_positives_than_others_is_an_error():
    x = F.normalize(torch.randn(4, 3), dim=1)
    with pytest.raises(ValueError, match="need 0 < k < 4"):
        agreement_positives(x, x, 4)
