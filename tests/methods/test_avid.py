"""AVID and CMA: pairs, memory, partition, stages."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.memory import agreement_positives


def embedded(method, batch_of):
    batch = method.transform_batch(batch_of(method))
    return method(batch), batch


def nce(x, bank, positives, noise, z, tau):
    """Eq. 1, 2 and 8 with N = the bank's rows, in plain python."""
    n, k, total = len(bank), noise.shape[1], 0.0
    for i in range(len(x)):

        def is_data(row, i=i):
            p = math.exp(float(x[i] @ bank[row]) / tau) / (n * z)
            return p / (p + k / n)

        total += sum(-math.log(is_data(r)) for r in positives[i].tolist()) / positives.shape[1]
        total += sum(-math.log(1 - is_data(r)) for r in noise[i].tolist())
    return total / len(x)


@pytest.mark.parametrize(
    ("mode", "pairs"),
    [
        ("cross", ["video_to_audio", "audio_to_video"]),
        ("self", ["video_to_video", "audio_to_audio"]),
        ("joint", ["video_to_audio", "audio_to_video", "video_to_video", "audio_to_audio"]),
    ],
)
def test_the_loss_is_eq_2_summed_over_the_mode_s_pairs(small, batch_of, mode, pairs, monkeypatch):
    method = small("avid", mode=mode)
    e, batch = embedded(method, batch_of)
    noise = torch.randint(6, 20, (6, 12))
    monkeypatch.setattr("ssl_av.methods.avid.sample_negatives", lambda *a, **k: noise)
    bank = {m: getattr(method.bank, m).clone() for m in ("video", "audio")}
    parts = method.loss(e, batch)
    assert list(parts) == ["loss", *pairs]
    z = float(method.partition)
    expected = 0.0
    for pair in pairs:
        anchor, memory = pair.split("_to_")
        value = nce(e[anchor].detach(), bank[memory], batch["index"][:, None], noise, z, 0.07)
        assert parts[pair].item() == pytest.approx(value, rel=1e-4)
        expected += value
    assert parts["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_the_partition_is_the_first_batch_s_video_to_audio_noise_and_stays(small, batch_of, monkeypatch):
    method = small("avid")
    e, batch = embedded(method, batch_of)
    noise = torch.randint(6, 20, (6, 12))
    monkeypatch.setattr("ssl_av.methods.avid.sample_negatives", lambda *a, **k: noise)
    logits = torch.einsum("bd,bkd->bk", e["video"], method.bank.audio[noise]) / 0.07
    assert float(method.partition) == 0
    method.loss(e, batch)
    first = float(method.partition)
    assert first == pytest.approx(float(logits.exp().mean()), rel=1e-5)
    method.loss(*embedded(method, batch_of))
    assert float(method.partition) == first
    assert "partition" in method.state_dict()


def test_embeddings_are_unit_vectors_and_the_memory_follows_only_in_training(small, batch_of):
    method = small("avid")
    e, batch = embedded(method, batch_of)
    assert torch.allclose(e["video"].norm(dim=1), torch.ones(6), atol=1e-5)
    before = method.bank.video.clone()
    method.eval().loss(e, batch)
    assert torch.equal(method.bank.video, before)
    method.train().loss(e, batch)
    assert not torch.equal(method.bank.video[:6], before[:6])
    assert torch.equal(method.bank.video[6:], before[6:])


def test_cma_is_avid_until_its_positives_are_known_then_eq_9(small, batch_of, monkeypatch):
    method = small("cma", weight=0.7)
    e, batch = embedded(method, batch_of)
    assert set(method.loss(e, batch)) == {"loss", "video_to_audio", "audio_to_video"}

    method.find_positives()
    related = method.positive_set[batch["index"]]
    expected = agreement_positives(method.bank.video, method.bank.audio, 3)
    assert torch.equal(related, expected[:6])
    drawn = []

    def negatives(index, n, size, exclude=None):
        drawn.append(exclude)
        return torch.randint(6, 20, (6, 12), generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr("ssl_av.methods.cma.sample_negatives", negatives)
    noise = negatives(None, 12, 20)
    bank = {m: getattr(method.bank, m).clone() for m in ("video", "audio")}
    parts = method.loss(e, batch)
    assert torch.equal(drawn[-1], related)  # §4.2: negatives do not overlap with positives
    z, total = float(method.partition), 0.0
    for anchor, memory in (("video", "audio"), ("audio", "video")):
        total += nce(e[anchor].detach(), bank[memory], batch["index"][:, None], noise, z, 0.07)
    for m in ("video", "audio"):  # eq. 8: within the modality, the positives in place of the instance
        total += 0.7 * nce(e[m].detach(), bank[m], related, noise, z, 0.07)
    assert parts["loss"].item() == pytest.approx(total, rel=1e-4)


def test_cma_spends_its_share_in_the_avid_stage_and_renews_in_time(small):
    method = small("cma", avid_share=0.25, renew_epochs=2)
    assert method.stages(40) == [("avid", 10), ("cma", 30)]
    trainer = SimpleNamespace(estimated_stepping_batches=40, global_step=9, current_epoch=3)
    method._trainer = trainer  # what Lightning sets
    seen = []
    method.find_positives = lambda: seen.append((trainer.global_step, trainer.current_epoch))
    for step, epoch in ((9, 2), (10, 3), (11, 3), (16, 4), (17, 5), (18, 5)):
        trainer.global_step, trainer.current_epoch = step, epoch
        method.on_train_batch_start(None, 0)
    assert seen == [(10, 3), (17, 5)]


def test_cma_refuses_more_positives_than_samples(small):
    with pytest.raises(UserError, match="positives=19 does not fit 20 training samples"):
        small("cma", positives=19)
