"""Pictures inside of a page."""

from __future__ import annotations

import base64
import io

from markupsafe import Markup
from PIL import Image

from ssl_av.errors import UserError

MOST = 50_000_000
"""Pixels of a run's picture that a report takes in."""


def embedded(data: bytes) -> Markup:
    """A PNG as a data URI."""
    return Markup("data:image/png;base64," + base64.b64encode(data).decode("ascii"))


def palette(data: bytes, colours: int = 192) -> bytes:
    """A PNG with few colours: a third of the size, and hardly a visible difference."""
    file = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST:
                raise ValueError(f"{picture.width} x {picture.height} pixels")
            picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(file, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise UserError(f"a picture of a run is damaged ({e}); remove it to report without it") from None
    return file.getvalue()
