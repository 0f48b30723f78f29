"""One run: train a method on prepared data, measure it, write its folder."""

from __future__ import annotations

import inspect
import json
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from ssl_av.allocator import keep_freed_memory
from ssl_av.config import RunConfig
from ssl_av.data.datamodule import AVDataModule, ClipDataset
from ssl_av.data.flow import describe_flow
from ssl_av.data.loader import reading_explained
from ssl_av.data.manifest import Manifest
from ssl_av.data.pack import describe_pack
from ssl_av.data.prepare import restrict, summary
from ssl_av.data.probing import MISSING
from ssl_av.data.views import AudioView, View, modalities
from ssl_av.environment import environment
from ssl_av.evaluation.callbacks import Accounting, Clock, Collapse, OnlineProbe, peak_memory_mb
from ssl_av.evaluation.engine import Measured, Report, measure
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.towers import Towers
from ssl_av.interop.start import describe as describe_init
from ssl_av.interop.start import initialise
from ssl_av.methods import create_method, method_class
from ssl_av.methods.base import Method
from ssl_av.resume import last_checkpoint

Record = dict[str, Any]


def build_method(config: RunConfig, manifest: Manifest) -> Method:
    """The method of a run; what depends on the data (memory size, number of classes) is filled in."""
    return new_method(config, len(manifest.split("train")), len(manifest.classes))


def new_method(config: RunConfig, samples: int, classes: int) -> Method:
    """The method of a run on so many training samples of so many classes."""
    settings = {k: v for k, v in config.method.items() if k != "name"}
    name = config.method["name"]
    wanted = inspect.signature(method_class(name)).parameters
    if "num_samples" in wanted:
        settings["num_samples"] = samples
    if "num_classes" in wanted:
        settings["num_classes"] = classes
    return create_method(name, **settings)


def asked_views(method: Method) -> list[View]:
    """All that a run reads: the method's own views, and the sound that its evaluation hears."""
    heard = AudioView(method.inputs.audio_seconds, int(method.front_end.sample_rate))
    return [*method.views.values(), heard]


NAMED = 1000
"""Files that a record names at most; of a decayed data set of millions it gives the number."""


