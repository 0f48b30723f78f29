"""Protocols as files: what they say, their hashes, and what a wrong one is told."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ssl_av.errors import UserError
from ssl_av.evaluation.protocols import Protocol, check_protocols, list_protocols, load_protocol
from ssl_av.evaluation.table import shipped

#: published with results; a change here makes results that cannot be compared: raise the version then
HASHES = {
    "linear-svm": "1dfb4cb55c49",
    "retrieval": "f263ea8c6f2d",
    "av-retrieval": "81b4e93bed89",
    "knn": "87dae43d6ea2",
    "fusion": "2fa288cc1fac",
    # these hold all of `Optim`: a field that it gets later has the metadata of `later`
    "linear-probe": "fa49f42e69d0",
    "finetune": "8c6a3aa4fa64",
}


@pytest.fixture(scope="module")
def found() -> dict[str, Protocol]:
    """Every shipped protocol."""
    return {name: load_protocol(name) for name in list_protocols()}


def test_every_shipped_protocol_is_sound_and_called_as_its_file(found: dict[str, Protocol]):
    assert {"linear-svm", "retrieval", "av-retrieval", "knn", "fusion", "brave-video"} <= set(found)
    assert all(p.name == name for name, p in found.items())
    assert all(p.source and p.about for p in found.values())
    assert len({p.hash for p in found.values()}) == len(found)


def test_hashes_stay():
    assert {name: load_protocol(name).with_clips(3).hash for name in HASHES} == HASHES


def test_the_hash_is_of_numbers_not_of_words(tmp_path: Path):
    first = load_protocol("linear-svm")
    assert dataclasses.replace(first, about="else", source="else").hash == first.hash
    assert dataclasses.replace(first, version=2).hash != first.hash
    assert first.with_clips(3).hash != first.with_clips(4).hash
    values = yaml.safe_load(list_protocols()["linear-svm"].read_text())
    values["settings"]["costs"] = [0.001, 0.01, 0.1]
    values["inputs"]["zoom"] = 1
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(values))
    assert load_protocol(mine).hash == first.hash
    values["settings"]["costs"] = [0.001]
    mine.write_text(yaml.safe_dump(values))
    assert load_protocol(str(mine)).hash != first.hash


def test_papers_numbers():
    brave = load_protocol("brave-video")
    assert (brave.inputs.frames, brave.inputs.size, brave.inputs.size / brave.inputs.zoom) == (32, 224, 256)
    assert (brave.train.clips, brave.test.clips, brave.test.crops) == (10, 10, 3)
    assert brave.settings.costs == (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    crisscross = load_protocol("crisscross-video")
    assert (crisscross.train.clips, crisscross.test.clips, crisscross.inputs.frames) == (25, 10, 8)
    assert crisscross.pooling.video == {"max": [1, 4, 4]}
    assert (crisscross.inputs.fps, crisscross.inputs.size / crisscross.inputs.zoom) == (16, 256)
    seen = load_protocol("crisscross-retrieval").inputs
    assert (seen.frames / seen.fps, seen.audio_seconds) == (2, 2)  # E.3: "We fit 2-second inputs"
    assert load_protocol("crisscross-dcase").train.clips == 60
    assert load_protocol("stica-retrieval").pooling.video == "max"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "linear-smv"}, "did you mean linear-svm"),
        ({"kid": "x"}, "did you mean kind"),
        ({"version": None}, "needs 'version'"),
        ({"merge": "sum"}, "merge"),
        ({"train": {"clip": 3}}, "did you mean"),
        ({"train": {"clips": 0}}, "train.clips must be above 0"),
        ({"train": {"augment": "brav"}}, "did you mean brave"),
        ({"test": {"place": "random"}}, "neither augmented nor random"),
        ({"pooling": {"video": {"max": [1, 4]}}}, "pooling.video is null, max, avg"),
        ({"pooling": {"audio": "mean"}}, "pooling.audio is null, max, avg"),
        ({"inputs": {"zoom": 2}}, "zoom"),
        ({"settings": {"costs": []}}, "values of C above 0"),
        ({"settings": {"solver": "libliner"}}, "did you mean liblinear"),
        ({"modalities": ["vidoe"]}, "did you mean video"),
    ],
)
def test_a_wrong_protocol_is_told_where(tmp_path: Path, change: dict, said: str):
    values = yaml.safe_load(list_protocols()["linear-svm"].read_text())
    for key, value in change.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"mine\.yaml") as error:
        load_protocol(file)
    assert said in str(error.value)


def test_unknown_protocol():
    with pytest.raises(UserError, match="did you mean linear-svm"):
        check_protocols(["linear-smv"])
    with pytest.raises(UserError, match="asked for twice"):
        check_protocols(["knn", "knn"])


def test_the_list_has_the_hashes_of_results(found: dict[str, Protocol]):
    """It does not ask the kinds for what a file leaves out: a shipped file states all settings."""
    for name, path in list_protocols().items():
        assert shipped(path).with_clips(3).hash == found[name].with_clips(3).hash, (
            f"{name}.yaml must state every field of its kind's settings"
        )


def test_the_list_is_shown_without_torch(found: dict[str, Protocol]):
    code = (
        "import sys; from ssl_av.evaluation.table import show_protocols; show_protocols()\n"
        "assert not {'torch', 'sklearn', 'jsonargparse'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, protocol in found.items():
        assert f"{name} " in done.stdout
        assert protocol.with_clips(3).hash in done.stdout
