"""No file's code is run, and a file that cannot be read says why."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from ssl_av import load_backbone
from ssl_av.errors import UserError
from ssl_av.interop.files import named, read_file


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture
def evil(tmp_path):
    mark = tmp_path / "was-run"
    pickle.loads(pickle.dumps(Evil(mark)))  # this is what it does to whoever trusts it
    mark.rmdir()
    yield Evil(mark)
    assert not mark.exists(), "code in a file was executed"


@pytest.mark.parametrize("kind", ["torch", "legacy torch", "npy", "pickle", "deep in an array", "zipped"])
def test_malicious_files_are_refused_and_not_run(evil, tmp_path, kind):
    path = tmp_path / "evil"
    if kind == "torch":
        torch.save({"model": {"video_model.conv1.0.weight": evil}}, path)
    elif kind == "legacy torch":
        torch.save({"model": evil}, path, _use_new_zipfile_serialization=False)
    elif kind == "npy":
        np.save(path.with_suffix(".npy"), {"params": evil})
        path = path.with_suffix(".npy")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"params": {}, "x": evil}))
    elif kind == "deep in an array":
        path.write_bytes(pickle.dumps({"params": np.array([1, evil], dtype=object)}))
    else:
        inner = io.BytesIO()
        torch.save(evil, inner)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("evil.pth.tar", inner.getvalue())
    for read in (read_file, load_backbone):
        with pytest.raises(
            UserError, match=r"asks to run 'posix\.mkdir', which no weights need; nothing was run"
        ):
            read(path)


@pytest.mark.parametrize(
    "name",
    ["builtins.eval", "builtins.getattr", "numpy.load", "os.system", "torch.load", "numpy.ndarray.tofile"],
)
def test_only_what_arrays_need_has_a_name(tmp_path, name):
    module, _, function = name.rpartition(".")
    path = tmp_path / "names"
    path.write_bytes(f"c{module}\n{function}\n.".encode())
    with pytest.raises(UserError, match=f"asks to run '{name}'"):
        read_file(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_in_containers_are_read(tmp_path, protocol):
    path = tmp_path / "arrays"
    tree = {
        "params": {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3)}, "n": np.float64(2), "t": (1, b"x"),
        "empty": np.zeros((0, 3)), "big endian": np.arange(3, dtype=">f4"), "text": np.array("abc"),
    }  # fmt: skip
    path.write_bytes(pickle.dumps(tree, protocol))
    found = read_file(path)
    assert list(found) == list(tree)
    np.testing.assert_array_equal(found["params"]["a"], tree["params"]["a"])
    np.testing.assert_array_equal(found["big endian"], tree["big endian"])
    assert found["n"] == 2


@pytest.mark.parametrize("zipped", [True, False])
def test_what_trainings_leave_beside_the_weights_is_read(tmp_path, zipped):
    path = tmp_path / "training.pth"
    tree = {
        "args": argparse.Namespace(lr=0.1), "best": np.float64(0.5), "epoch": np.int64(3), "x": torch.ones(2)
    }  # fmt: skip
    torch.save(tree, path, _use_new_zipfile_serialization=zipped)
    found = read_file(path)
    assert found["best"] == 0.5
    assert torch.equal(found["x"], torch.ones(2))


@pytest.mark.parametrize("suffix", [".pth", ".npy", ".safetensors"])
def test_a_file_that_was_cut_off(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    if suffix == ".npy":
        np.save(path, {"params": {"a": np.ones(1000)}})
    else:
        torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="cut off"):
        load_backbone(path)


def test_names_in_errors_are_few_and_counted():
    assert named("missing", ["a", "b"]) == "2 missing: a, b"
    assert named("missing", list("abcdef")) == "6 missing: a, b, c, …"
