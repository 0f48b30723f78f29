"""A small data set is decoded once, and gives what its files give."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssl_av.data import flow_tvl1, once
from ssl_av.data.datamodule import ClipDataset
from ssl_av.data.flow import default_folder, flow_path
from ssl_av.data.flow_tvl1 import FlowSettings, make_flow
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest
from ssl_av.data.once import decode_once
from ssl_av.data.pack import pack_at
from ssl_av.data.prepare import prepare_manifest
from ssl_av.data.views import Anywhere, AudioView, FlowView, Near, VideoView, View
from ssl_av.errors import UserError
from ssl_av.recipes import load_recipe
from ssl_av.recipes.shrink import shrunk
from ssl_av.resolve import resolve_data, resolve_suite

VIEWS: dict[str, View] = {
    "audio": AudioView(1.0, 8000, when=Anywhere()),
    "video": VideoView(4, 8.0, 32, when=Near("audio", 0.5)),
}
FRAMES = Loading(num_workers=1, decode_size=32, pack="frames")


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setenv("SSL_AV_CACHE", str(tmp_path / "cache"))
    sizes = {"train": 3, "val": 1, "test": 1, "workers": 1}
    return prepare_manifest("synthav", sizes, FRAMES, progress=False)


def test_the_pack_gives_what_the_files_give(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = decode_once(manifest, "synthav", FRAMES, VIEWS.values())
    pack = pack_at(packed.root)
    assert pack is not None
    assert (pack.form, pack.size, pack.rate, pack.hash) == ("frames", 32, 8000, manifest.hash)
    files, stored = (ClipDataset(m.split("train"), VIEWS, FRAMES, seed=1) for m in (manifest, packed))
    for index in range(3):
        a, b = files[2, index], stored[2, index]
        assert isinstance(a, dict)
        assert isinstance(b, dict)
        assert torch.equal(a["video"], b["video"])
        assert a["label"] == b["label"]
        # a sample of the file begins between two of the pack: the same sound, not the same numbers
        assert torch.corrcoef(torch.stack([a["audio"], b["audio"]]))[0, 1] > 0.9

    monkeypatch.setattr(once, "build_pack", lambda *a, **k: pytest.fail("packed again"))
    assert decode_once(manifest, "synthav", FRAMES, VIEWS.values()).hash == packed.hash
    assert decode_once(packed, "pack", FRAMES, VIEWS.values()) is packed


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("shards/00000.arrow", lambda b: b[: len(b) // 2], "00000.arrow is not as it was written"),
        (
            "shards/00000.arrow",
            lambda b: b[:-5000] + bytes([b[-5000] ^ 1]) + b[-4999:],
            "is not as it was written",
        ),
        ("shards/00000.arrow", None, "00000.arrow is not there"),
        ("manifest.arrow", lambda b: bytes(len(b)), "is not a manifest of ssl-av"),
        ("ssl-av-pack.json", lambda b: b[:9], "cannot be read"),
        ("ssl-av-pack.json", None, "not a pack"),
        ("sums.json", lambda b: b[:9], "sums.json says nothing of its shards"),
        ("sums.json", None, "sums.json says nothing of its shards"),
    ],
)
def test_a_damaged_pack_in_the_cache_is_made_anew(
    name: str, damage: Callable[[bytes], bytes] | None, says: str, manifest: Manifest, capfd
) -> None:
    folder = decode_once(manifest, "synthav", FRAMES, VIEWS.values()).root
    good = {f.name: f.read_bytes() for f in folder.rglob("*.*")}
    bad = folder / name
    bytes_now = bad.read_bytes()
    bad.unlink()
    if damage is not None:
        bad.write_bytes(damage(bytes_now))
    capfd.readouterr()
    assert decode_once(manifest, "synthav", FRAMES, VIEWS.values()).root == folder
    said = capfd.readouterr().err
    assert said.startswith(f"ssl-av: warning: the pack {folder} is damaged (")
    assert says in said.splitlines()[0]
    assert {f.name: f.read_bytes() for f in folder.rglob("*.*")} == good
    decode_once(manifest, "synthav", FRAMES, VIEWS.values())
    assert capfd.readouterr().err == ""


def test_a_file_that_has_changed_is_decoded_again(manifest: Manifest) -> None:
    before = decode_once(manifest, "synthav", FRAMES, VIEWS.values())
    os.utime(manifest[0].path, (0, 0))
    after = decode_once(manifest, "synthav", FRAMES, VIEWS.values())
    assert after.root != before.root
    assert after.hash == before.hash


def test_files_are_used_as_they_are(manifest: Manifest) -> None:
    assert decode_once(manifest, "synthav", Loading(pack="none"), VIEWS.values()) is manifest
    flow = {**VIEWS, "flow": FlowView(4, 8.0, 32)}
    assert decode_once(manifest, "synthav", FRAMES, flow.values()) is manifest


def test_flow_that_is_missing_is_made_where_that_was_asked(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2.optflow", reason="OpenCV's contrib modules are not installed")
    views: dict[str, View] = {"flow": FlowView(4, 8.0, 16)}
    loading = Loading(num_workers=1, decode_size=16, make_flow=True)
    folder = default_folder(manifest.root)
    theirs = flow_path(folder, manifest.root, manifest[0].path)
    decode_once(manifest, "synthav", replace(loading, make_flow=False), views.values())
    assert not folder.exists()
    make_flow(manifest.take([0]), folder, FlowSettings(fps=4, size=24))
    before = theirs.read_bytes()

    assert decode_once(manifest, "synthav", loading, views.values()) is manifest
    assert theirs.read_bytes() == before, "what is there stays, however it was made"
    data = ClipDataset(manifest, views, loading, seed=1)
    for index in range(len(manifest)):
        item = data[0, index]
        assert isinstance(item, dict)
        assert item["flow"].shape == (2, 4, 16, 16)
    monkeypatch.setattr(flow_tvl1, "make_flow", lambda *a, **k: pytest.fail("made again"))
    decode_once(manifest, "synthav", loading, views.values())
    decode_once(manifest, "synthav", loading, VIEWS.values())


def test_a_cache_that_cannot_be_written(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "cache" / "packs").write_text("in the way")
    with pytest.raises(UserError, match=r"or use the files as they are: --data.pack none"):
        decode_once(manifest, "synthav", FRAMES, VIEWS.values())


def test_another_data_set_is_not_decoded_unasked(tmp_path: Path) -> None:
    root = {"root": str(tmp_path)}
    assert resolve_suite("tiny", None, {}, {}).data["pack"] == "frames"
    assert "pack" not in resolve_suite("tiny", "folder", root, {}).data
    assert resolve_suite("tiny", "folder", {**root, "pack": "video"}, {}).data["pack"] == "video"


def test_flow_is_made_for_a_shrunk_recipe_and_of_no_other_data(tmp_path: Path) -> None:
    data = shrunk(load_recipe("brave/flow")).data
    assert data["make_flow"] is True
    other = resolve_data(data, "folder", {"root": str(tmp_path)})
    assert (other["name"], other["decode_size"], other.get("make_flow")) == ("folder", 40, None)


def test_forms_are_named_and_need_no_readers() -> None:
    with pytest.raises(UserError, match=r"unknown data\.pack 'frame'; did you mean frames"):
        Loading(pack="frame")
    assert (Loading(pack="frames").workers, Loading(pack="frames", num_workers=3).workers) == (0, 3)
    assert Loading(pack="video").workers == Loading().workers >= 1
