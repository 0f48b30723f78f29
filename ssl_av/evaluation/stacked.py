"""Arrays end to end without a copy: features of several splits, each mapped from a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Stacked:
    """As much of an array as a probe needs: a shape, and rows by their numbers.

    Args:
        arrays: [N_i, …], alike but for their lengths.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays = list(arrays)
        self.ends = np.cumsum([len(x) for x in arrays])
        self.shape = (int(self.ends[-1]), *arrays[0].shape[1:])
        self.ndim = arrays[0].ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Rows by an array of numbers, or ``rows, clips`` with a clip, or one for each row."""
        rows, *more = key if isinstance(key, tuple) else (key,)
        part = np.searchsorted(self.ends, rows, side="right")
        out: np.ndarray | None = None
        for k, x in enumerate(self.arrays):
            mine = part == k
            local = rows[mine] - (self.ends[k] - len(x))
            found = x[(local, *(m[mine] if isinstance(m, np.ndarray) else m for m in more))]
            if out is None:
                out = np.empty((len(rows), *found.shape[1:]), dtype=found.dtype)
            out[mine] = found
        assert out is not None
        return out
