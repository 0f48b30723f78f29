"""Weights & Biases and TensorBoard: what is logged of runs and suites, and the dashboard of their comparison."""

from ssl_av.tracking.settings import Tracking

__all__ = ["Tracking"]
