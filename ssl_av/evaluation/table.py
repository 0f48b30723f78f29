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
    for column in ("name", "v.", "hash", "measures"):
        table.add_column(column, no_wrap=True, min_width=len(column))
    table.add_column("source: what it does", overflow="fold")
    names = list_protocols()
    table.columns[0].min_width = max(map(len, names))
    table.columns[2].min_width, table.columns[3].min_width = 12, len("video audio")
    for name in names:
        p = load_protocol(name).with_clips(Evaluation().clips)
        table.add_row(
            f"[bold]{p.name}[/]", str(p.version), p.hash, " ".join(p.modalities), f"{p.source}: {p.about}"
        )
    Console().print(table)
    return 0
