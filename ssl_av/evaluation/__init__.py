"""Measures backbones: features once, then any number of protocols over them."""
