"""AVID's memory bank, its negatives, and CMA's agreement positives."""

from __future__ import annotations

from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

Expansion = Literal["agreement", "video", "audio", "either"]


class MemoryBank(nn.Module):
    """Slowly moving unit features of every training sample (AVID 3.1–3.2).

    Rows begin as random directions and follow their sample by an exponential moving average, renormalised.
    The buffers are part of the state dict, so of every checkpoint.

    Args:
        size: N, the number of training samples.
        dim: D, the dimension of the embedding.
        momentum: weight of the old row (0.5 in AVID 3.3).
    """

    video: Tensor
    audio: Tensor

    def __init__(self, size: int, dim: int, momentum: float = 0.5) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a memory bank needs at least one row, got size={size}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
        self.momentum = momentum
        self.register_buffer("video", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("audio", F.normalize(torch.randn(size, dim), dim=1))

    def __len__(self) -> int:
        return len(self.video)

    @torch.no_grad()
    def update(self, index: Tensor, video: Tensor, audio: Tensor) -> None:
        """Moves the rows ``index`` towards the embeddings of their samples.

        On several ranks every rank applies every rank's update, in the same order, so all banks stay equal.

        Args:
            index: [B] rows.
            video: [B, D] video embeddings.
            audio: [B, D] audio embeddings.
        """
        self._check(index)
        index, video, audio = (_gather(x) for x in (index, video.detach().float(), audio.detach().float()))
        for bank, new in ((self.video, video), (self.audio, audio)):
            new = F.normalize(new, dim=1).to(bank.dtype)
            mixed = bank[index] * self.momentum + new * (1 - self.momentum)
            bank[index] = F.normalize(mixed, dim=1)

    def _check(self, index: Tensor) -> None:
        if len(index) and int(index.max()) >= len(self):
            raise ValueError(
                f"sample index {int(index.max())} lies outside a memory bank of {len(self)} rows; "
                "create the method with num_samples=len(training set)"
            )


def _gather(x: Tensor) -> Tensor:
    """The rows of all ranks, in rank order."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x
    out = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(out, x.contiguous())
    return torch.cat(out)


def sample_negatives(index: Tensor, n: int, size: int, exclude: Tensor | None = None) -> Tensor:
    """Draws noise rows uniformly from the other samples (AVID 3.2; CMA 4.2 with ``exclude``).

    Exact without rejection: a draw from the ``size - e`` allowed ranks is shifted past the e forbidden rows.

    Args:
        index: [B] the rows that are not their own negatives.
        n: K, how many for each row.
        size: N, the number of rows in the bank.
        exclude: [B, P] further rows that must not be drawn (CMA's positives); repeats are allowed.

    Returns:
        [B, n] rows, with replacement.

    Raises:
        ValueError: if nothing is left to draw from.
    """
    forbidden = index[:, None] if exclude is None else torch.cat([index[:, None], exclude], dim=1)
    forbidden = forbidden.sort(dim=1).values
    # A repeated row must forbid one rank only: push repeats beyond the end, where they shift nothing.
    repeat = torch.zeros_like(forbidden, dtype=torch.bool)
    repeat[:, 1:] = forbidden[:, 1:] == forbidden[:, :-1]
    forbidden = forbidden.masked_fill(repeat, size + forbidden.shape[1]).sort(dim=1).values
    allowed = size - (~repeat).sum(dim=1)
    if int(allowed.min()) < 1:
        raise ValueError(f"no negatives left: {size} samples, up to {forbidden.shape[1]} of them excluded")
    # The r-th allowed row is r + (number of forbidden rows f_j with f_j - j <= r).
    gaps = forbidden - torch.arange(forbidden.shape[1], device=index.device)
    rank = (torch.rand(len(index), n, device=index.device, dtype=torch.float64) * allowed[:, None]).long()
    rank = torch.minimum(rank, allowed[:, None] - 1)
    return rank + torch.searchsorted(gaps.contiguous(), rank, right=True)


@torch.no_grad()
def agreement_positives(
    video: Tensor, audio: Tensor, k: int, kind: Expansion = "agreement", chunk: int = 256
) -> Tensor:
    """The k samples that agree most with each sample (CMA eq. 6–7).

    Exact; never the row itself. Memory is bounded by ``chunk`` × N similarities.

    Args:
        video: [N, D] unit rows of the video memory.
        audio: [N, D] unit rows of the audio memory.
        k: how many positives, fewer than N.
        kind: ``agreement`` ranks by min(video, audio) (eq. 6), ``either`` by their maximum, ``video`` and
            ``audio`` by one modality alone (figure 4).
        chunk: rows handled at once.

    Returns:
        [N, k] row indices, best first.
    """
    size = len(video)
    if video.shape != audio.shape:
        raise ValueError(f"the banks must have one shape, got {list(video.shape)} and {list(audio.shape)}")
    if not 0 < k < size:
        raise ValueError(f"{k} positives asked from {size} samples; need 0 < k < {size}")
    if kind not in ("agreement", "video", "audio", "either"):
        raise ValueError(f"unknown kind '{kind}'; known: agreement, video, audio, either")
    out = torch.empty(size, k, dtype=torch.long, device=video.device)
    for begin in range(0, size, chunk):
        rows = slice(begin, min(begin + chunk, size))
        if kind == "audio":
            score = audio[rows] @ audio.T
        else:
            score = video[rows] @ video.T
            if kind == "agreement":
                score = torch.minimum(score, audio[rows] @ audio.T)
            elif kind == "either":
                score = torch.maximum(score, audio[rows] @ audio.T)
        here = torch.arange(rows.start, rows.stop, device=video.device)
        score[here - begin, here] = -torch.inf
        out[rows] = score.topk(k, dim=1).indices
    return out
