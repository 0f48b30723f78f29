"""ESC-50 by its official list; all 2,000 sounds are real."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_av.data.datamodule import AVDataModule
from ssl_av.data.datasets import create_dataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Row, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.prepare import restrict
from ssl_av.data.views import AudioView
from ssl_av.errors import UserError

HEADER = "filename,fold,target,category,esc10,src_file,take\n"


def test_official_numbers(shared: Path) -> None:
    root = shared / "esc50"
    tested: Counter[str] = Counter()
    for fold in range(1, 6):
        rows, classes = create_dataset("esc50", root=root, fold=fold).rows()
        assert Counter(row.split for row in rows) == {"train": 1600, "test": 400}
        assert Counter(row.label for row in rows) == dict.fromkeys(range(50), 40)
        assert (len(classes), classes[0], classes[49]) == (50, "dog", "hand_saw")
        tested.update(row.path for row in rows if row.split == "test")
    assert len(tested) == 2000
    assert set(tested.values()) == {1}
    assert {path for path in tested if not (root / path).is_file()} == set()
    assert {path.rsplit(".", 1)[1] for path in tested} == {"ogg"}


def test_esc10_is_ten_of_the_classes(shared: Path) -> None:
    rows, classes = create_dataset("esc50", root=shared / "esc50", fold=2, esc10=True).rows()
    assert Counter(row.split for row in rows) == {"train": 320, "test": 80}
    assert Counter(row.label for row in rows) == dict.fromkeys(range(10), 40)
    assert classes == (
        "dog", "rooster", "rain", "sea_waves", "crackling_fire", "crying_baby", "sneezing", "clock_tick", "helicopter",
        "chainsaw",
    )  # fmt: skip
    assert all(classes[row.label] in ("dog",) for row in rows if row.path.endswith("-0.ogg"))


def test_wav_comes_first_where_both_are_there(make) -> None:
    table = {"meta/esc50.csv": HEADER + "1-1-A-0.wav,1,0,dog,True,1,A\n2-1-A-0.wav,2,0,dog,True,1,A\n"}
    root = make(table, "audio/1-1-A-0.ogg", "audio/1-1-A-0.wav")
    rows, _ = create_dataset("esc50", root=root, fold=2).rows()
    assert rows == [Row("audio/1-1-A-0.wav", 0, "train"), Row("audio/2-1-A-0.wav", 0, "test")]


def test_sounds_without_pictures_are_served(shared: Path) -> None:
    root = shared / "esc50"
    dataset = create_dataset("esc50", root=root)
    rows, classes = dataset.rows()
    few = [row for row in rows if row.label < 2]
    manifest = restrict(build_manifest(few, classes, root, create_reader()), dataset.modalities, "esc50")
    assert len(manifest) == 80
    assert {name: len(manifest.split(name)) for name in ("train", "val", "test")} == {
        "train": 56,
        "val": 8,
        "test": 16,
    }
    data = AVDataModule(manifest, Loading(batch_size=16, num_workers=0))
    batch = next(iter(data.clips("test", None, AudioView(1.0, 16000), count=2)))
    assert batch["audio_0"].shape == batch["audio_1"].shape == (16, 16000)
    assert batch["audio_0"].abs().max() > 0
    assert not batch["skipped"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,target\n", r"line 1: the header is not filename,fold,target,category"),
        (HEADER + "a.wav,one,0,dog,True,1,A\n", r"line 2: not a file name, fold, target and category"),
        (HEADER + "a.wav,1,0,dog\n", r"line 2: not a file name"),
        (HEADER + "../../a.wav,1,0,dog,True,1,A\n", r"esc50\.csv, line 2: .* leads out"),
        (
            HEADER + "a.wav,1,0,dog,True,1,A\nb.wav,1,0,cat,True,1,A\n",
            r"line 3: target 0 is 'dog', not 'cat'",
        ),
        (HEADER + "a.wav,1,1,dog,True,1,A\n", "do not count from 0"),
    ],
)
def test_mistakes_in_the_list(text: str, message: str, make) -> None:
    with pytest.raises(UserError, match=message):
        create_dataset("esc50", root=make({"esc50.csv": text}, "a.wav")).rows()


def test_mistakes(make) -> None:
    with pytest.raises(UserError, match=r"no esc50\.csv in .*meta"):
        create_dataset("esc50", root=make("a.wav")).rows()
    root = make({"esc50.csv": "filename,fold,target,category\na.wav,1,0,dog\n"}, "a.wav")
    with pytest.raises(UserError, match="has no column esc10"):
        create_dataset("esc50", root=root, esc10=True).rows()
    (root / "esc50.csv").unlink()
    with pytest.raises(UserError, match="folds 1 to 5"):
        create_dataset("esc50", root=make("a.wav"), fold=0).rows()
