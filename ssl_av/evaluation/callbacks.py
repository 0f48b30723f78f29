"""Measurements while a method trains: online probes and collapse."""

from __future__ import annotations

import sys
from typing import Any, cast

import pytorch_lightning as pl
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

from ssl_av import ranks
from ssl_av.data.datamodule import AVDataModule
from ssl_av.errors import Agreed
from ssl_av.evaluation.features import Features, extract
from ssl_av.evaluation.metrics import effective_rank, feature_std
from ssl_av.evaluation.neighbours import knn_scores
from ssl_av.evaluation.repeated import Repeated
from ssl_av.evaluation.towers import Towers
from ssl_av.methods.base import Method
from ssl_av.training.deadline import deadline_of, total_steps
from ssl_av.training.rng import undisturbed

Curve = list[tuple[float, float]]

FLAT = {"std": 0.01, "effective_rank": 1.1}
"""Embeddings with less than one of these are all alike, or all on one line."""


class OnlineProbe(pl.Callback):
    """kNN and linear probe on the validation split, ``times`` times a run; never on test.

    Memory is fixed: one clip of at most ``limit`` training and ``limit`` validation samples. kNN: k 20,
    temperature 0.07. Linear probe: logistic regression on standardised features.

    Attributes:
        curves: ``probe_video``, ``knn_audio`` …: (samples seen, top-1) pairs.
    """

    def __init__(self, times: int = 4, limit: int = 256) -> None:
        self.times, self.limit = times, limit
        self.curves: dict[str, Curve] = {}
        self.done = 0  # probes of a training that ends by the clock
        self.logged = Repeated()
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A training that goes on was probed after the step that it goes on from, if it was to be."""
        self._step = trainer.global_step
        self.logged.begin()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Probes after each ``1 / times`` of the steps, or of the time where that is the budget."""
        if self.times and trainer.is_global_zero and self.due(trainer):
            with undisturbed():  # how often a run is probed changes nothing in it
                self.probe(trainer, pl_module)
        self.logged.repeat(trainer, pl_module)

    def due(self, trainer: pl.Trainer) -> bool:
        """Whether the step that was just made is one to probe after."""
        deadline, step = deadline_of(trainer), trainer.global_step
        if step == self._step:  # gradients are still being gathered
            return False
        self._step = step
        if deadline is None:
            every = max(total_steps(trainer) // self.times, 1)
            return step % every == 0
        passed = int(deadline.share(step) * self.times + 1e-9)
        before, self.done = self.done, max(passed, self.done)
        return passed > before

    def probe(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures now; logs ``val/probe_video`` …"""
        data: AVDataModule = trainer.datamodule  # type: ignore[attr-defined]
        classes = len(data.manifest.classes)
        if classes >= 2 and len(data.manifest.split("val")):
            towers = Towers(cast(Method, pl_module))
            train, val = (extract(towers, data, s, clips=1, limit=self.limit) for s in ("train", "val"))
            pl_module.train()
            seen = trainer.global_step * data.batch_size * trainer.accumulate_grad_batches
            found = probe_accuracy(train, val, classes)
            for name, value in found.items():
                self.curves.setdefault(name, []).append((seen, value))
            self.logged.log(trainer, pl_module, {f"val/{name}": value for name, value in found.items()})

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint, so that a resumed run has the whole curve."""
        return {"curves": self.curves, "done": self.done, "logged": self.logged.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the curves of an interrupted run."""
        self.curves, self.done = state_dict["curves"], state_dict.get("done", 0)
        self.logged.load_state_dict(state_dict.get("logged", {}))


def probe_accuracy(train: Features, val: Features, classes: int) -> dict[str, float]:
    """Top-1 on ``val`` of both probes for each modality; nothing where labels are missing."""
    if train.label.ndim > 1:  # several labels a sample: there is no top-1
        return {}
    t, v = train.label >= 0, val.label >= 0
    if not v.any() or len(set(train.label[t].tolist())) < 2:
        return {}
    labels, truth = torch.from_numpy(train.label[t]), torch.from_numpy(val.label[v])
    out = {}
    for m in train.pooled:
        x, q = train.pooled[m][t], val.pooled[m][v]
        scores = knn_scores(torch.from_numpy(q), torch.from_numpy(x), labels, classes)
        linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200)).fit(
            x, labels.numpy()
        )
        predicted = torch.from_numpy(linear.predict(q))
        for name, p in ((f"knn_{m}", scores.argmax(dim=1)), (f"probe_{m}", predicted)):
            out[name] = float(multiclass_accuracy(p, truth, num_classes=classes, average="micro"))
    return out


class Collapse(pl.Callback):
    """Feature standard deviation and effective rank of the embeddings of recent batches.

    Keeps the last ``size`` embeddings of each kind; logs every ``every`` steps. Embeddings have collapsed when they
    are `FLAT` in ``patience`` such measurements one after another.

    Args:
        size: embeddings of each kind that are kept.
        every: steps from one measurement to the next.
        patience: measurements.
        stop: end the training, instead of saying so once.

    Attributes:
        found: step, name and measures of each collapse.
    """

    def __init__(self, size: int = 512, every: int = 20, patience: int = 3, stop: bool = False) -> None:
        self.size, self.every, self.patience, self.stop = size, every, patience, stop
        self.recent: dict[str, Tensor] = {}
        self.flat: dict[str, int] = {}
        self.found: list[dict[str, Any]] = []
        self.logged = Repeated()
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The step that a training goes on from was measured, if it was to be."""
        self._step = trainer.global_step
        self.logged.begin()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the step's embeddings; measures now and then."""
        if not outputs or "embeddings" not in outputs:
            return
        self.take(outputs["embeddings"])
        if trainer.global_step == self._step:  # gradients are still being gathered
            return
        self._step = trainer.global_step
        if self._step % self.every:
            self.logged.repeat(trainer, pl_module)
            return
        measured = self.measure()
        named = {f"collapse/{n}_{k}": v for n, values in measured.items() for k, v in values.items()}
        self.logged.log(trainer, pl_module, named)
        for name, values in measured.items():
            self.judge(self._step, name, values)

    def take(self, embeddings: dict[str, Tensor]) -> None:
        """Keeps those of a batch; each of several ranks its share."""
        for name, x in embeddings.items():
            if x.ndim == 2:
                old = self.recent.get(name)
                x = x.float().cpu()
                self.recent[name] = (x if old is None else torch.cat([old, x]))[
                    -(self.size // ranks.count()) :
                ]

    def measure(self) -> dict[str, dict[str, float]]:
        """``{embedding: {"std", "effective_rank"}}`` of what is kept, by all ranks."""
        kept = {name: torch.cat(ranks.gather(x)) for name, x in self.recent.items()}
        return {
            name: {"std": feature_std(x), "effective_rank": effective_rank(x)} for name, x in kept.items()
        }

    def judge(self, step: int, name: str, values: dict[str, float]) -> None:
        """Counts a measurement.

        Raises:
            Agreed: of a collapse, where that is to end the training.
        """
        self.flat[name] = self.flat.get(name, 0) + 1 if any(values[k] < v for k, v in FLAT.items()) else 0
        if self.flat[name] != self.patience:
            return
        self.found.append({"step": step, "embedding": name, **values})
        numbers = ", ".join(f"{k.replace('_', ' ')} {v:.3g}" for k, v in values.items())
        said = (
            f"the embeddings '{name}' have collapsed at step {step} ({numbers}, of 1 and up to their dimension): all "
            "samples look alike. Another --method.optim.lr or a larger --data.batch_size may help"
        )
        if self.stop:
            raise Agreed(f"{said}; --safety.on_collapse warn goes on")
        if ranks.own() == 0:
            print(f"ssl-av: warning: {said}; --safety.on_collapse stop ends such a training", file=sys.stderr)

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint, so that a resumed run measures what it would have."""
        recent = ranks.gather_objects(self.recent)
        held = {"flat": self.flat, "found": self.found, "logged": self.logged.state_dict()}
        return {"recent": recent if len(recent) > 1 else self.recent, **held}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the embeddings and counts of an interrupted run."""
        recent, self.flat, self.found = (state_dict[k] for k in ("recent", "flat", "found"))
        self.logged.load_state_dict(state_dict.get("logged", {}))
        kept = recent if isinstance(recent, list) else [recent]  # of each rank of then
        if len(kept) == ranks.count():
            self.recent = kept[ranks.own()]
        else:
            together = {name: torch.cat([part[name] for part in kept]) for name in kept[0]}
            self.recent = {name: x[ranks.own() :: ranks.count()] for name, x in together.items()}
