"""The papers' equations as pure functions: float32 inside (float64 stays), differentiable, no state.

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
    p = F.normalize(_precise(prediction), dim=-1)
    t = F.normalize(_precise(target.detach()), dim=-1)
    return (p - t).square().sum(dim=-1).mean()


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """Minus the mean cosine of prediction and projection (CrissCross eq. 1).

    Args:
        p: predictor output, [B, D].
        z: projection of the other view, [B, D]; receives no gradient.
    """
    _same_shape(p, z, "p", "z")
    return -F.cosine_similarity(_precise(p), _precise(z.detach()), dim=-1).mean()


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
    return info_nce_pairs(query[None], keys[None], temperature)[0, 0]


def info_nce_pairs(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """`info_nce` of every set of queries with every set of keys, at the cost of one.

    Args:
        queries: [P, B, D].
        keys: [Q, M, D] with M >= B.
        temperature: τ > 0.

    Returns:
        [P, Q]: L(α, β) of eq. 1 for view α of the queries and view β of the keys.
    """
    batch = queries.shape[1]
    if keys.shape[1] < batch:
        raise ValueError(f"{keys.shape[1]} keys for {batch} queries: row i's positive is key i")
    with torch.autocast(queries.device.type, enabled=False):
        q, k = F.normalize(_precise(queries), dim=-1), F.normalize(_precise(keys), dim=-1)
        logits = torch.einsum("pbd,qmd->pqbm", q, k) / temperature
        return -logits.log_softmax(dim=-1).diagonal(dim1=-2, dim2=-1).mean(dim=-1)


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
    positive, negative = _precise(positive), _precise(negative)
    z = torch.as_tensor(partition, dtype=positive.dtype, device=positive.device)
    shift = torch.log(negative.shape[1] * z)
    is_data = -F.logsigmoid(positive - shift).mean(dim=1)
    is_noise = -F.logsigmoid(shift - negative).sum(dim=1)
    return (is_data + is_noise).mean()


def _precise(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _same_shape(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    if a.shape != b.shape:
        raise ValueError(f"{name_a} and {name_b} must have one shape, got {_shape(a)} and {_shape(b)}")


def _shape(x: Tensor) -> str:
    return str(list(x.shape))