@reading_explained()
def execute(
    config: RunConfig,
    manifest: Manifest,
    out: Path,
    report: Report | None = None,
    callbacks: list[pl.Callback] | None = None,
    resume: Path | None = None,
    share: int = 1,
) -> Record:
    """Runs and measures one method, and writes its folder (DESIGN: config.yaml, checkpoints, metrics.csv, record.json).

    Args:
        config: the run.
        manifest: readable samples; restricted here to the modalities that the method asks for.
        out: the run's folder.
        report: called as the run goes on.
        callbacks: further Lightning callbacks (a progress bar).
        resume: the checkpoint to continue from (`ssl_av.resume.resumable`).
        share: runs that share this machine's cores.

    Returns:
        The record that was written.
    """
    started, begin = datetime.now(timezone.utc), time.perf_counter()
    usable = restrict(manifest, modalities(build_method(config, manifest).views), config.data["name"])
    data = AVDataModule(usable, config.loading, config.seed)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    method = build_method(config, usable)  # a memory bank has one row for each sample that is used
    init: Record | None = dict(config.init) or None
    if init and not resume:
        init = initialise(method, init["file"], init["parts"])
        if report:
            report("\n".join(describe_init(init)), 0, 0, {})
    data.train_views = method.views
    torch.set_num_threads(max(config.loading.compute_threads // share, 1))
    keep_freed_memory()
    clock, probe, collapse = Clock(), OnlineProbe(config.evaluation.probes), Collapse()
    accounting = Accounting(clock)
    steps = config.budget.to_steps(len(data.train), data.batch_size) if method.trains else 0
    ClipDataset(
        data.train, method.views, config.loading
    )  # refuses views that a pack or the flow cannot serve
    out.mkdir(parents=True, exist_ok=True)  # only now: a run that is refused leaves nothing behind
    config.save(out / "config.yaml")
    if method.trains:
        # Not save_last: with nothing else to save, Lightning does not save that one either.
        checkpoint = ModelCheckpoint(
            out / "checkpoints", filename="last", save_top_k=1, every_n_epochs=1, enable_version_counter=False
        )
        extra = [*(callbacks or []), *([_Reporting(report)] if report else [])]
        settings: dict[str, Any] = {
            "max_steps": steps,
            "logger": loggers(config, out),
            "log_every_n_steps": max(min(10, steps // 4), 1),
            "enable_progress_bar": bool(callbacks),
            "enable_model_summary": False,
            **config.trainer,
        }
        trainer = pl.Trainer(
            callbacks=[accounting, collapse, probe, checkpoint, *extra], profiler=clock, **settings
        )
        trainer.fit(method, datamodule=data, ckpt_path=resume, weights_only=True if resume else None)
        trainer.save_checkpoint(last_checkpoint(out))
        steps = trainer.global_step
        if not all(torch.isfinite(torch.tensor(v)) for _, v in accounting.losses[-1:]):
            raise RuntimeError(f"the loss is {accounting.losses[-1][1]} at step {steps}")
    else:
        last_checkpoint(out).parent.mkdir(exist_ok=True)
        save_untrained(method, last_checkpoint(out))

    training_end = time.perf_counter()
    device = method.device if not torch.cuda.is_available() else torch.device("cuda")
    towers = Towers(method.to(device))
    measured = evaluate(towers, data, config, report, out / "features")
    skipped = accounting.skipped | measured.skipped
    seconds = clock.total
    n_steps = method.stages(steps) if method.trains else None
    record: Record = {
        "method": method.name,
        "paper": method.paper,
        "seed": config.seed,
        "suite": config.suite,
        **{key: value for key in ("recipe", "row") if (value := getattr(config, key))},
        "status": "completed",
        "error": None,
        "budget": {
            "asked": config.budget.asked(),
            "spent": {
                "samples": accounting.samples,
                "steps": steps,
                "clips": accounting.clips,
                "seconds": round(seconds, 2),
            },
        },
        "stages": n_steps and [{"name": n, "steps": s, "samples": s * data.batch_size} for n, s in n_steps],
        "cost": {
            "train_seconds": seconds,
            "eval_seconds": time.perf_counter() - training_end,
            "total_seconds": time.perf_counter() - begin,
            "clips_per_second": accounting.clips / seconds if seconds else None,
            "samples_per_second": accounting.samples / seconds if seconds else None,
            "data_wait_share": clock.wait / seconds if seconds else None,
            "peak_memory_mb": peak_memory_mb(),
            "runs_at_once": share,
        },
        "parameters": {m: sum(p.numel() for p in b.parameters()) for m, b in method.backbones.items()}
        | {"total": sum(p.numel() for p in method.parameters())},
        "data": describe(usable, config, skipped)
        | describe_flow(method.views, config.loading.flow, usable.root)
        | {"batch_size": data.batch_size},
        "results": measured.results,
        "protocols": measured.protocols,
        "collapse": collapse.measure(),
        "curves": {"loss": accounting.losses, **probe.curves},
        "settings": method.settings,
        "learning_rates": method.rates,
        "init": init,
        "evaluation": {"clips": config.evaluation.clips},
        **environment(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    write_record(record, out)
    return record


def evaluate(
    towers: Towers, data: AVDataModule, config: RunConfig, report: Report | None, cache: Path | None
) -> Measured:
    """What the run's protocols find on the run's own data; features stay in ``cache``."""
    e = config.evaluation
    protocols = [load_protocol(name) for name in e.protocols]
    return measure(towers, [data], protocols, config.seed, cache, e.clips, e.precision, report)


def describe(manifest: Manifest, config: RunConfig, skipped: dict[str, str]) -> dict[str, Any]:
    """The data's part of a record; ``skipped`` (path → reason) is what only failed when it was read."""
    counts = {s: len(manifest.split(s)) for s in ("train", "val", "test")}
    classes = len(manifest.classes)
    here = summary(manifest)
    # Only so many are named: those that are there and cannot be used come before those that are gone.
    lost = [{"path": p, "reason": r} for p, r in sorted(skipped.items())]
    for is_missing in (False, True):
        lost += [asdict(s) for s in manifest.skipped.where(MISSING, is_missing)[:NAMED]]
    return {
        "name": config.data["name"],
        "hash": manifest.hash,
        **counts,
        "classes": classes,
        "chance": 1 / classes if classes else None,
        "reader": config.loading.reader,
        **describe_pack(manifest.root),
        "listed": here["listed"],
        "missing": here["missing"],
        "skipped_total": len(skipped) + len(manifest.skipped),
        "skipped": lost[:NAMED],
    }


def loggers(config: RunConfig, out: Path) -> list[Logger]:
    """metrics.csv always; W&B when asked, offline without an account."""
    before = out / "metrics.csv"
    if before.is_file():  # a resumed run: the logger would begin the file anew
        before.rename(out / f"metrics.{len(list(out.glob('metrics*.csv')))}.csv")
    found: list[Logger] = [CSVLogger(out, name=None, version="")]
    if config.wandb != "off":
        found.append(
            WandbLogger(
                project="ssl-av",
                name=f"{config.name}-seed{config.seed}",
                group=config.suite or None,
                save_dir=str(out),
                offline=config.wandb == "offline",
                config=config.to_dict(),
            )
        )
    return found


def save_untrained(method: Method, path: Path) -> None:
    """A checkpoint of a method that no trainer has seen, in the layout of Lightning's."""
    checkpoint: dict[str, Any] = {
        "state_dict": method.state_dict(),
        "pytorch-lightning_version": pl.__version__,
    }
    method.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


def write_record(record: Record, out: Path) -> None:
    """The run's record.json."""
    write_json(record, out / "record.json")


def write_json(values: Record, path: Path) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(values, indent=1), encoding="utf-8")
    part.replace(path)


class _Reporting(pl.Callback):
    """Passes the training's progress on."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After each step."""
        numbers = {
            k: float(v)
            for k, v in trainer.callback_metrics.items()
            if k in ("loss", "data_wait") or "probe" in k
        }
        self.report("training", trainer.global_step, int(trainer.estimated_stepping_batches), numbers)
