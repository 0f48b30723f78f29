"""What this process knows of keys and passwords is not written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssl_av.bench.records import append_record, load_records
from ssl_av.runs.record import write_json
from ssl_av.secret import hide

KEY, WORD = "0123456789abcdef" * 2, "made-up word"


def test_a_secret_in_a_record_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("SHORT_KEY", "avid")
    (tmp_path / ".netrc").write_text(f'machine a login b password "{WORD}"')
    record = {
        "method": "avid",
        "seed": 0,
        "error": f"HTTP 401: key {KEY}",
        "config": {"tags": [f"x{WORD}"], "n": 1},
    }
    append_record(tmp_path, record)
    write_json(record, tmp_path / "record.json")
    for found in (*load_records(tmp_path), json.loads((tmp_path / "record.json").read_text())):
        assert found == record | {"error": "HTTP 401: key ***", "config": {"tags": ["x***"], "n": 1}}
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / ".netrc").unlink()
    assert hide(KEY) == KEY
    # One that Python's netrc refuses hides as much, and so does one elsewhere.
    (tmp_path / "other").write_text(
        f'nonsense\nmachine a login b password {KEY}\nmachine password "a\\"b c-d-e"'
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "other"))
    assert hide(f'{KEY} and a"b c-d-e') == "*** and ***"
    said = "https://me:unknown!@host/a, http://host:80/b@c, s3://a"
    assert hide([said]) == [said.replace("unknown!", "***")]


def test_what_is_no_secret_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CROSS_TOKEN", "cross-2024")
    monkeypatch.setenv("LESSKEY", str(tmp_path))
    record = {
        "method": "cross-2024",
        "config": {"method": {"name": "cross-2024"}, "root": f"{tmp_path}/data"},
    }
    assert hide(record | {"error": "no cross-2024"}) == record | {"error": "no ***"}


def test_a_password_that_is_a_word_is_hidden_where_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any text may say "password"; hidden is what stands after such a name, or in an address."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PASSWORD", "password")
    monkeypatch.setenv("CROSS_TOKEN", "crisscross")
    for text in (
        "the password is wrong",
        "classes: passwords, password",
        "crisscross/kinetics400",
        "Password",
    ):
        assert hide({"method": "crisscross", "classes": ["password", text]})["classes"] == ["password", text]
    for text, shown in {
        "PASSWORD=password": "PASSWORD=***", "--db-password password": "--db-password ***",
        '{"cross_token": "crisscross"}': '{"cross_token": "***"}', "https://me:crisscross@host": "https://me:***@host",
    }.items():  # fmt: skip
        assert hide([text]) == [shown]
    assert hide({"api_key": "crisscross", "name": "crisscross"}) == {"api_key": "***", "name": "crisscross"}
    for real in (
        "Password1",
        "correcthorsebattery",
        "p-assword",
        "PaSsWoRd",
    ):  # what is no word is hidden everywhere
        monkeypatch.setenv("PASSWORD", real)
        assert hide(f"x{real}y") == "x***y"
