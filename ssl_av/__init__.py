"""ssl-av: pretrain, evaluate and fairly compare audio-visual self-supervised methods.

`import ssl_av` is cheap: torch is only imported when something that needs it is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["__version__", "evaluate", "load_backbone", "load_method"]

if TYPE_CHECKING:
    from ssl_av.checkpoint import load_backbone, load_method
    from ssl_av.evaluation.plain import evaluate


def __getattr__(name: str) -> Any:
    if name in ("load_backbone", "load_method"):
        from ssl_av import checkpoint

        return getattr(checkpoint, name)
    if name == "evaluate":
        from ssl_av.evaluation.plain import evaluate

        return evaluate
    raise AttributeError(f"module 'ssl_av' has no attribute '{name}'")
