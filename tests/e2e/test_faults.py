"""A bench over a folder of faults ends with its report, and with an exact account of what was skipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from faults import Faults

from ssl_av.bench.records import load_records

DATA = ("--data.train", "--data.val", "--data.test")


@pytest.mark.slow
def test_the_account_of_what_was_skipped_is_exact(
    ssl_av, small_bench, faults: Faults, tmp_path: Path
) -> None:
    out = tmp_path / "suite"
    options = [
        word
        for i, word in enumerate(small_bench)
        if word not in DATA and small_bench[max(i - 1, 0)] not in DATA
    ]
    done = ssl_av(
        "bench", "--methods", "avid", "--data", "folder", "--data.root", faults.root, "--data.timeout", "10",
        "--out", out, *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    records = {r["method"]: r for r in load_records(out)}
    assert {r["status"] for r in records.values()} == {"completed"}
    mute = {path for path, codes in faults.codes.items() if codes == {"no_audio"}}
    planted = set(faults.unreadable) | mute | faults.damaged
    for record in records.values():
        account = {s["path"]: s["reason"] for s in record["data"]["skipped"]}
        assert set(account) == planted
        assert record["data"]["skipped_total"] == len(planted)
        for path, reason in faults.unreadable.items():
            assert account[path].startswith(reason)
        assert {account[path] for path in mute} == {"no audio stream"}
    report = (out / "report.md").read_text()
    named = set(re.findall(r"^  - `(.*)`$", report, re.MULTILINE))
    assert named == planted
    assert all(path in (out / "report.html").read_text() for path in planted)
    assert "ssl-av" in report
