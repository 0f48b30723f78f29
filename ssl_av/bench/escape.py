"""Names and messages as text in Markdown, whatever signs they have."""

from __future__ import annotations

import re

from ssl_av.text import printable


def for_markdown(text: str) -> str:
    """Keep a value from becoming markup: a column, a line, a tag, a link or code of its own."""
    said = printable(" ".join(text.split())).replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
    return said.replace("](", "]\\(").replace("][", "]\\[")


def as_code(text: str) -> str:
    """Lines as they are, between fences that are longer than any in them."""
    fence = "`" * max([3, *(len(found) + 1 for found in re.findall("`+", text))])
    return f"{fence}\n{text}\n{fence}"
