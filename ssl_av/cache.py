"""Where what is rendered or probed once is kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``$SSL_AV_CACHE``, or the user's cache folder."""
    named = os.environ.get("SSL_AV_CACHE")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("ssl-av"))
