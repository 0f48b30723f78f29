"""The methods: one file a paper, found by its file name.

A method is registered by writing ``ssl_av/methods/<name>.py`` with a class under `@register_method`, or, from
another package, by an entry point in the group ``ssl_av.methods``. Listing them imports neither.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from ssl_av.discovery import first_lines
from ssl_av.errors import UserError, unknown

if TYPE_CHECKING:
    from ssl_av.methods.base import Method

__all__ = ["create_method", "list_methods", "method_class", "register_method"]

_REGISTERED: dict[str, type[Method]] = {}
_GROUP = "ssl_av.methods"
_NOT_METHODS = ("base", "settings", "optim_settings")


def register_method(cls: type[Method]) -> type[Method]:
    """Makes a method known under its ``name``."""
    other = _REGISTERED.get(cls.name)
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"a method '{cls.name}' exists already: {other.__module__}.{other.__qualname__}")
    _REGISTERED[cls.name] = cls
    return cls


def list_methods() -> dict[str, str]:
    """Names of all methods with the first line of their documentation; imports none of them."""
    found = first_lines(__path__[0], skip=_NOT_METHODS)
    found |= {e.name: f"from {e.value}" for e in entry_points(group=_GROUP) if e.name not in found}
    found |= {n: (c.__doc__ or "").split("\n")[0] for n, c in _REGISTERED.items() if n not in found}
    return dict(sorted(found.items()))


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UserError: if there is no such method; names the nearest ones.
    """
    if name not in _REGISTERED:
        outside = {e.name: e for e in entry_points(group=_GROUP)}
        if name in first_lines(__path__[0], skip=_NOT_METHODS):
            importlib.import_module(f"{__name__}.{name}")
        elif name in outside:
            register_method(outside[name].load())
    if name not in _REGISTERED:
        raise unknown("method", name, list_methods(), hint="ssl-av list methods")
    return _REGISTERED[name]


def create_method(name: str, **kw: Any) -> Method:
    """Builds a method.

    Args:
        name: as in `list_methods`.
        **kw: arguments of its class; the grouped ones (``inputs``, ``networks``, ``optim``) may be dictionaries
            that state only what differs from the paper's values.

    Raises:
        UserError: for an unknown method or argument.
    """
    from ssl_av.methods.settings import resolve

    cls = method_class(name)
    settings = resolve(cls, kw)
    try:
        return cls(**settings)
    except TypeError as e:
        raise UserError(f"method '{name}': {e}") from e
