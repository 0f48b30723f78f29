"""Where what is rendered or probed once is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from ssl_av.errors import UserError


def cache_dir() -> Path:
    """``$SSL_AV_CACHE``, or the user's cache folder."""
    named = os.environ.get("SSL_AV_CACHE")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("ssl-av"))


@contextmanager
def writing_cache() -> Iterator[None]:
    """While only the cache is written.

    Raises:
        UserError: if that fails; says how to choose another place.
    """
    try:
        yield
    except OSError as e:
        raise UserError(
            f"the cache {cache_dir()} cannot be written ({e.strerror or e}); make room, see to the rights of the "
            "folder, or name another one: SSL_AV_CACHE=DIR"
        ) from e
