"""Text that strangers wrote: read as what it says, or refused in a line; never run, never waited for."""

from __future__ import annotations

import inspect
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ssl_av.config import Evaluation, load_yaml
from ssl_av.data.loading import Loading
from ssl_av.errors import UserError, unknown
from ssl_av.methods import method_class
from ssl_av.options import check, list_configs, parse_dotted
from ssl_av.resolve import OBJECTS
from ssl_av.text import one_line, parse_json, printable, read_text
from ssl_av.training.safety import Safety
from ssl_av.yaml_text import parse_yaml

quick = settings(
    max_examples=120, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "more than 100000 values, aliases written out"),
        ("a: &a [*a]", "stands inside of itself"),
        (
            "a: !!python/object/apply:os.mkdir [was-run]",
            "tags are not read, such as tag:yaml.org,2002:python",
        ),
        ("a: !!python/name:os.system x", "tags are not read"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands twice"),
        ("a: {b: 1, b: 2}", "'b' stands twice"),
        ("[" * 500, "more than 40 levels"),
        (
            "[" * 5000,
            "line 1: ",
        ),  # libyaml looks a thousand signs ahead, and some versions of it refuse by themselves
        ("- " * 5000, "more than 40 levels"),
        ("1: 2", "put 1 in quotes"),
        ("? [a]\n: 2", "a key is a word"),
        ("a: " + "9" * 5000, "limit"),
        ("a: *b", "undefined alias"),
        ("a: 1\n--- \nb: 2", "another document"),
    ],
)
def test_yaml_that_is_refused(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(text)
    with pytest.raises(UserError, match=r"a\.yaml: not valid YAML") as refused:
        load_yaml(Path("a.yaml"))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.yaml"]


def test_yaml_that_is_read() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: {<<: *x, d: [*x]}") == {"a": {"b": 1}, "c": {"b": 1, "d": [{"b": 1}]}}
    assert parse_yaml("a: {i: &i {<<: &b {k: 1}, k: 2}}\nc: {<<: *i}")["c"] == {"k": 2}
    assert parse_yaml("a: 2020-13-99") == {"a": "2020-13-99"}
    for kind in ("suites", "protocols"):
        for path in list_configs(kind).values():
            assert load_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"name: gr\xfcn")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2 << 20)
    for name, says in {
        "latin": "utf-8", "pipe": "a pipe", "huge": "2 MiB of text, at most 1", ".": "is a directory", "no": "no such",
        "nul\0": "cannot be read",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=says):
            load_yaml(tmp_path / name)


@quick
@given(st.text(alphabet="a1:-[]{}&*!<>|%@`'\"#?,\n \t\x00\ud800é", max_size=60) | st.text(max_size=60))
def test_any_text_is_yaml_or_refused(text: str) -> None:
    said = ""
    try:
        parse_yaml(text)
    except ValueError as e:
        said = str(e)
    assert "\n" not in said
    found = parse_dotted([f"--data.a={text}"], ["data"], [])["data"]["a"]
    assert found is None or isinstance(found, (str, int, float, list, dict))


WORDS = ("--data.", "--data.a.b", "a", ".", "=", "--", "--x", "{class_path: os}", "[", "")


@quick
@given(st.lists(st.sampled_from(WORDS), max_size=5))
def test_any_words_are_options_or_refused(words: list[str]) -> None:
    try:
        found: Any = parse_dotted(["".join(words), *words], ["data"], ["--out"])
    except UserError as e:
        found = one_line(e)
    assert found


def test_json_that_is_refused() -> None:
    for text in ("[" * 100_000, "9" * 5000, '{"a": ', '{"a": 1}}', "[" * 101 + "]" * 101):
        with pytest.raises(ValueError, match=r"\w"):
            parse_json(text)
    assert parse_json('{"a": "[[[[", "b": "\\ud800"}') == {"a": "[[[[", "b": "\ufffd"}


def test_messages_are_one_line_that_moves_no_terminal() -> None:
    assert printable("a\nb\x1b[2J\u202e\udcff") == "a\\nb\\x1b[2J\\u202e\\udcff"
    assert len(one_line("x" * 10_000)) < 2100
    assert "unknown key '3'" in str(unknown("key", 3, ["a"]))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="cannot be read"):
        read_text(Path("nul\0"))


def test_no_setting_imports_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module.py").write_text("open('was-run', 'w').close()\nclass Evil: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = 0
    for group, target in (
        ("trainer", pl.Trainer), ("method", method_class("stica")), ("data", Loading), ("safety", Safety),
        ("evaluation", Evaluation),
    ):  # fmt: skip
        skip = OBJECTS if group == "trainer" else ()
        for name in inspect.signature(target).parameters:
            evil: Any
            for evil in (
                "evil_module.Evil",
                {"class_path": "evil_module.Evil"},
                [{"class_path": "os.system"}],
            ):
                with suppress(UserError):
                    check(group, target, {name: evil}, skip=skip)
                asked += 1
    assert asked > 100
    assert not (tmp_path / "was-run").exists()
    with pytest.raises(UserError, match=r"--trainer.strategy: classes are not taken .*class_path: os.system"):
        check("trainer", pl.Trainer, {"strategy": {"class_path": "os.system"}}, skip=OBJECTS)
    with pytest.raises(UserError, match="give a registered name, such as ddp"):
        check("trainer", pl.Trainer, {"strategy": "evil_module.Evil"}, skip=OBJECTS)
