"""Names that look like markup in report.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ssl_av.bench.analysis.digest import digest
from ssl_av.bench.writing.markdown import escaped, to_markdown

EVIL = "a|b `c` *d* [e](javascript:f) <g> _h_ &lt;"


def test_nothing_that_is_written_is_markup(record: Callable[..., dict[str, Any]]) -> None:
    runs = [record("avid"), record("brave", settings={"*key*": "```"})]
    runs[0]["data"]["skipped"] = [{"path": "x`y``z.mp4", "reason": EVIL}]
    failed = {"method": EVIL, "seed": 0, "status": "failed", "error": f"# {EVIL}"}
    suite = {
        "name": EVIL,
        "question": f"Why {EVIL}?",
        "command": "echo '```'",
        "rows": {EVIL: {"label": EVIL}},
    }
    text = to_markdown(
        digest([*runs, failed], suite), {}, {"main": "", "collapse": "", "budget": "", "tuning": ""}
    )
    outside = re.sub(r"^(`{3,}).*?^\1$|(`+) ?.*? ?\2", "", text, flags=re.S | re.M)
    assert "````\necho '```'\n````" in text
    assert "  - ``` x`y``z.mp4 ```" in text
    assert text.startswith("# Why a\\|b \\`c\\` \\*d\\* [e\\](javascript:f) &lt;g> \\_h\\_ \\&lt;?")
    assert "](javascript" not in outside.replace("\\](", "")
    assert "<g>" not in outside
    assert "- \\*key\\*: \\`\\`\\`" in text
    for line in (line for line in text.splitlines() if line.startswith("|")):  # the label has a column in it
        cells = re.split(r"(?<!\\)\|", line)
        assert len(cells) > 3
    assert len({line.count("\n") for line in text.split("\n\n")}) > 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("linear_svm 0.5 [a] −1 2 * 3", "linear_svm 0.5 [a] −1 2 \\* 3"),
        ("# no heading", "\\# no heading"),
        ("1. no list", "1\\. no list"),
        ("- no list", "\\- no list"),
        ("-1", "-1"),
        ("two\nlines", "two lines"),
        ("C:\\x", "C:\\\\x"),
    ],
)
def test_only_what_would_be_read_as_markup_is_changed(text: str, said: str) -> None:
    assert escaped(text) == said
