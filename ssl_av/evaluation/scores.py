"""From the scores of clips to the numbers of a protocol: clip by clip, and averaged over a sample's clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ssl_av.errors import unknown
from ssl_av.evaluation.average_precision import class_precision

AVERAGES = ("probability", "score")


def check_average(value: str) -> None:
    """Raises a `UserError` for a way to average clips that does not exist."""
    if value not in AVERAGES:
        raise unknown("average", str(value), AVERAGES)


@dataclass(frozen=True)
class Measured:
    """What a classifier made of a split.

    Attributes:
        metrics: ``top1`` (and ``top5`` above five classes) of the samples, each by the mean over its clips ("Video@1"),
            and ``clip_top1`` of single clips ("Clip@1"); with several labels a sample ``map`` and ``clip_map``, and
            ``classes``, how many have a positive and so take part; always ``samples`` and ``clips`` of each.
        scores: [N, classes] float32, the mean over the clips of each sample.
        target: [N] classes, or [N, classes] bool.
        rows: [N] which samples of the split they are.
    """

    metrics: dict[str, float]
    scores: np.ndarray
    target: np.ndarray
    rows: np.ndarray


class ClipScores:
    """Gathers scores batch by batch.

    Of one-label data only the samples' means are kept; of several labels the scores of all clips, because an average
    precision needs them together.

    Args:
        classes: C.
        multi_label: a sample may have several labels.
        average: over a sample's clips, of the ``probability`` (softmax, with several labels sigmoid) or of the
            ``score`` itself.
    """

    def __init__(self, classes: int, multi_label: bool = False, average: str = "probability") -> None:
        check_average(average)
        self.classes, self.multi_label, self.average = classes, multi_label, average
        self.right = 0
        self.means: list[Tensor] = []
        self.each: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.rows: list[Tensor] = []
        self.clips = 0

    def add(self, scores: Tensor, target: Tensor, rows: Tensor) -> None:
        """Takes a batch.

        Args:
            scores: [B, clips, C] before any softmax.
            target: [B] classes, or [B, C] of 0 and 1.
            rows: [B] which samples they are.
        """
        scores, target = scores.detach().float().cpu(), target.cpu()
        self.clips = scores.shape[1]
        if self.multi_label:
            self.each.append(scores)
        else:
            self.right += int((scores.argmax(dim=2) == target[:, None]).sum())
        if self.average == "probability":
            scores = scores.sigmoid() if self.multi_label else scores.softmax(dim=2)
        self.means.append(scores.mean(dim=1))
        self.targets.append(target)
        self.rows.append(rows.cpu())

    def compute(self) -> Measured:
        """The numbers of all that was added."""
        scores, target, rows = torch.cat(self.means), torch.cat(self.targets), torch.cat(self.rows)
        metrics: dict[str, float] = {}
        if not self.multi_label:
            for k in (1, 5):
                if k == 1 or self.classes > k:
                    found = (scores.topk(k, dim=1).indices == target[:, None]).any(dim=1)
                    metrics[f"top{k}"] = float(found.double().mean())
            metrics["clip_top1"] = self.right / (len(scores) * self.clips)
        else:
            target = target.bool()
            metrics["map"] = mean_average_precision(scores, target)
            clips = torch.cat(self.each)
            each = [mean_average_precision(clips[:, k], target) for k in range(self.clips)]
            metrics["clip_map"] = float(np.mean(each))
            metrics["classes"] = int(target.any(dim=0).sum())
        metrics |= {"samples": len(scores), "clips": self.clips}
        return Measured(metrics, scores.numpy(), target.numpy(), rows.numpy())


def mean_average_precision(scores: Tensor, target: Tensor) -> float:
    """The mean over the classes that have a positive of their average precision.

    Args:
        scores: [N, C].
        target: [N, C] of 0 and 1.
    """
    there = target.bool().any(dim=0)
    if not there.any():
        return float("nan")
    return float(np.mean(class_precision(scores[:, there], target[:, there])))
