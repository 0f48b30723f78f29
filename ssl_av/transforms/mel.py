"""Mel filter banks, [frequency bins, filters]."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor


def slaney(n_fft: int, rate: int, filters: int, low: float, high: float) -> Tensor:
    """Slaney scale and area normalisation, triangles in Hz (librosa's default)."""
    return _torchaudio(n_fft, rate, filters, low, high, "slaney")


def htk(n_fft: int, rate: int, filters: int, low: float, high: float) -> Tensor:
    """HTK scale, peaks of 1, triangles in Hz."""
    return _torchaudio(n_fft, rate, filters, low, high, "htk")


def _torchaudio(n_fft: int, rate: int, filters: int, low: float, high: float, scale: str) -> Tensor:
    # late, so that a machine where torchaudio does not load can use the other front ends
    from torchaudio.functional import melscale_fbanks

    with warnings.catch_warnings():  # it warns of empty filters, which are the papers' own
        warnings.simplefilter("ignore")
        norm = "slaney" if scale == "slaney" else None
        return melscale_fbanks(n_fft // 2 + 1, low, high, filters, rate, norm=norm, mel_scale=scale)


def _to_mel(hertz: Tensor) -> Tensor:
    return 2595 * torch.log10(1 + hertz / 700)


def _mel_points(low: float, high: float, filters: int) -> Tensor:
    edges = _to_mel(torch.tensor([low, high], dtype=torch.float64))
    return torch.linspace(edges[0].item(), edges[1].item(), filters + 2, dtype=torch.float64)


def tensorflow(n_fft: int, rate: int, filters: int, low: float, high: float) -> Tensor:
    """HTK scale, peaks of 1, triangles straight in mel rather than in Hz, nothing from DC.

    As `tf.signal.linear_to_mel_weight_matrix` documents.
    """
    points = _mel_points(low, high, filters)
    bins = _to_mel(torch.linspace(0, rate / 2, n_fft // 2 + 1, dtype=torch.float64))[:, None]
    left, centre, right = points[:-2], points[1:-1], points[2:]
    bank = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)
    bank[0] = 0
    return bank.float()


def whole_bins(n_fft: int, rate: int, filters: int, low: float, high: float) -> Tensor:
    """HTK scale, peaks of 1, corners rounded down to whole bins (python_speech_features).

    Where neighbouring corners fall on the same bin the filter is empty.
    """
    corners = 700 * (10 ** (_mel_points(low, high, filters) / 2595) - 1)
    edges = [math.floor(corner * (n_fft + 1) / rate) for corner in corners.tolist()]
    bank = torch.zeros(n_fft // 2 + 1, filters, dtype=torch.float64)
    for i, (left, centre, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k in range(left, centre):
            bank[k, i] = (k - left) / (centre - left)
        for k in range(centre, right):
            bank[k, i] = (right - k) / (right - centre)
    return bank.float()
