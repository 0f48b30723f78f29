"""Files of strangers, changed at random: each is read, or refused in one line; nothing else is raised, nothing hangs.

    python benchmarks/fuzz.py --minutes 10
    python benchmarks/fuzz.py --minutes 1 --only checkpoints,records --seed 7

Good files are cut, spliced, doubled and flipped, byte by byte and word by word, and read by what reads them. Printed
is how many were tried, read and refused of each kind; an input that raised anything but `UserError`, or took more
than ten seconds, is kept in a folder and told with its error. Exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 10
WORDS = (b"", b"\0", b"\xff", b"\n", b'"', b",", b"[", b"}", b"-1", b"1e999", b"nan", b"9" * 400, b"../", b"/", b"null",
         b"!!python/object:os.system", b"*a", b"&a", b"<<: ", b"\xe2\x80\xae", b"K\x01", b"2\x86")  # fmt: skip

Target = tuple[bytes, Callable[[Path], Any]]


def changed(data: bytes, draw: random.Random) -> bytes:
    """A file with one to eight changes."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        a, b = sorted(draw.randrange(len(out) + 1) for _ in range(2))
        b = min(b, a + draw.choice((1, 4, 40, 4000)))
        kind = draw.randrange(5)
        if kind == 0 and a < len(out):
            out[a] ^= 1 << draw.randrange(8)
        elif kind == 1:
            out[a:b] = draw.choice(WORDS)
        elif kind == 2:
            out[a:a] = out[a:b]
        elif kind == 3:
            out[a:b] = bytes(draw.randrange(256) for _ in range(min(b - a, 8)))
        else:
            del out[a:b]
    return bytes(out)


def targets(home: Path) -> dict[str, Target]:
    """A good file of each kind, and what reads it."""
    import numpy as np
    import torch

    from ssl_av.bench.records import read_records
    from ssl_av.bench.report import read_suite
    from ssl_av.bench.suite import load_suite
    from ssl_av.checkpoint import load_method, read
    from ssl_av.data.manifest import Manifest, Row, build_manifest
    from ssl_av.data.media import create_reader
    from ssl_av.data.synthav import render_sample, write_mp4
    from ssl_av.interop.export import backbones_of, write_export
    from ssl_av.methods import create_method
    from ssl_av.options import list_configs
    from ssl_av.recipes import load_recipe
    from ssl_av.runs.run import save_untrained
    from ssl_av.text import read_json

    networks = {
        "video": "r2plus1d_10",
        "video_args": {"width": 2},
        "audio": "conv9_audio",
        "audio_args": {"width": 2},
    }
    method = create_method("avid", networks=networks, negatives=4, dim=4, hidden=4, num_samples=8)
    ckpt, export = home / "good.ckpt", home / "good.safetensors"
    save_untrained(method, ckpt)
    write_export(backbones_of(read(ckpt), ["video", "audio"], "x"), export)
    legacy = io.BytesIO()
    official = {"conv1.0.weight": torch.ones(2, 3, 3, 7, 7), "conv1.1.weight": torch.ones(2)}
    torch.save({"model": official}, legacy, _use_new_zipfile_serialization=False)
    frames, wave, _ = render_sample(0, "train", 0)
    write_mp4(home / "a.mp4", frames[:8], 8, wave[:8000], 8000)
    manifest = build_manifest([Row("a.mp4", 0, "train")], ("a",), home, create_reader())
    manifest.save(home / "good.arrow")
    haiku = io.BytesIO()
    np.save(
        haiku, np.array({"params": {"a": {"w": np.ones(3)}}, "state": {}}, dtype=object), allow_pickle=True
    )
    record = {
        "method": "avid",
        "seed": 0,
        "status": "completed",
        "results": {"linear-svm": {"video": {"top1": 0.5}}},
    }
    suite = list_configs("suites")["tiny"].read_bytes()
    recipe = list_configs("recipes")["avid/kinetics400"].read_bytes()

    def in_folder(name: str, then: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def go(file: Path) -> Any:
            file.replace(home / name)
            return then(home)

        return go

    return {
        "checkpoints": (ckpt.read_bytes(), load_method),
        "checkpoints from before torch 1.6": (legacy.getvalue(), read),
        "exports": (
            export.read_bytes(),
            lambda file: load_method(file.rename(file.with_suffix(".safetensors"))),
        ),
        "haiku's arrays": (haiku.getvalue(), read),
        "manifests": (
            (home / "good.arrow").read_bytes(),
            lambda file: list(map(str, Manifest.load(file).skipped)),
        ),
        "suites": (suite, lambda file: load_suite(str(file.rename(file.with_suffix(".yaml"))))),
        "recipes": (recipe, lambda file: load_recipe(str(file.rename(file.with_suffix(".yaml"))))),
        "records": ((json.dumps(record) + "\n").encode() * 3, in_folder("records.jsonl", read_records)),
        "what a suite is": (
            json.dumps({"name": "a", "methods": ["avid"]}).encode(),
            in_folder("suite.json", read_suite),
        ),
        "JSON": (json.dumps(record).encode(), read_json),
        "videos": ((home / "a.mp4").read_bytes(), lambda file: _probe(create_reader(), file)),
    }


def _probe(reader: Any, file: Path) -> None:
    from ssl_av.data.media import MediaError, VideoRequest

    with contextlib.suppress(MediaError):  # such a sample is skipped
        reader.probe(file)
        reader.read(file, [VideoRequest([0.1, 0.5], (16, 16))], [])


def _late(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> None:
    """Prints what was tried and found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, default=Path("fuzz-found"))
    args = parser.parse_args()
    import logging

    from ssl_av.errors import UserError

    logging.disable()
    draw = random.Random(args.seed)
    tried, refused, found = Counter[str](), Counter[str](), Counter[str]()
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        known = {
            name: t for name, t in targets(home).items() if not args.only or name in args.only.split(",")
        }
        end = time.monotonic() + 60 * args.minutes
        while time.monotonic() < end:
            name = draw.choice(list(known))
            good, reader = known[name]
            data = changed(good, draw)
            file = home / "input"
            file.write_bytes(data)
            tried[name] += 1
            signal.alarm(SECONDS)
            try:
                reader(file)
            except UserError:
                refused[name] += 1
            except Exception as e:
                found[name] += 1
                args.kept.mkdir(exist_ok=True)
                (args.kept / f"{name.replace(' ', '-')}-{found[name]}").write_bytes(data)
                print(f"{name}: {type(e).__name__}: {str(e)[:200]}", flush=True)
            finally:
                signal.alarm(0)
    for name in known:
        print(f"{name:36} {tried[name]:7,} tried {refused[name]:7,} refused {found[name]:4} found")
    print(f"{sum(tried.values()):,} tried in {args.minutes:g} minutes, seed {args.seed}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
