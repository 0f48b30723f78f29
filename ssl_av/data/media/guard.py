"""What is looked at before a file is opened, so that none of them hangs, fills the memory or leads elsewhere."""

from __future__ import annotations

import os
import stat
from functools import cache

import av

from ssl_av.data.media import Limits, MediaError, Source
from ssl_av.text import no_file

UNREAD = frozenset(
    {
        "concat",
        "dash",
        "hls",
        "image2",
        "image2pipe",
        "imf",
        "lavfi",
        "sdp",
        "rtsp",
        "rtp",
        "vobsub",
        "webm_dash_manifest",
    }
    | {"adf", "bin", "idf", "tty", "xbin", "ffmetadata", "ico", "txd"}
)
"""Formats that name other files, and those of pictures and of text."""


def is_mp4(source: Source) -> bool:
    """Whether it is of the MP4 and MOV family, whose header says all that reading needs; False if not there."""
    if isinstance(source, bytes):
        return source[4:8] == b"ftyp"
    try:
        if not os.path.isfile(source):  # to open a pipe would wait for whoever writes into it
            return False
        with open(source, "rb") as file:
            return file.read(8)[4:] == b"ftyp"
    except (OSError, ValueError):
        return False


def check_size(width: int, height: int, limits: Limits) -> None:
    """Whether a frame is small enough to decode.

    Raises:
        MediaError: if not: a few kilobytes can hold a picture that fills the memory.
    """
    if width * height > limits.pixels:
        raise limits.refuse("pixels", f"a frame of {width} x {height} pixels")


@cache
def formats() -> str:
    """The formats that are read, for FFmpeg: containers and streams, not lists of other files, pictures or text."""
    return ",".join(
        sorted(name for name in av.formats_available if name not in UNREAD and not name.endswith("_pipe"))
    )


def check_file(source: Source) -> None:
    """Whether there is a file to open: a pipe would be waited for, a device has no end.

    Raises:
        MediaError: if not.
    """
    if isinstance(source, bytes):
        return
    try:
        mode = os.stat(source).st_mode
    except (OSError, ValueError) as e:
        raise MediaError(reason_of(e, source)) from None
    if not stat.S_ISREG(mode):
        raise MediaError(no_file(mode))


def reason_of(error: Exception, source: Source) -> str:
    if isinstance(error, UnicodeError):
        return "a name or a text in it is not valid Unicode"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    try:
        if (len(source) if isinstance(source, bytes) else os.path.getsize(source)) == 0:
            return "the file is empty"
    except (OSError, ValueError):
        pass
    return str(getattr(error, "strerror", None) or error).split("\n")[0].strip().lower()
