"""Weights & Biases: what is logged of runs and of suites, and the dashboard of their comparison."""

from ssl_av.tracking.settings import Tracking

__all__ = ["Tracking"]
