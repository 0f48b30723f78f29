"""`ssl_av.evaluate` against PyAV, numpy and scikit-learn alone: the same predictions on real sounds, fold by fold?

    python benchmarks/agreement.py --root ESC-50              # 2,000 sounds, five folds; some minutes
    python benchmarks/agreement.py --root ESC-50 --esc10      # 400 sounds

A fixed feature function (mean, deviation and maximum over time of the log energy in 32 bands of the whole 5 s at
44.1 kHz) is measured by `ridge`, `linear-svm`, `knn` and `audio-retrieval`. The other half uses nothing of ssl_av: of
this project it takes the numbers in configs/protocols and the rule of docs/protocols.md for drawing validation samples.
Printed is, for each protocol and fold, how many predictions are equal; of retrieval how many queries have a neighbour
of their class among the first 1, 5 and 20, which must be as many. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import yaml
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn

import ssl_av

RATE, WINDOW, SECONDS = 44100, 2048, 5
CLASSIFY = ("ridge", "linear-svm", "knn")
PROTOCOLS = (*CLASSIFY, "audio-retrieval")
CONFIGS = Path(__file__).parents[1] / "configs" / "protocols"


class Bands(nn.Module):
    """The feature function, for ssl_av: [B, samples] → [B, 96]."""

    def forward(self, x: Tensor) -> Tensor:
        """Frames beside each other, their power in 32 bands, statistics over the frames."""
        power = torch.fft.rfft(x.unfold(1, WINDOW, WINDOW)).abs()[..., 1:].pow(2)
        bands = (power.unflatten(-1, (32, 32)).mean(dim=-1) + 1e-6).log()
        return torch.cat([bands.mean(dim=1), bands.std(dim=1), bands.amax(dim=1)], dim=1)


def features(file: Path) -> np.ndarray:
    """The feature function once more, in double precision, of what PyAV decodes."""
    with av.open(str(file)) as container:
        x = np.concatenate(
            [f.to_ndarray().astype(np.float64).mean(axis=0) for f in container.decode(audio=0)]
        )
    x = np.pad(x, (0, max(RATE * SECONDS - len(x), 0)))[: RATE * SECONDS]
    frames = x[: len(x) // WINDOW * WINDOW].reshape(-1, WINDOW)
    power = np.abs(np.fft.rfft(frames))[:, 1:] ** 2
    bands = np.log(power.reshape(len(frames), 32, 32).mean(axis=2) + 1e-6)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0, ddof=1), bands.max(axis=0)])


def divided(paths: list[str], label: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Training, validation and test samples: an eighth of the training split by a hash, evenly over the classes."""
    part = np.where(test, "test", "train ")
    found = sorted(
        (label[i], hashlib.sha256(f"ssl-av split {paths[i]}".encode()).digest(), i)
        for i in np.flatnonzero(~test)
    )
    seen = taken = 0
    for _, group in groupby(found, key=lambda one: one[0]):
        members = list(group)
        seen += len(members)
        due = max(min(round(seen / 8) - taken, len(members) - 1), 0)
        part[[i for *_, i in members[:due]]] = "val"
        taken += due
    return {name: np.char.strip(part) == name for name in ("train", "val", "test")}


def predicted(x: np.ndarray, y: np.ndarray, part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What each protocol's file asks for: classes, or for retrieval how many queries each rank finds."""
    train, val, test = part["train"], part["val"], part["test"]
    settings = {p: yaml.safe_load((CONFIGS / f"{p}.yaml").read_text())["settings"] for p in PROTOCOLS}
    both = train | val
    scale = StandardScaler().fit(x[both]).transform
    ridge = RidgeClassifierCV(alphas=[float(a) for a in settings["ridge"]["alphas"]])
    found = {"ridge": ridge.fit(scale(x[both]), y[both]).predict(scale(x[test]))}

    scale = StandardScaler().fit(x[train]).transform
    costs = map(float, settings["linear-svm"]["costs"])
    svms = [LinearSVC(C=c, tol=1e-6, max_iter=50_000).fit(scale(x[train]), y[train]) for c in costs]
    best = int(np.argmax([svm.score(scale(x[val]), y[val]) for svm in svms]))
    found["linear-svm"] = svms[best].predict(scale(x[test]))

    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    near = unit[test] @ unit[train].T
    everything = np.argsort(-near, axis=1, kind="stable")
    order = everything[:, : settings["knn"]["k"]]
    weights = np.exp(np.take_along_axis(near, order, axis=1) / settings["knn"]["temperature"])
    votes = np.zeros((len(near), y.max() + 1))
    for row, (classes, weight) in enumerate(zip(y[train][order], weights, strict=True)):
        np.add.at(votes[row], classes, weight)
    found["knn"] = votes.argmax(axis=1)
    same = y[train][everything] == y[test][:, None]
    ranks = settings["audio-retrieval"]["ranks"]
    found["audio-retrieval"] = np.array([same[:, :rank].any(axis=1).sum() for rank in ranks])
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="of ESC-50, as it is published")
    parser.add_argument("--esc10", action="store_true", help="its subset of ten classes")
    args = parser.parse_args()
    with (args.root / "meta" / "esc50.csv").open(encoding="utf-8") as file:
        rows: list[dict[str, Any]] = [
            r for r in csv.DictReader(file) if not args.esc10 or r["esc10"] == "True"
        ]
    names = {path.stem: path.name for path in (args.root / "audio").iterdir()}
    paths = [f"audio/{names[Path(row['filename']).stem]}" for row in rows]
    label = np.unique([int(row["target"]) for row in rows], return_inverse=True)[1]
    fold = np.array([int(row["fold"]) for row in rows])
    x = np.stack([features(args.root / path) for path in paths])

    data = {"name": "esc50", "root": str(args.root), "esc10": args.esc10, "folds": "all"}
    with tempfile.TemporaryDirectory() as folder:
        record = ssl_av.evaluate(
            Bands(), PROTOCOLS, data, modality="audio", waveform_rate=RATE,
            inputs={"audio_seconds": SECONDS}, clips=1, out=folder,
        )  # fmt: skip
        ours = {p: dict(np.load(Path(folder) / "predictions" / f"{p}.npz")) for p in CLASSIFY}
    differ = 0
    print(
        "fold  "
        + "".join(f"{p:>16}" for p in CLASSIFY)
        + "   audio-retrieval, 1 / 5 / 20: here, in the record"
    )
    for k in range(fold.max()):
        part = divided(paths, label, fold == k + 1)
        theirs, size = predicted(x, label, part), int(part["test"].sum())
        equal = [int((ours[p][f"audio.{k}.predicted"] == theirs[p]).sum()) for p in CLASSIFY]
        told = record["results"]["audio-retrieval"]["audio"]["folds"][k]
        hits = [round(told[r] * size) for r in ("r1", "r5", "r20")]
        differ += sum(size - n for n in equal) + int(np.abs(theirs["audio-retrieval"] - hits).sum())
        cells = "".join(f"{f'{n} of {size}':>16}" for n in equal)
        print(f"{k + 1:>4}  {cells}   {theirs['audio-retrieval'].tolist()}, {hits}")
    for p in CLASSIFY:
        print(f"{p}: {100 * record['results'][p]['audio']['top1']:.2f} %")
    print(f"verdict: {f'{differ} differ' if differ else 'equal'}")
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
