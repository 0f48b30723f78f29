"""The kinds `probe` and `mlp` on features whose answer is known, held against the functions that they call."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import average_precision_score

from ssl_av.errors import UserError
from ssl_av.evaluation.features import Features
from ssl_av.evaluation.kinds import KINDS, NotApplicableError, Outcome
from ssl_av.evaluation.probes import measure_probe, train_probe
from ssl_av.evaluation.protocols import list_protocols, load_protocol

QUICK = {"epochs": 20, "batch_size": 64}


def measured(name: str, splits: dict[str, Features], classes: int = 4, **settings: Any) -> Outcome:
    protocol = load_protocol(name)
    optim = dataclasses.replace(protocol.settings.optim, lr=0.05, warmup=0.0)
    s = dataclasses.replace(protocol.settings, **{**QUICK, "optim": optim, **settings})
    return KINDS[protocol.kind].measure(splits, dataclasses.replace(protocol, settings=s), classes, 0)


def features(n: int, seed: int, signal: float, clips: int = 3) -> Features:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 4
    centres = np.random.default_rng(9).normal(size=(4, 12))
    x = signal * centres[label][:, None] + rng.normal(size=(n, clips, 12))
    return Features(label, {"audio": x.astype(np.float32)})


def splits(signal: float) -> dict[str, Features]:
    return {
        "train": features(160, 0, signal),
        "val": features(60, 1, signal),
        "test": features(80, 2, signal),
    }


def test_the_probe_is_that_of_the_function():
    data = splits(0.7)
    found = measured("linear-probe", data)
    protocol = load_protocol("linear-probe")
    optim = dataclasses.replace(protocol.settings.optim, lr=0.05)
    s = dataclasses.replace(protocol.settings, **QUICK, optim=optim)
    model = train_probe(data["train"].pooled["audio"], data["train"].label, s, 4)
    test, val = (measure_probe(model, data[n].pooled["audio"], data[n].label, s) for n in ("test", "val"))
    assert found.results["audio"] == {
        "top1": test.metrics["top1"],
        "clip_top1": test.metrics["clip_top1"],
        "top1_val": val.metrics["top1"],
    }
    np.testing.assert_array_equal(found.predicted["audio"].scores, test.scores)
    np.testing.assert_array_equal(found.predicted["audio"].truth, data["test"].label)


def test_nothing_is_chosen_on_any_split():
    data = splits(0.7)
    first = measured("linear-probe", data)
    other = {**data, "val": features(60, 5, 0.0)}
    again = measured("linear-probe", other)
    np.testing.assert_array_equal(first.predicted["audio"].scores, again.predicted["audio"].scores)


def test_refit_learns_from_validation_too():
    data = splits(6.0)
    train = data["train"]
    known = train.label != 3
    data["train"] = Features(train.label[known], {"audio": train.pooled["audio"][known]})
    assert measured("linear-probe", data).results["audio"]["top1"] <= 0.75
    data["val_as_train"] = data.pop("val")
    found = measured("linear-probe", data, refit=True).results["audio"]
    assert found["top1"] > 0.9
    assert "top1_val" not in found


def test_l2_forgets_the_length_of_a_vector():
    data = splits(3.0)
    scaled = splits(3.0)
    for k, f in enumerate(scaled.values()):
        f.pooled["audio"] *= np.random.default_rng(k).uniform(0.1, 10, size=(len(f), 3, 1)).astype(np.float32)
    scores = [
        measured("linear-probe", d, normalise="l2", norm="none").predicted["audio"].scores
        for d in (data, scaled)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)


def test_the_mlp_learns_what_no_line_separates():
    rng = np.random.default_rng(0)
    data = {}
    for name, n in {"train": 300, "val": 40, "test": 100}.items():
        x = rng.normal(size=(n, 2, 2)).astype(np.float32)
        x[:, 1] = x[:, 0]
        data[name] = Features((x[:, 0, 0] * x[:, 0, 1] > 0).astype(np.int64), {"audio": x})
    data["val_as_train"] = data["val"]
    top1 = {
        name: measured(name, data, 2).results["audio"]["top1"] for name in ("linear-probe", "brave-audioset")
    }
    assert top1["linear-probe"] < 0.7
    assert top1["brave-audioset"] > 0.9


def test_several_labels_are_measured_by_mean_average_precision():
    data = splits(1.0)
    for f in data.values():
        one = np.eye(4, dtype=bool)[f.label]
        f.label = one | np.roll(one, 1, axis=1)
        f.label[0] = False  # nothing is known of it
    data["val_as_train"] = data["val"]
    found = measured("brave-audioset", data)
    predicted = found.predicted["audio"]
    assert predicted.scores.shape == (79, 4)
    wanted = average_precision_score(predicted.truth, predicted.scores, average="macro")
    assert found.results["audio"]["map"] == pytest.approx(wanted, abs=1e-6)
    assert found.results["audio"]["map"] > 0.8
    assert 0.5 < found.results["audio"]["clip_map"] <= found.results["audio"]["map"]


def test_without_labels_or_backbone():
    data = splits(1.0)
    with pytest.raises(NotApplicableError, match="no labels of at least two classes"):
        measured("linear-probe", data, 0)
    with pytest.raises(NotApplicableError, match="no audio backbone"):
        measured("stica-esc", {n: Features(f.label, {"video": f.pooled["audio"]}) for n, f in data.items()})


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("linear-probe", {"hidden": [8]}, "give kind: mlp"),
        ("brave-audioset", {"hidden": []}, "give kind: probe"),
        ("linear-probe", {"optim": {"name": "adm"}}, "did you mean adam"),
        ("linear-probe", {"optim": {"larning_rate": 1}}, "optim.larning_rate"),
        ("linear-probe", {"draw": "two"}, "unknown draw 'two'"),
        ("linear-probe", {"normalise": "l1"}, "normalise"),
        ("linear-probe", {"epochs": 0}, "epochs must be above 0"),
    ],
)
def test_a_wrong_probe_is_told_where(tmp_path: Path, name: str, settings: dict, said: str):
    values = yaml.safe_load(list_protocols()[name].read_text(encoding="utf-8"))
    values["settings"] |= settings
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"mine\.yaml") as error:
        load_protocol(file)
    assert said in str(error.value)
