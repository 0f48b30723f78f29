"""Measures backbones: features once, then any number of protocols over them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_av.evaluation.embedding import embed
    from ssl_av.evaluation.export import load_embeddings, save_embeddings
    from ssl_av.evaluation.plain import evaluate
    from ssl_av.evaluation.protocols import Protocol, list_protocols, load_protocol

__all__ = [
    "Protocol", "embed", "evaluate", "list_protocols", "load_embeddings", "load_protocol", "save_embeddings",
]  # fmt: skip

HOMES = {
    "Protocol": "protocols", "embed": "embedding", "evaluate": "plain", "list_protocols": "protocols",
    "load_embeddings": "export", "load_protocol": "protocols", "save_embeddings": "export",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What users call, imported when it is first asked for: torch takes seconds."""
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
