"""Recipes: how files are put together, and the form of what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ssl_av.data.datasets import list_datasets
from ssl_av.errors import UserError
from ssl_av.options import configs_root
from ssl_av.recipes import MEASURES, list_recipes, load_recipe, recipe_names
from ssl_av.recipes.compose import compose, overlay

ALL = recipe_names()
DATASETS = set(list_datasets())
#: rows of the papers' tables that must be there: 11 of BraVe's table 6, and so on
TABLES = {
    "BraVe, table 6": 11, "BraVe, table 1": 2, "BraVe, table 2": 7, "BraVe, table 3": 3, "BraVe, table 5": 4,
    "BraVe, table 8": 3, "BraVe, appendix D": 2, "CrissCross, table 1": 10, "CrissCross, tables": 4,
    "CrissCross, table 3": 3, "AVID, table 1": 3, "AVID, table 5": 2, "AVID, tables 2, 3, 4": 4, "AVID, figure 3": 4,
    "AVID, figure 4b": 4, "STiCA, table 1a": 4, "STiCA, table 2": 4,
}  # fmt: skip


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


WHOLE = """\
paper: mine
reported: {ucf101: {linear: 50}}
follows: paper
training_samples: 100
method: {name: avid, negatives: 5, networks: {video: r2plus1d_18, video_args: {width: 8}, audio: conv9_audio}}
data: {name: synthav, train: 100, batch_size: 10}
budget: {steps: 7}
"""


def test_a_row_states_what_is_its_own(tmp_path: Path):
    write(tmp_path, base=WHOLE, row="extends: base.yaml\nbudget: {epochs: 3}\nmethod: {negatives: 9}\n")
    recipe = load_recipe(str(tmp_path / "row.yaml"))
    assert recipe.budget == {"epochs": 3}
    assert recipe.method["negatives"] == 9
    assert recipe.method["networks"]["video_args"] == {"width": 8}
    assert recipe.paper == ("mine",)


def test_another_network_or_data_set_inherits_no_arguments_of_the_old_one():
    base = yaml.safe_load(WHOLE)
    out = overlay(
        base, {"method": {"networks": {"video": "r3d_50"}}, "data": {"name": "ucf101"}, "reported": {}}
    )
    assert out["method"]["networks"] == {"video": "r3d_50", "audio": "conv9_audio"}
    assert out["data"] == {"name": "ucf101", "batch_size": 10}
    assert out["reported"] == {}
    assert base == yaml.safe_load(WHOLE)
    other = overlay(base, {"method": {"name": "cma", "positives": 4}})
    assert other["method"] == {"name": "cma", "positives": 4}


def test_what_differs_adds_up_until_another_source_is_followed():
    base = {"follows": "paper", "differs": ["a"]}
    assert overlay(base, {"differs": ["b"]})["differs"] == ["a", "b"]
    assert overlay(base, {"follows": "code", "differs": ["b"]})["differs"] == ["b"]
    assert len(load_recipe("stica/state-of-the-art").differs) == 4


def test_several_files_are_laid_on_each_other_in_order(tmp_path: Path):
    write(tmp_path, base=WHOLE, more="budget: {steps: 8}\nmethod: {negatives: 6}\n")
    write(tmp_path, row="extends: [base.yaml, more.yaml]\nmethod: {dim: 3}\n")
    recipe = load_recipe(str(tmp_path / "row.yaml"))
    assert recipe.budget == {"steps": 8}
    assert (recipe.method["negatives"], recipe.method["dim"]) == (6, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: row.yaml\n", "extends itself"),
        ("extends: other.yaml\n", "no such file"),
        ("extends: avid/kinetics40\n", "did you mean avid/kinetics400"),
        ("extends: 3\n", "must name recipes"),
        ("extends: base.yaml\nbudgets: {steps: 1}\n", "did you mean budget"),
        ("extends: base.yaml\nfollows: paper_\n", "did you mean paper"),
        ("extends: base.yaml\nmethod: avid\n", "must be a mapping"),
        ("paper: x\n", "needs 'reported'"),
        ("- a\n", "expected a mapping"),
    ],
)
def test_mistakes_are_said_in_one_line(tmp_path: Path, text: str, said: str):
    write(tmp_path, base=WHOLE, row=text)
    with pytest.raises(UserError, match=said) as error:
        load_recipe(str(tmp_path / "row.yaml"))
    assert "\n" not in str(error.value)


def test_a_circle_of_two_files_is_named(tmp_path: Path):
    write(tmp_path, a="extends: b.yaml\n", b="extends: a.yaml\n")
    with pytest.raises(UserError, match=r"a\.yaml → .*b\.yaml → .*a\.yaml"):
        compose(str(tmp_path / "a.yaml"))


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UserError, match="did you mean avid/kinetics400"):
        load_recipe("avid/kinetics-400")
    with pytest.raises(UserError, match="a part of recipes"):
        load_recipe("avid/_base")
    with pytest.raises(UserError, match="did you mean brave"):
        list_recipes("brav")


def test_every_row_of_the_tables_is_there_once():
    rows = [row for recipe in list_recipes() for row in recipe.paper]
    assert len(rows) == len(set(rows))
    for table, count in TABLES.items():
        assert sum(bool(re.match(rf"{table}\b", row)) for row in rows) >= count, table


@pytest.mark.parametrize("name", ALL)
def test_what_a_recipe_says_has_the_right_form(name: str):
    recipe = load_recipe(name)
    own = yaml.safe_load((configs_root() / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert {"extends", "paper"} <= set(own), "composed, and about its own row"
    assert recipe.method["name"] == name.split("/")[0]
    assert recipe.data["name"] in DATASETS
    assert recipe.data["batch_size"] > 1
    assert recipe.training_samples > recipe.data["batch_size"]
    assert set(recipe.networks) == set(recipe.modalities)
    assert {"name", "lr", "weight_decay"} <= set(recipe.method["optim"])
    assert recipe.length
    for dataset, numbers in recipe.reported.items():
        assert dataset in DATASETS | {"imagenet"}
        assert numbers
        for measure, value in numbers.items():
            known = {measure, measure.rpartition("-")[0]} & set(MEASURES)
            assert known, f"{measure} is not one of MEASURES"
            assert isinstance(value, (int, float))
            assert 0 < value <= 100
    if not recipe.reported:
        assert any("figure" in row or "table 1f" in row for row in recipe.paper), "why is there no number?"


def test_nothing_is_in_the_folder_that_no_recipe_uses():
    used = set(ALL)
    queue = list(ALL)
    while queue:
        own = yaml.safe_load((configs_root() / "recipes" / f"{queue.pop()}.yaml").read_text(encoding="utf-8"))
        extends = own.get("extends", [])
        parts = set([extends] if isinstance(extends, str) else extends) - used
        used |= parts
        queue += parts
    root = configs_root() / "recipes"
    assert used == {str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml")}


def test_listing_imports_no_torch_and_fits_eighty_columns():
    code = (
        "import sys\nfrom ssl_av.cli import run\nrun(['list', 'recipes'])\n"
        "assert 'torch' not in sys.modules and 'pytorch_lightning' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert set(ALL) <= set(words), "no name is wrapped or cut"
    for word in ("tsm_resnet50x2", "96.9", "kinetics_sound", "100"):
        assert word in words
