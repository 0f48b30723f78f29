"""The papers' equations as pure functions: float32 inside, differentiable, no state.

Each function is one numbered equation. How a method adds them up is written in the method's own file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared distance of two directions (BraVe eq. 2–4).

    Mean over the batch of ``|| p/|p| - sg[t/|t|] ||²``; the target receives no gradient.

    Args:
        prediction: h(z), [B, D].
        target: z of the other view, [B, D].
    """
    _same_shape(prediction, target, "prediction", "target")
    p = F.normalize(prediction.float(), dim=-1)
    t = F.normalize(target.detach().float(), dim=-1)
    return (p - t).square().sum(dim=-1).mean()


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """Minus the mean cosine of prediction and projection (CrissCross eq. 1).

    Args:
        p: predictor output, [B, D].
        z: projection of the other view, [B, D]; receives no gradient.
    """
    _same_shape(p, z, "p", "z")
    return -F.cosine_similarity(p.float(), z.detach().float(), dim=-1).mean()


def info_nce(query: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Noise contrastive loss in one direction (STiCA eq. 1).

    The positive of row i is key i; every other key is a negative. Similarity is the cosine.

    Args:
        query: [B, D].
        keys: [M, D] with M >= B: keys beyond the first B (other ranks') are negatives only.
        temperature: τ > 0.
    """
    if query.ndim != 2 or keys.ndim != 2 or query.shape[1] != keys.shape[1]:
        raise ValueError(f"query [B, D] and keys [M, D] expected, got {_shape(query)} and {_shape(keys)}")
    if len(keys) < len(query):
        raise ValueError(f"{len(keys)} keys for {len(query)} queries: row i's positive is key i")
    logits = F.normalize(query.float(), dim=-1) @ F.normalize(keys.float(), dim=-1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(query), device=query.device))


def nce(positive: Tensor, negative: Tensor, partition: Tensor | float) -> Tensor:
    """Noise contrastive estimation against a memory (AVID eq. 1–2).

    With ``P(s|x) = exp(logit) / (N·Z̄)`` and K noise samples drawn uniformly from N,
    ``P(D=1) = exp(logit) / (exp(logit) + K·Z̄)``: N cancels. In logits, ``P(D=1) = σ(logit - log(K·Z̄))``.

    Args:
        positive: logits x·x̄/τ of the positives, [B, P].
        negative: logits of the noise samples, [B, K].
        partition: Z̄, the mean of exp(logit) over the noise.

    Returns:
        Mean over the batch of (mean over P of −log P(D=1)) + (sum over K of −log P(D=0)).
    """
    if positive.ndim != 2 or negative.ndim != 2 or len(positive) != len(negative):
        raise ValueError(
            f"positive [B, P] and negative [B, K] expected, got {_shape(positive)} and {_shape(negative)}"
        )
    z = torch.as_tensor(partition, dtype=torch.float32, device=positive.device)
    shift = torch.log(negative.shape[1] * z)
    is_data = -F.logsigmoid(positive.float() - shift).mean(dim=1)
    is_noise = -F.logsigmoid(shift - negative.float()).sum(dim=1)
    return (is_data + is_noise).mean()


def _same_shape(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    if a.shape != b.shape:
        raise ValueError(f"{name_a} and {name_b} must have one shape, got {_shape(a)} and {_shape(b)}")


def _shape(x: Tensor) -> str:
    return str(list(x.shape))
