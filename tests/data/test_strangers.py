"""Media, lists, manifests and packs of strangers: skipped and counted, or refused in a line; the others go on."""

from __future__ import annotations

import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest

from ssl_av.data.check import check_manifest
from ssl_av.data.datasets import create_dataset
from ssl_av.data.datasets.pack import PackDataset
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import KEY, SKIPPED, Manifest, Row, build_manifest
from ssl_av.data.media import AudioRequest, Limits, MediaError, MediaInfo, VideoRequest, create_reader
from ssl_av.data.pack import PACK_FILE
from ssl_av.data.schema import SCHEMA
from ssl_av.data.watch import memory_limit
from ssl_av.errors import UserError


def wav(rate: int, channels: int = 1, data: int = 2000, claim: int | None = None) -> bytes:
    """Silence behind a header that claims anything."""
    block = 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * block, 2**32 - 1), block, 16)
    size = struct.pack("<I", data if claim is None else claim)
    return b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + size + bytes(data)


def png(side: int) -> bytes:
    """A picture that claims to be a square of so many grey pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def video(path: Path, rate: int = 25, step: int = 1, count: int = 10) -> None:
    """A few grey frames, one in ``step`` of a frame's length."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number * step, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


BAD = {
    "empty.mp4": "the file is empty", "text.mp4": "invalid data", "picture.mp4": "a picture, text or a list",
    "list.mp4": "a list of other files", "pipe.mp4": "a pipe", "device.mp4": "a device",
    "circle.mp4": "symbolic links", "folder.mp4": "is a directory", "1hz.wav": "sound at 1 samples a second",
    "10mhz.wav": "at most 768000 are read (limits.rate)", "1000.wav": "no sound could be decoded",
    "100.wav": "at most 64 are read (limits.channels)", "gif.gif": "at most 35651584 are read (limits.pixels)",
    "fps.mp4": "1000000 frames a second, at most 1000 are read",
    "hours.mp4": "at most 86400 are read (limits.seconds)", "hours.wav": "at most 86400 are read (limits.seconds)",
    "../outside.mp4": "outside", "/etc/passwd": "outside", "gone.mp4": "no such file",
}  # fmt: skip
ODD = ("a\nb.mp4", "<script>alert(1)</script>.mp4", "ünï🎵.mp4", "n" * 250 + ".mp4", "[/]\x1b[2J.mp4")


