"""Unpickles arrays in plain containers; refuses everything else before it happens."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from ssl_av.interop.sizes import check_values


class UnsafePickleError(Exception):
    """A pickle asks for a function or a class that no arrays need; it was not called."""


def _numpy_function(name: str) -> Callable[..., Any]:
    try:  # numpy 2
        from numpy._core import multiarray, numeric
    except ImportError:
        from numpy.core import multiarray, numeric  # type: ignore[no-redef]
    found: Callable[..., Any] = getattr(multiarray, name, None) or getattr(numeric, name)
    return found


def _latin(text: str, encoding: str = "") -> bytes:
    """How bytes are written by protocol 2. Other encodings than theirs may take the square of the text's length."""
    if encoding not in ("latin1", "latin-1"):
        raise UnsafePickleError(f"codecs.encode to {encoding!r:.40}")
    return text.encode("latin-1")


def _bytes(*given: Any) -> bytes:
    return bytes(_bytearray(*given))


def _bytearray(*given: Any) -> bytearray:
    """Bytes of what is in the file; a number would be as many zeros."""
    if given and isinstance(given[0], str):
        return bytearray(_latin(*given))
    if given and not isinstance(given[0], bytes | bytearray | list):
        raise UnsafePickleError(f"bytes of {given[0]!r:.40}")
    return bytearray(*given)


#: All that a pickle may name: how numpy rebuilds arrays and scalars, and containers.
PLAIN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (complex, dict, frozenset, list, set, tuple)
    },
    **{
        (module, name): function
        for module in ("builtins", "__builtin__")
        for name, function in (("bytes", _bytes), ("bytearray", _bytearray))
    },
    **{
        (f"numpy.{core}.{module}", name): _numpy_function(name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    },
    # Haiku's read-only dictionary, in its several names.
    **{("haiku._src.data_structures", name): dict for name in ("FlatMapping", "FlatMap", "frozendict")},
}


class ArrayUnpickler(pickle.Unpickler):
    """Knows the names of `PLAIN` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """The named function, if it is harmless.

        Raises:
            UnsafePickleError: for any other name.
        """
        if (module, name) not in PLAIN:
            raise UnsafePickleError(f"{module}.{name}")
        return PLAIN[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Arrays need none.

        Raises:
            UnsafePickleError: always.
        """
        raise UnsafePickleError(f"persistent object {pid!r:.40}")


def load_plain(file: IO[bytes]) -> Any:
    """A pickle of containers and arrays.

    Raises:
        UnsafePickleError: if it names anything else.
        TooMuchError: if it grows without an end.
    """
    check_values(file)
    return ArrayUnpickler(file).load()


def load_numpy(file: IO[bytes]) -> Any:
    """A ``.npy`` file; of the kind that wraps one pickled object, the object.

    Raises:
        UnsafePickleError: if the pickle in it names more than arrays need.
    """
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }  # an object array has never a later version
    _, _, dtype = header[version](file)
    if not dtype.hasobject:
        file.seek(0)
        return np.load(file, allow_pickle=False)
    array = load_plain(file)
    return array.item() if isinstance(array, np.ndarray) and array.shape == () else array
