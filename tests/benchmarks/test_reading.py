"""The benchmarks of reading run; what they measure is for an idle machine."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options", "first_words"),
    [
        ("decoding.py", ("--ways", "pure,decord"), ["12", "12", "12", "12", "12", "12", *["250"] * 6]),
        ("loading.py", ("--workers", "1"), ["raw", "uint8", "float"]),
        ("memory.py", ("--readers", "pyav,decord's sound"), ["pyav", "decord's"]),
    ],
)
def test_it_prints_a_line_for_each_comparison(
    script: str, options: tuple[str, ...], first_words: list[str], quick
) -> None:
    lines = [
        line.split()
        for line in quick(script, *options).splitlines()
        if ">=" in line or "<" in line or line[:3].strip()
    ]
    assert [words[0] for words in lines if words[0] in first_words] == first_words


@pytest.mark.slow
@pytest.mark.parametrize(("script", "ways"), [("pack.py", 4), ("official_way.py", 5)])
def test_it_prints_a_ratio_for_each_way(script: str, ways: int, quick) -> None:
    ratios = [float(line.split()[-1]) for line in quick(script).strip().splitlines()[2:]]
    assert len(ratios) == ways
    assert all(ratio > 0 for ratio in ratios)