def test_bad_media_are_counted_and_the_others_go_on(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder.mp4").mkdir(parents=True)
    video(root / "good.mp4")
    for name in ODD:
        path = root / name.replace("/", "⁄")
        path.write_bytes((root / "good.mp4").read_bytes())
    (tmp_path / "outside.mp4").write_bytes((root / "good.mp4").read_bytes())
    os.mkfifo(root / "pipe.mp4")
    (root / "device.mp4").symlink_to("/dev/zero")
    (root / "circle.mp4").symlink_to("circle.mp4")
    video(root / "fps.mp4", rate=1_000_000)
    video(root / "hours.mp4", step=25 * 18_000)
    with (root / "hours.wav").open("wb") as file:  # sparse: it takes no room
        file.write(wav(1000, data=0, claim=2**31 - 100))
        file.truncate(2**31 - 100)
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0\xff\xff\xff\0\0\0,"
    for name, data in {
        "empty.mp4": b"", "text.mp4": b"no video\n" * 500, "picture.mp4": png(100_000),
        "list.mp4": b"ffconcat version 1.0\nfile 'good.mp4'\n", "1hz.wav": wav(1), "10mhz.wav": wav(10_000_000),
        "1000.wav": wav(16000, 1000, 200_000), "100.wav": wav(16000, 100, 200_000),
        "gif.gif": gif + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\x02\x02D\x01\0;",
    }.items():  # fmt: skip
        (root / name).write_bytes(data)
    names = [*BAD, "good.mp4", *(name.replace("/", "⁄") for name in ODD)]
    manifest = build_manifest([Row(name, 0, "train") for name in names], ("a",), root, create_reader())
    assert len(manifest) == 1 + len(ODD)
    reasons = {os.path.basename(skip.path): skip.reason for skip in manifest.skipped}
    assert len(reasons) == len(BAD)
    for name, says in BAD.items():
        assert says in reasons[os.path.basename(name)], name
    raised = create_reader("pyav", Limits(fps=2e6, seconds=1e6, rate=10**8))
    for name in ("fps.mp4", "hours.mp4", "10mhz.wav"):
        assert raised.probe(root / name).duration > 0
    assert Loading(limits={"pixels": 5}).limits == Limits(pixels=5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"limits\.pixels must be above 0"):
        Loading(limits={"pixels": 0})  # type: ignore[arg-type]


def test_a_sample_may_not_fill_the_memory() -> None:
    if os.fork() == 0:  # the limit is a process's
        code = 1
        try:
            with memory_limit(0.06, worker=True):
                np.ones(2**28)  # more than what a process that ran other tests has free
        except MemoryError:
            code = 0 if np.ones(2**24).any() else 2  # and none is left behind
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0


class Any_:
    """A reader to which every file is a video."""

    name = "pyav"

    def probe(self, source: Any) -> MediaInfo:
        try:
            str(source).encode()
        except UnicodeError:
            raise MediaError("not Unicode") from None
        return MediaInfo(5.0, True, True, 25.0, 64, 48, 4 / 3, 16000, 5.0, 5.0)

    read: Callable[..., Any]


LISTS: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "ucf101": ({"classInd.txt": "1 A\n2 B\n", "trainlist01.txt": "A/v_A_g01_c01.avi 1\nB/v_B_g01_c01.avi 2\n",
                "testlist01.txt": "A/v_A_g02_c01.avi\n"}, "A/v_A_g01_c01.avi", {}),
    "esc50": ({"esc50.csv": "filename,fold,target,category,esc10,src_file,take\n1-a-A-0.wav,1,0,dog,True,1,A\n"
               "2-b-A-1.wav,2,1,cat,False,1,A\n"}, "1-a-A-0.wav", {}),
    "kinetics400": ({"train.csv": "label,youtube_id,time_start,time_end,split\ndance,abcdefghijk,1,11,train\n",
                     "val.csv": "label,youtube_id,time_start,time_end,split\ndance,bbcdefghijk,1,11,val\n"},
                    "abcdefghijk_000001_000011.mp4", {}),
    "audioset": ({"balanced_train_segments.csv": '# YTID\nabcdefghijk, 0.000, 10.000, "/m/1,/m/2"\n',
                  "eval_segments.csv": 'bbcdefghijk, 0.000, 10.000, "/m/1"\n',
                  "class_labels_indices.csv": 'index,mid,display_name\n0,/m/1,"Speech"\n1,/m/2,Dog\n'},
                 "abcdefghijk.mp4", {"whole": True, "train": "balanced"}),
    "vggsound": ({"vggsound.csv": "abcdefghijk,30,playing,train\nbbcdefghijk,30,dog,test\n"}, "abcdefghijk_30.mp4", {}),
    "hmdb51": ({"clap_test_split1.txt": "a.avi 1\nb.avi 2\n", "run_test_split1.txt": "c.avi 1\nd.avi 2\n"},
               "a.avi", {}),
    "csv": ({"t.csv": "path,label,split,start,end\na.mp4,x|y,train,0,1\nb.mp4,y,test,0.5,2\n"}, "a.mp4",
            {"file": "t.csv", "label_separator": "|"}),
}  # fmt: skip
PIECES = [
    b"\n", b" ", b",", b'"', b"\t", b"|", b"..", b"/", b"../", b"\0", b"\xff", "é".encode(), "١".encode(), b"1", b"-1",
    b"nan", b"1e400", b"9" * 5000, b"train", b"<script>", b"\x1b[2J", "\ufeff\u2028".encode(), b"x" * 140_000,
]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_with_anything_in_them(name: str, tmp_path: Path) -> None:
    files, media, given = LISTS[name]
    (tmp_path / media).parent.mkdir(exist_ok=True)
    (tmp_path / media).touch()
    given = {k: tmp_path / v if k == "file" else v for k, v in given.items()}
    rng, read, longest = random.Random(name), 0, 0
    for _ in range(25):
        for file, text in files.items():
            (tmp_path / file).write_text(text)
        target = tmp_path / rng.choice(list(files))
        data = bytearray(target.read_bytes())
        for _ in range(rng.randint(0, 3)):
            at = rng.randint(0, len(data))
            data[at : at + rng.randint(0, 6)] = rng.choice(PIECES)
        target.write_bytes(data)
        try:
            rows, classes = create_dataset(name, root=tmp_path, **given).rows()
        except UserError as e:
            longest = max(longest, len(str(e)))
            continue
        manifest = build_manifest(rows, classes, tmp_path, Any_())
        assert manifest.hash
        for i in range(len(manifest)):
            assert Path(os.path.normpath(manifest[i].path)).is_relative_to(tmp_path)
        read += 1
    assert 2 < read < 25
    assert 0 < longest < 2000


