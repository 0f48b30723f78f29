"""Names of other data to measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ssl_av.bench.suite import load_suite
from ssl_av.config import Evaluation, RunConfig
from ssl_av.errors import UserError
from ssl_av.evaluation.elsewhere import check_elsewhere
from ssl_av.evaluation.places import protocols_at, read_places


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("esc50:/data/ESC", [{"name": "esc50", "as": "esc50", "root": "/data/ESC"}]),
        (
            "esc50:ESC+fold=2+as=second, csv:GRID/labels.csv+label=digit+root=GRID",
            [
                {"name": "esc50", "as": "second", "root": "ESC", "fold": 2},
                {"name": "csv", "as": "csv", "file": "GRID/labels.csv", "label": "digit", "root": "GRID"},
            ],
        ),
        (
            "ucf101:a+b/UCF+protocols=[knn,retrieval]+modalities=video,folder:v+folds=all+batch_size=4",
            [
                {
                    "name": "ucf101", "as": "ucf101", "protocols": ["knn", "retrieval"], "modalities": ["video"],
                    "root": "a+b/UCF",
                },
                {"name": "folder", "as": "folder", "folds": "all", "root": "v", "batch_size": 4},
            ],
        ),
        ("synthav+seed=3", [{"name": "synthav", "as": "synthav", "seed": 3}]),
    ],
)  # fmt: skip
def test_words_and_mappings_say_the_same(text: str, places: list[dict[str, Any]]):
    found = read_places(text)
    assert list(found) == places
    assert read_places(found) == found
    assert read_places([text]) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("esc5:DIR", "--eval esc5:DIR: unknown data set 'esc5'; did you mean esc50"),
        ("esc50:DIR+flod=1", "--eval esc50: unknown key 'flod'; did you mean fold"),
        ("esc50:DIR+protocol=knn", "--eval esc50: unknown key 'protocol'; did you mean protocols"),
        ("esc50:DIR+protocols=[knm]", "--eval esc50: unknown protocol 'knm'; did you mean knn"),
        ("esc50:DIR+modalities=video", "--eval esc50: unknown modality of 'esc50' 'video'"),
        ("esc50:DIR+fold=two", "--eval esc50: fold two: expected int"),
        ("esc50:DIR+folds=some", "--eval esc50: unknown folds 'some'"),
        ("esc50:DIR+as=a/b", "--eval esc50: as=a/b: give letters"),
        ("esc50:A,esc50:B", "--eval: 'esc50' names two data sets; give one of them another name by +as=NAME"),
        ("esc50:A+protocols=3", "protocols is a list of names"),
        ("esc50:A+batch_size=1", "--eval esc50: batch_size must be at least 2"),
    ],
)
def test_each_mistake_gets_one_line(text: str, says: str):
    def look() -> None:
        places = list(read_places(text))
        check_elsewhere(load_suite("tiny", {"evaluation": {"elsewhere": places}}).run_config("avid", 0))

    with pytest.raises(UserError) as caught:
        look()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_the_user_s_own_is_helped_to_its_name(tmp_path: Path):
    with pytest.raises(UserError, match=r"unknown data set 'lrs'.*a folder of videos is folder:"):
        read_places(f"lrs:{tmp_path}")
    (tmp_path / "labels.csv").write_text("file,label\n")
    with pytest.raises(UserError, match=r"is csv:.*/TABLE\+label=COLUMN \(there: labels\.csv\)"):
        read_places(f"lrs:{tmp_path}")
    config = load_suite("tiny", {"evaluation": {"elsewhere": [f"csv:{tmp_path}"]}}).run_config("avid", 0)
    with pytest.raises(UserError, match=r"^--eval csv: file .*: is a folder; name the table; in it: labels"):
        check_elsewhere(config)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("esc50:nowhere", "--eval esc50: no esc50.csv in nowhere"),
        ("esc50", "--eval esc50: data set 'esc50' needs root"),
        ("csv:nowhere.csv", "--eval csv: file nowhere.csv: no such file"),
        ("esc50:nowhere+protocols=[retrieval]", "--eval esc50: its samples have audio, which is not what"),
    ],
)
def test_what_is_missing_is_told(place: str, says: str):
    config = load_suite("tiny", {"evaluation": {"elsewhere": [place]}}).run_config("avid", 0)
    with pytest.raises(UserError) as caught:
        check_elsewhere(config)
    assert says in str(caught.value)


def test_protocols_that_apply():
    asked = ("linear-svm", "retrieval", "av-retrieval", "fusion", "ridge")

    def names(text: str) -> list[str]:
        return [p.name for p in protocols_at(read_places(text)[0], asked)]

    assert names("esc50:DIR") == ["linear-svm", "ridge"]
    assert names("ucf101:DIR") == ["linear-svm", "retrieval", "ridge"]
    assert names("csv:FILE") == list(asked)
    assert names("csv:FILE+modalities=[audio]") == ["linear-svm", "ridge"]
    assert names("csv:FILE+protocols=[knn]") == ["knn"]
    given, every = (protocols_at(read_places(f"esc50:DIR{x}")[0], asked)[0] for x in ("", "+folds=all"))
    assert (given.folds, every.folds) == ("given", "all")
    assert given.hash != every.hash


def test_a_run_keeps_them_in_its_file_and_other_runs_are_as_before(tmp_path: Path):
    suite = load_suite("tiny", {"evaluation": {"elsewhere": ["esc50:ESC+fold=2"]}})
    config = suite.run_config("avid", 0)
    config.save(tmp_path / "config.yaml")
    values = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert values["evaluation"]["elsewhere"] == [{"name": "esc50", "as": "esc50", "root": "ESC", "fold": 2}]
    assert RunConfig.from_dict(values) == config
    assert "elsewhere" not in load_suite("tiny").run_config("avid", 0).to_dict()["evaluation"]
    with pytest.raises(UserError, match=r"evaluation\.elsewhere is a list of data sets"):
        Evaluation(elsewhere=3)  # type: ignore[arg-type]
