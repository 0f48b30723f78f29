"""The tables of `ssl-av list protocols`, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ssl_av.config import Evaluation, load_yaml
from ssl_av.evaluation.protocols import Clips, Pooling, Protocol, Seen, list_protocols
from ssl_av.methods.optim_settings import Optim

GROUPS = {"inputs": Seen, "train": Clips, "test": Clips, "pooling": Pooling}


def show_protocols() -> int:
    """Prints every shipped protocol by its kind: name, version, hash, what it does, source and modality.

    The hash is that of a measurement with the default number of clips, where the protocol leaves it open.
    """
    console, clips = Console(), Evaluation().clips
    found = [shipped(path).with_clips(clips) for path in list_protocols().values()]
    width = max(len(p.name) for p in found)
    for kind, group in groupby(sorted(found, key=lambda p: p.kind), key=lambda p: p.kind):
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, min_width=width)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, min_width=12)
        table.add_column(overflow="fold")
        for p in group:
            about = f"{p.about} ({p.source}; {' and '.join(p.modalities)})"
            table.add_row(p.name, f"v{p.version}", p.hash, about)
        console.print(f"\n[bold]{kind}[/]")
        console.print(table)
    return 0


def shipped(path: Path) -> Protocol:
    """A shipped protocol, whose file states all settings of its kind: what they default to need not be asked.

    What `load_protocol` checks is not checked again; the settings stay as they stand in the file.
    """
    values: dict[str, Any] = load_yaml(path)
    values |= {key: cls(**values[key]) for key, cls in GROUPS.items()}
    settings: Mapping[str, Any] = values["settings"]
    if "optim" in settings:
        settings = {**settings, "optim": Optim(**settings["optim"])}
    return Protocol(**{**values, "modalities": tuple(values["modalities"]), "settings": settings})
