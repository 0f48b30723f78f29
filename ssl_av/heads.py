"""Heads: projectors and predictors, attention over time, classifier."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_av.errors import UserError


def l2_normalize(x: Tensor) -> Tensor:
    """Unit vectors along the last axis, in float32 whatever the type of ``x``."""
    return F.normalize(x.float(), dim=-1)


class MLP(nn.Sequential):
    """Linear – (BatchNorm) – ReLU for each hidden width, then Linear – (BatchNorm).

    The papers' projectors and predictors, [B, inputs] → [B, outputs]::

        MLP(512, (512, 512), 128, norm=False)                  # AVID table 10
        MLP(512, (512,), 256, dropout=0.3, bias=False)         # STiCA §6.1 and its official code
        MLP(2048, (4096,), 128, last_norm=True)                # BraVe A.1, projector
        MLP(128, (4096,), 128)                                 # its predictor
        MLP(512, (2048, 2048), 2048, last_norm=True)           # CrissCross table S7, projector
        MLP(2048, (512,), 2048)                                # table S8, predictor

    Args:
        inputs: input width.
        hidden: widths of the hidden layers; empty for a single linear layer.
        outputs: output width.
        norm: batch normalisation after each hidden layer.
        last_norm: batch normalisation (and no ReLU) after the last layer.
        dropout: before each linear layer (STiCA's official code: 0.3); 0 for none.
        bias: a bias in every linear layer; if False, only in those that no normalisation follows, which would
            take it out again (STiCA's official code; those of BraVe and CrissCross keep it).
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        *,
        norm: bool = True,
        last_norm: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        layers: list[nn.Module] = []
        widths = [inputs, *hidden, outputs]
        for k, (a, b) in enumerate(pairwise(widths)):
            last = k == len(hidden)
            normed = last_norm if last else norm
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            layers.append(nn.Linear(a, b, bias=bias or not normed))
            if normed:
                layers.append(nn.BatchNorm1d(b))
            if not last:
                layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class TemporalTransformer(nn.Module):
    """Pools a sequence of features by self-attention (STiCA §3.3 and §6.3: 2 layers, 4 heads, 512-D).

    Post-normalised encoder layers with GELU and no positions. The result is the contextualised first token: a
    learned one put before the sequence, or, with ``cls_token=False``, the first time step's.

    The paper says no more than layers, heads and width. Its official code is ``identity_values=True,
    cls_token=False``.

    Args:
        dim: width of the features; divisible by ``heads``.
        layers: encoder layers.
        heads: attention heads.
        hidden: width of the feed-forward layers; 4 × dim by default (2048 for 512-D: the official code's).
        dropout: on the attention's and the feed-forward's output (official code: 0).
        identity_values: no value and output projections: attention averages the features themselves.
        cls_token: read a learned token instead of the first time step's.

    Raises:
        UserError: if ``heads`` does not divide ``dim``.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
        *,
        identity_values: bool = False,
        cls_token: bool = True,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise UserError(
                f"{heads} attention heads do not divide features of width {dim}; choose another width"
            )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if cls_token else None
        self.layers = nn.Sequential(
            *(_EncoderLayer(dim, heads, hidden or 4 * dim, dropout, identity_values) for _ in range(layers))
        )
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.02)
                nn.init.zeros_(m.bias)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T, dim] → [B, dim], for any T above 0.

        Raises:
            ValueError: for a tensor that is not [B, T, dim] or has no tokens.
        """
        if tokens.ndim != 3 or tokens.shape[1] == 0:
            raise ValueError(f"tokens [B, T, dim] expected, got {list(tokens.shape)}")
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1).to(tokens.dtype), tokens], dim=1)
        out: Tensor = self.layers(tokens)
        return out[:, 0]


class Classifier(nn.Sequential):
    """(BatchNorm) – [Linear – BatchNorm – ReLU] for each hidden width – (Dropout) – Linear, on pooled features.

    Linear probes, fine-tuning, and the shallow classifier of BraVe's AudioSet protocol::

        Classifier(512, 400, norm=True)                    # AVID's linear probe; BraVe appendix B, Kinetics-600
        Classifier(2048, 50, norm=True, affine=False)      # BraVe appendix B: "fixed scaling and offset"
        Classifier(2048, 527, norm=True, hidden=(512,))    # BraVe appendix B, AudioSet

    Args:
        inputs: width of the features.
        classes: number of classes.
        norm: batch normalisation of the features.
        affine: that normalisation has a scale and a shift to learn.
        hidden: widths of the hidden layers.
        dropout: before the last linear layer.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        norm: bool = False,
        affine: bool = True,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = [nn.BatchNorm1d(inputs, affine=affine)] if norm else []
        widths = [inputs, *hidden]
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        super().__init__(*layers, nn.Linear(widths[-1], classes))


class _EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a residual and a normalisation after it."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, identity_values: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value: nn.Module = nn.Identity() if identity_values else nn.Linear(dim, dim)
        self.out: nn.Module = nn.Identity() if identity_values else nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.dropout = nn.Dropout(dropout)
        # 1e-12 is the official code's (BERT's) epsilon.
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-12), nn.LayerNorm(dim, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, dim] → [B, T, dim]."""
        x = self.norm1(x + self.dropout(self.attend(x)))
        y: Tensor = self.norm2(x + self.dropout(self.feed_forward(x)))
        return y

    def attend(self, x: Tensor) -> Tensor:
        """Scaled dot-product attention of every head, over all tokens."""
        q, k, v = (
            f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        y: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y