def saved(folder: Path, **changes: Any) -> Path:
    """A manifest's file with other columns."""
    cells: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    cells |= {
        "path": "a.mp4",
        "label": 0,
        "split": "train",
        "start": 0.0,
        "duration": 1.0,
        "aspect": 1.0,
        "labels": [],
    }
    cells |= dict.fromkeys(("has_video", "has_audio", "silent"), False) | dict.fromkeys(
        ("codec", "audio_codec"), ""
    )
    cells |= dict.fromkeys(("fps", "audio_duration"), 0.0) | dict.fromkeys(
        ("width", "height", "audio_rate"), 0
    )
    rest = {"root": str(folder), "classes": ["a"]} | changes.pop("rest", {})
    table = pa.table({k: [v] for k, v in cells.items()}, schema=SCHEMA)
    for name, value in changes.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array([value]))
    skipped = Manifest(pa.table({k: [] for k in SCHEMA.names}, schema=SCHEMA), folder).skipped
    text = rest if isinstance(rest, str) else json.dumps(rest)
    table = table.replace_schema_metadata({KEY: text, SKIPPED: skipped.to_bytes()})
    with pa.ipc.new_file(str(folder / "m.arrow"), table.schema) as writer:
        writer.write_table(table)
    return folder / "m.arrow"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"path": "../../etc/passwd"}, "leads out of its root"), ({"path": "/etc/passwd"}, "leads out of its root"),
        ({"path": "a/../../b"}, "leads out of its root"), ({"label": "0"}, "of another type: label"),
        ({"path": 3}, "of another type: path"), ({"duration": None}, "of another type"),
        ({"rest": {"classes": 3}}, "classes are no list of names"), ({"rest": {"root": 3}}, "not a manifest"),
    ],
)  # fmt: skip
def test_manifests_that_lead_elsewhere_or_hold_something_else(
    changes: Any, says: str, tmp_path: Path
) -> None:
    assert len(Manifest.load(saved(tmp_path))) == 1
    with pytest.raises(UserError, match=says):
        Manifest.load(saved(tmp_path, **changes))


def test_manifests_that_are_damaged(tmp_path: Path) -> None:
    file = saved(tmp_path)
    whole, rng, refused = file.read_bytes(), random.Random(0), 0
    for _ in range(150):
        data = bytearray(whole[: rng.choice([len(whole), rng.randint(0, len(whole))])])
        for _ in range(rng.randint(0, 8) if data else 0):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data)
        try:
            found = Manifest.load(file)
            _ = found.hash, [found[i] for i in range(len(found))], found.skipped.reasons()
            check_manifest(found, fast=True)
        except UserError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    "change",
    [
        {"size": "128"},
        {"size": 10**400},
        {"per_shard": 0},
        {"form": "exe"},
        {"rate": None},
        {"what": 1},
        {"version": []},
    ],
)
def test_packs_that_say_anything(change: Any, packed: Manifest, tmp_path: Path) -> None:
    values = json.loads((packed.root / PACK_FILE).read_text())
    (tmp_path / PACK_FILE).write_text(json.dumps(values | change))
    with pytest.raises(UserError, match=r"a pack of|not a pack of ssl-av|cannot be read"):
        PackDataset(tmp_path).manifest()


def test_shards_that_are_damaged(packed: Manifest, tmp_path: Path) -> None:
    reader, rng, refused = create_reader(), random.Random(0), 0
    (tmp_path / PACK_FILE).write_bytes((packed.root / PACK_FILE).read_bytes())
    (tmp_path / "shards").mkdir()
    whole = (packed.root / "shards" / "00000.arrow").read_bytes()
    for number in range(25):  # a name each: a reader keeps shards open
        data = bytearray(whole)
        for _ in range(rng.randint(1, 200)):
            data[
                rng.choice([rng.randrange(len(data)), rng.randrange(max(len(data) - 3000, 0), len(data))])
            ] = rng.randrange(256)
        file = tmp_path / "shards" / f"{number:05d}.arrow"
        file.write_bytes(data[: rng.choice([len(data), len(data), len(data) // 2])])
        try:
            reader.read(f"{file}#0", [VideoRequest(np.zeros(2), (24, 24))], [AudioRequest(0.0, 0.5, 8000)])
        except MediaError as e:
            refused += "\n" not in str(e)
    assert refused > 3
