"""AVID's memory bank, its negatives, and CMA's agreement positives."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av import ranks
from ssl_av.errors import UserError

Expansion = Literal["agreement", "video", "audio", "either"]
GROUP = 64
"""Neighbouring similarities of which `agreement_positives` looks at the largest first."""


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

        On several ranks every rank applies every rank's update, so all banks stay equal. A row that occurs several
        times, in whichever ranks, moves once: towards the mean of the directions of its embeddings.

        Args:
            index: [B] rows.
            video: [B, D] video embeddings.
            audio: [B, D] audio embeddings.
        """
        self._check(index, video, audio)
        index, video, audio = (torch.cat(ranks.gather(x)) for x in (index, video, audio))
        rows, where, often = index.unique(return_inverse=True, return_counts=True)
        several = len(rows) < len(index)
        for bank, new in ((self.video, video), (self.audio, audio)):
            new = F.normalize(new.to(bank.dtype), dim=1)
            if several:  # in float64: the order of the sum is lost in the rounding
                total = new.new_zeros(len(rows), new.shape[1], dtype=torch.float64)
                new = (total.index_add_(0, where, new.double()) / often[:, None]).to(bank.dtype)
                index = rows
            mixed = bank[index] * self.momentum + new * (1 - self.momentum)
            bank[index] = F.normalize(mixed, dim=1)

    def _check(self, index: Tensor, video: Tensor, audio: Tensor) -> None:
        if len(index) and int(index.max()) >= len(self):
            raise ValueError(
                f"sample index {int(index.max())} lies outside a memory bank of {len(self)} rows; "
                "create the method with num_samples=len(training set)"
            )
        for name, x in (("video", video), ("audio", audio)):
            bad = index[~x.isfinite().all(dim=1)]
            if len(bad):
                raise UserError(
                    f"the {name} embedding of sample {int(bad[0])} and {len(bad) - 1} others of {len(index)} is not a "
                    "number or infinite; the memory is as it was. Lower the learning rate (--method.optim.lr) or train "
                    "with --trainer.precision 32"
                )


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
    if exclude is None:
        if size < 2:
            raise ValueError(f"no negatives left: {size} samples")
        # A draw from one row less, in which the row itself stands for the last one. To ask first whether it occurs at
        # all is much cheaper than to replace it, and in a large bank it hardly ever does.
        rows, own = torch.randint(size - 1, (len(index), n), device=index.device), index[:, None]
        if rows.numel() and int((rows ^ own).min()) == 0:  # 0 where both are the same, above 0 elsewhere
            rows.masked_fill_(rows == own, size - 1)
        return rows
    forbidden = torch.cat([index[:, None], exclude], dim=1).sort(dim=1).values
    # A repeated row must forbid one rank only: push repeats beyond the end, where they shift nothing.
    repeat = torch.zeros_like(forbidden, dtype=torch.bool)
    repeat[:, 1:] = forbidden[:, 1:] == forbidden[:, :-1]
    forbidden = forbidden.masked_fill(repeat, size + forbidden.shape[1]).sort(dim=1).values
    allowed = size - (~repeat).sum(dim=1)
    fewest, most = (int(x) for x in allowed.aminmax())
    if fewest < 1:
        raise ValueError(f"no negatives left: {size} samples, up to {forbidden.shape[1]} of them excluded")
    if fewest == most:
        rank = torch.randint(most, (len(index), n), device=index.device)
    else:
        rank = torch.rand(len(index), n, device=index.device, dtype=torch.float64)
        rank = torch.minimum((rank * allowed[:, None]).long(), allowed[:, None] - 1)
    # The r-th allowed row is r + (number of forbidden rows f_j with f_j - j <= r).
    gaps = forbidden - torch.arange(forbidden.shape[1], device=index.device)
    return rank + torch.searchsorted(gaps.contiguous(), rank, right=True)


@torch.no_grad()
def agreement_positives(
    video: Tensor,
    audio: Tensor,
    k: int,
    kind: Expansion = "agreement",
    chunk: int = 256,
    only: range | None = None,
) -> Tensor:
    """The k samples that agree most with each sample (CMA eq. 6–7).

    Exact; never the row itself. Memory is bounded by twice ``chunk`` × N similarities.

    Args:
        video: [N, D] unit rows of the video memory.
        audio: [N, D] unit rows of the audio memory.
        k: how many positives, fewer than N.
        kind: ``agreement`` ranks by min(video, audio) (eq. 6), ``either`` by their maximum, ``video`` and
            ``audio`` by one modality alone (figure 4).
        chunk: rows handled at once.
        only: those of these rows alone; None: of all N.

    Returns:
        [N, k], or [len(only), k], row indices, best first.
    """
    size = len(video)
    if video.shape != audio.shape:
        raise ValueError(f"the banks must have one shape, got {list(video.shape)} and {list(audio.shape)}")
    if not 0 < k < size:
        raise ValueError(f"{k} positives asked from {size} samples; need 0 < k < {size}")
    if kind not in ("agreement", "video", "audio", "either"):
        raise ValueError(f"unknown kind '{kind}'; known: agreement, video, audio, either")
    combine = {"agreement": torch.minimum, "either": torch.maximum}.get(kind)
    asked = range(size) if only is None else only
    out = torch.empty(len(asked), k, dtype=torch.long, device=video.device)
    # One buffer for all chunks, filled up to whole groups with what is never chosen.
    width = -(-size // GROUP) * GROUP
    score = torch.full((min(chunk, size), width), -torch.inf, dtype=video.dtype, device=video.device)
    second = torch.empty_like(score[:, :size]) if combine else None
    for begin in range(asked.start, asked.stop, chunk):
        rows = slice(begin, min(begin + chunk, asked.stop))
        here = score[: rows.stop - begin]
        alike = here[:, :size]
        first = audio if kind == "audio" else video
        torch.mm(first[rows], first.T, out=alike)
        if combine is not None and second is not None:
            torch.mm(audio[rows], audio.T, out=second[: len(alike)])
            combine(alike, second[: len(alike)], out=alike)
        own = torch.arange(rows.start, rows.stop, device=video.device)
        alike[own - begin, own] = -torch.inf
        out[begin - asked.start : rows.stop - asked.start] = _largest(here, k)
    return out


def _largest(score: Tensor, k: int) -> Tensor:
    """Where the k largest of each row are, best first.

    They lie in those k groups of neighbours that have the largest maxima: one pass for the maxima, and little to
    sort after it.
    """
    groups = score.unflatten(1, (-1, GROUP))
    if k >= groups.shape[1]:
        return score.topk(k, dim=1).indices
    best = groups.amax(dim=2).topk(k, dim=1, sorted=False).indices
    # Whole groups are copied: a gather, element by element, takes five times as long.
    first = torch.arange(len(groups), device=score.device)[:, None] * groups.shape[1]
    within = groups.flatten(0, 1).index_select(0, (first + best).flatten()).view(len(groups), -1)
    at = within.topk(k, dim=1).indices
    return best.gather(1, at // GROUP) * GROUP + at % GROUP
