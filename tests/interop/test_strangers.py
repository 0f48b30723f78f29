"""Files that strangers made to run code or to fill the memory: one line, nothing is run, nothing grows."""

from __future__ import annotations

import codecs
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ssl_av import load_backbone, load_method
from ssl_av.arrays import read_npz
from ssl_av.bench.running.tune import _study
from ssl_av.checkpoint import read
from ssl_av.errors import UserError
from ssl_av.evaluation.certainty import load_predictions
from ssl_av.evaluation.export import load_embeddings
from ssl_av.evaluation.store import Store
from ssl_av.evaluation.views import Column
from ssl_av.interop.files import read_file
from ssl_av.training.resume import NEEDED, resumable


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


@pytest.fixture
def evil(tmp_path: Path) -> Iterator[Evil]:
    mark = tmp_path / "was-run"
    pickle.loads(pickle.dumps(Evil(mark)))
    mark.rmdir()
    yield Evil(mark)
    assert not mark.exists(), "code in a file was executed"


def test_a_training_does_not_go_on_from_a_malicious_checkpoint(evil: Evil, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    torch.save({key: {} for key in NEEDED} | {"loops": evil, "ssl_av": {}}, run / "checkpoints" / "last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt is damaged, cut off or no training's"):
        resumable(run)
    for load in (load_method, load_backbone, read):
        with pytest.raises(
            UserError, match=r"asks to run 'posix\.mkdir', which no weights need; nothing was run"
        ):
            load(run)


def test_arrays_with_objects_in_them_are_not_unpickled(evil: Evil, tmp_path: Path) -> None:
    objects = np.array([evil], dtype=object)
    with (tmp_path / "a.npz").open("wb") as file:
        np.savez(file, **{"video.0.truth": objects, "about": objects})
    readers: dict[Callable[[Path], Any], str] = {
        load_predictions: "not the predictions of a protocol", load_embeddings: "not a table of embeddings",
    }  # fmt: skip
    for reader, says in readers.items():
        with pytest.raises(UserError, match=says):
            reader(tmp_path / "a.npz")
    cache = tmp_path / "cache" / "pass"
    cache.mkdir(parents=True)
    column = Column("video", "0", "")
    np.save(cache / f"{column}.npy", objects)
    np.save(cache / "index.npy", np.arange(1))
    np.save(cache / "names.npy", np.arange(1))
    (cache / "columns.json").write_text(json.dumps({"columns": [str(column)], "absent": [], "skipped": {}}))
    with pytest.raises(UserError, match="features that cannot be read"):
        Store(cache.parent, {}).find([column], np.arange(1))
    np.save(cache / "names.npy", objects)
    with pytest.raises(UserError, match="features that cannot be read"):
        Store(cache.parent, {}).missing([column], np.arange(1))
    for wrong in ("{", "[]", '{"columns": 3}', '{"columns": [1], "absent": [], "skipped": {}}', "[" * 10_000):
        (cache / "columns.json").write_text(wrong)
        with pytest.raises(UserError, match="features that cannot be read"):
            Store(cache.parent, {}).missing([column], np.arange(1))


def test_a_journal_of_trials_is_no_pickle(evil: Evil, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    (tmp_path / "avid.journal").write_bytes(pickle.dumps(evil) + b"\n")
    with pytest.raises(UserError, match="not a journal of trials"):
        _study(tmp_path, "avid")


def test_arrays_that_unpack_to_more_than_they_may(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, a=np.zeros(1_000_000))
    assert read_npz(file)["a"].shape == (1_000_000,)
    with pytest.raises(ValueError, match="unpacks to 7 MiB, at most 1 are read"):
        read_npz(file, most=1 << 20)
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    for wrong in (file.read_bytes(), b"", b"PK\x03\x04", pickle.dumps([1])):
        file.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"\w"):
            read_npz(file)


def test_checkpoints_that_unpack_to_more_than_they_have(tmp_path: Path) -> None:
    plain, bomb = io.BytesIO(), tmp_path / "bomb.pth"
    torch.save({"a": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    wrapped = tmp_path / "wrapped.zip"
    with zipfile.ZipFile(wrapped, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("weights", bytes(10_000_000))
    layers = bomb.read_bytes()
    for _ in range(3):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as target:
            target.writestr("weights", layers)
        layers = inner.getvalue()
    (tmp_path / "layers.zip").write_bytes(layers)
    for name in ("bomb.pth", "wrapped.zip", "layers.zip"):
        with pytest.raises(UserError, match="not a checkpoint that can be read safely"):
            read_file(tmp_path / name)


WEIGHTS = {"backbones.video.a": torch.ones(2)}
NETWORKS = {"video": "r2plus1d_18", "video_args": {}, "audio": "", "audio_args": {}}


@pytest.mark.parametrize(
    ("about", "state", "says"),
    [
        (3, WEIGHTS, "the name of its method and its settings cannot be read"),
        ({"method": "avid"}, WEIGHTS, "its settings cannot be read"),
        ({"method": "avid", "settings": {"optim": torch.ones(1)}}, WEIGHTS, "its settings cannot be read"),
        ({"method": "avid", "settings": {}}, {"a": 1}, "its weights cannot be read"),
        ({"method": "avid", "settings": {}}, None, "its weights cannot be read"),
        ({"method": "nobody", "settings": {}}, WEIGHTS, "unknown method 'nobody'"),
        ({"method": "avid", "settings": {"networks": 3}}, WEIGHTS, "its settings make no 'avid'"),
        ({"method": "avid", "settings": {"num_samples": 10**15}}, WEIGHTS, "does not match its settings"),
        ({"method": "backbones", "settings": {"networks": {**NETWORKS, "video_args": {"width": 10**7}}}}, WEIGHTS, ":"),
        ({"method": "backbones", "settings": {"networks": {**NETWORKS, "video_args": [1]}}}, WEIGHTS, "its settings"),
    ],
)  # fmt: skip
def test_checkpoints_that_say_anything(about: Any, state: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"ssl_av": about, "state_dict": state}, path)
    for load in (load_method, load_backbone):
        with pytest.raises(UserError, match=says):
            load(path)


def test_safetensors_of_strangers(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"video.a": torch.ones(100)}, path, metadata={"ssl_av": "[" * 10_000})
    with pytest.raises(UserError, match="what it says of its networks is not JSON"):
        read(path)
    for about in ({}, {"settings": 1}, [1], {"settings": {"networks": {"video": 1}}, "origin": {}}):
        save_file({"video.a": torch.ones(100)}, path, metadata={"ssl_av": json.dumps(about)})
        with pytest.raises(
            UserError, match=r"a\.safetensors: (not a whole file of ssl-av|its settings make no)"
        ):
            load_backbone(path)
    whole = path.read_bytes()
    huge = json.dumps({"a": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}).encode()
    for wrong in (
        b"", whole[:-50], whole[:20], b"\xff" * 8 + whole[8:], struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", len(huge)) + huge, struct.pack("<Q", len(huge)) + huge + bytes(100),
    ):  # fmt: skip
        path.write_bytes(wrong)
        with pytest.raises(UserError, match="damaged, cut off or not a safetensors file"):
            read(path)


class Call:
    """Is unpickled by calling a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def nested(levels: int, width: int) -> Any:
    """One list in itself again and again: a few bytes, which are width ** levels values when written out."""
    tree: Any = [1]
    for _ in range(levels):
        tree = [tree] * width
    return tree


HASHED = b"\x80\x02})" + b"2\x86" * 64 + b"K\x01s."
"""A mapping whose key is a tuple of two of the same tuple of two …: whoever hashes it never comes back."""

GROWN = (
    b"\x80\x02cbuiltins\ntuple\nq\x000K\x01q\x010"
    + b"".join(
        b"]q%c(h%ch%ce0h\0h%c\x85Rq%c0" % (2 * k, 2 * k - 1, 2 * k - 1, 2 * k, 2 * k + 1)
        for k in range(1, 65)
    )
    + b"}h\x81K\x01s."
)
"""The same, each tuple made of a list that was kept while it was empty."""


def official(width: int) -> dict[str, Any]:
    """What looks like AVID's networks, as wide as may be, of a single number."""
    video = torch.zeros(1).expand(width, 3, 3, 7, 7)
    return {"video_model.conv1.0.weight": video, "audio_model.conv1.0.weight": torch.zeros(64, 1, 7, 7)}


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        (Call(bytearray, 10**13), "any number of bytes|asks to run 'bytes of 10000000000000'"),
        (Call(codecs.encode, "ä" * 100, "punycode"), "encoding that does not end|asks to run 'codecs.encode"),
        (Call(bytearray, "ä" * 100, "punycode"), "any number of bytes|asks to run 'codecs.encode"),
        (HASHED, "more than 10,000,000 values"),
        (GROWN, "more than 10,000,000 values"),
        ({"ssl_av": {"method": "avid", "settings": {"a": nested(2, 400)}}, "state_dict": WEIGHTS}, "its settings"),
        (nested(18, 50), "more than 10,000,000 values"),
        (official(10**8), "tensors of 176,400,012,544 bytes, of which 12,548 are there"),
        (official(20_000), "not a whole 'avid' checkpoint"),
        (official(8) | {"video_model.conv1.0.weight": torch.ones(2)}, "no network has tensors of these shapes"),
        ({"ssl_av": {}, "state_dict": {"a": torch.ones(1, device="meta")}}, "does not hold its numbers"),
    ],
    ids=["zeros", "encoding", "bytes", "hashed", "grown", "settings", "nested", "expanded", "wide", "flat", "meta"],
)  # fmt: skip
def test_few_bytes_that_stand_for_many(tree: Any, says: str, tmp_path: Path) -> None:
    run = tmp_path / "run" / "checkpoints"
    run.mkdir(parents=True)
    paths = [run / "last.ckpt", tmp_path / "before-1.6.pth"]
    if isinstance(tree, bytes):
        paths[1].write_bytes(tree)
        with zipfile.ZipFile(paths[0], "w") as archive:
            archive.writestr("a/data.pkl", tree)
            archive.writestr("a/version", "3\n")
    else:
        for path in paths:
            torch.save(tree, path, _use_new_zipfile_serialization=path is paths[0])
    if isinstance(tree, Call):  # not in torch's manner
        paths.append(tmp_path / "plain.pkl")
        paths[-1].write_bytes(pickle.dumps(tree))
    for path in paths:
        with pytest.raises(UserError, match=says):
            read(path)
    with pytest.raises(UserError, match="is damaged, cut off or no training's"):
        resumable(tmp_path / "run")
