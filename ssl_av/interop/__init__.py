"""Weights in and out: official checkpoints, exported backbones, starting a training from either."""
