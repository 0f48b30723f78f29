"""The table of `ssl-av list protocols`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ssl_av.config import Evaluation
from ssl_av.evaluation.protocols import list_protocols, load_protocol


def show_protocols() -> int:
    """Prints every shipped protocol: name, version, hash, modality, source, and what it does.

    The hash is that of a measurement with the default number of clips, where the protocol leaves it open.
    """
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("name", "version", "hash", "measures", "source", ""):
        table.add_column(
            column, justify="right" if column == "version" else "left", no_wrap=True, overflow="ellipsis"
        )
    for name in list_protocols():
        p = load_protocol(name).with_clips(Evaluation().clips)
        table.add_row(f"[bold]{p.name}[/]", str(p.version), p.hash, " ".join(p.modalities), p.source, p.about)
    Console().print(table)
    return 0
