"""The second reader: the picture through decord, the sound through PyAV.

For comparison, and for machines where decord is what there is experience with. decord fails in silence where
PyAV raises, so that its answer is checked, and in doubt PyAV reads the picture too.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssl_av.data.media import Frames, Limits, Source, VideoRequest
from ssl_av.data.media.foreign import ForeignReader, asked_times, examine
from ssl_av.errors import UserError


class DecordReader(ForeignReader):
    """Reads the picture with decord; see `ssl_av.data.media.Reader`.

    The sound does not come from decord's AudioReader: it leaks about a megabyte a clip and is 17 samples late.

    Raises:
        UserError: if decord is not installed.
    """

    name = "decord"

    def __init__(self, limits: Limits = Limits()) -> None:
        try:
            import decord
        except ImportError as e:
            raise UserError(f"reader 'decord' needs the package decord ({e}): pip install decord") from None
        super().__init__(limits)
        decord.logging.set_level(decord.logging.QUIET)  # the reason is told once, by us
        self._decord: Any = decord

    def _picture(self, source: Source, video: Sequence[VideoRequest]) -> list[Frames] | None:
        if isinstance(
            source, bytes
        ):  # damaged ones that it gets as bytes can crash it, as a file they do not
            with tempfile.NamedTemporaryFile(suffix=".media") as file:
                file.write(source)
                file.flush()
                return self._picture(file.name, video)
        known = examine(source, self._pyav.limits)
        if known is None or known.streams > 1:  # it would perhaps choose another one
            return None
        try:
            reader = self._decord.VideoReader(os.fspath(source), num_threads=1)
            stamps = reader.get_frame_timestamp(np.arange(len(reader))).astype(np.float64)
        except (self._decord.DECORDError, RuntimeError):
            return None  # PyAV knows more codecs, and gives a better reason
        begins, ends = stamps.T + known.late
        if abs(begins[0] - known.late) > 1 or (np.diff(begins) <= 0).any():  # uninitialised memory
            return None
        times = asked_times(video, float(ends[-1]))
        chosen = np.maximum(np.searchsorted(begins, times, side="right") - 1, 0)
        # With the frame before the last one, which shows whether decord has come to a halt on the way.
        numbers = np.unique(np.append(chosen, max(chosen.max() - 1, 0)))
        try:
            images = reader.get_batch(numbers).asnumpy()
        except (self._decord.DECORDError, RuntimeError):
            return None
        # Where decord cannot decode it repeats the frame before. So does a still picture: let PyAV decide.
        if any(np.array_equal(a, b) for a, b in itertools.pairwise(images)):
            return None
        return self._spread(images, np.searchsorted(numbers, chosen), video)
