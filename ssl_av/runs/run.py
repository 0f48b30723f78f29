"""One run: train a method on prepared data, measure it, write its folder."""

from __future__ import annotations

import inspect
import time
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ssl_av.config import RunConfig
from ssl_av.data.datamodule import AVDataModule, ClipDataset
from ssl_av.data.flow import describe_flow
from ssl_av.data.loader import reading_explained
from ssl_av.data.manifest import Manifest
from ssl_av.data.prepare import restrict
from ssl_av.data.views import AudioView, View, modalities
from ssl_av.errors import Dismissed
from ssl_av.evaluation.certainty import save_predictions
from ssl_av.evaluation.elsewhere import measure_elsewhere, prepare_elsewhere
from ssl_av.evaluation.engine import Measured, Report, Watch, measure
from ssl_av.evaluation.glance import Glance
from ssl_av.evaluation.leaks import unseen
from ssl_av.evaluation.protocols import load_protocol
from ssl_av.evaluation.towers import Towers
from ssl_av.interop.start import describe as describe_init
from ssl_av.interop.start import initialise
from ssl_av.lock import locked
from ssl_av.methods import create_method, method_class
from ssl_av.methods.base import Method
from ssl_av.runs import pictures
from ssl_av.runs.environment import environment
from ssl_av.runs.record import Record, describe, write_json, write_record
from ssl_av.tracking.runs import finish_run
from ssl_av.training.accounting import peak_memory_mb
from ssl_av.training.allocator import keep_freed_memory
from ssl_av.training.faults import faults_explained
from ssl_av.training.group import Group, is_first
from ssl_av.training.resume import check_own, identity, last_checkpoint
from ssl_av.training.saving import write_checkpoint
from ssl_av.training.signals import heeded
from ssl_av.training.spending import Plan, spent
from ssl_av.training.trainer import Training, train

WAIT = 15.0
"""Seconds to wait for reading processes that a killed training has left: they see soon that it is gone."""


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


@reading_explained()
def execute(
    config: RunConfig,
    manifest: Manifest,
    out: Path,
    report: Report | None = None,
    callbacks: list[pl.Callback] | None = None,
    resume: Path | None = None,
    share: int = 1,
    hold: bool = True,
) -> Record:
    """Runs and measures one method, and writes its folder (DESIGN: config.yaml, checkpoints, metrics.csv, record.json).

    Args:
        config: the run.
        manifest: readable samples; restricted here to the modalities that the method asks for.
        out: the run's folder.
        report: called as the run goes on.
        callbacks: further Lightning callbacks (a progress bar).
        resume: the checkpoint to continue from (`ssl_av.training.resume.resumable`).
        share: runs that share this machine's cores.
        hold: keep other commands out of the folder; a suite has done so already.

    Returns:
        The record that was written.

    Raises:
        Dismissed: in all but the first of several processes, once the training is over.
        HeldError: if another command works in the folder.
    """
    with heeded(out), faults_explained(config, out), ExitStack() as held:
        return _execute(config, manifest, out, report, callbacks, resume, share, held if hold else None)


def _execute(
    config: RunConfig,
    manifest: Manifest,
    out: Path,
    report: Report | None,
    callbacks: list[pl.Callback] | None,
    resume: Path | None,
    share: int,
    held: ExitStack | None,
) -> Record:
    started, begin = datetime.now(timezone.utc), time.perf_counter()
    group, first = Group.of(config.trainer), is_first()
    usable = restrict(manifest, modalities(build_method(config, manifest).views), config.data["name"])
    files, guard = unseen(usable, config)
    usable = guard.without(usable)
    data = AVDataModule(usable, group.reading(config.loading), config.seed)
    data.share(group.count)
    trains = method_class(config.method["name"]).trains
    plan = Plan.of(config, partial(build_method, config, usable), len(data.train), True) if trains else None
    pl.seed_everything(config.seed, workers=True, verbose=False)
    method = build_method(config, usable)  # a memory bank has one row for each sample that is used
    init: Record | None = dict(config.init) or None
    if init and not resume:
        init = initialise(method, init["file"], init["parts"])
        if report and first:
            report("\n".join(describe_init(init)), 0, 0, {})
    data.train_views = method.views
    torch.set_num_threads(config.loading.compute_threads(share * group.here))
    keep_freed_memory()
    ClipDataset(
        data.train, method.views, config.loading
    )  # refuses views that a pack or the flow cannot serve
    elsewhere = prepare_elsewhere(config, asked_views(method), files) if first else []
    if resume and first:
        check_own(resume, identity(config, usable.hash))
    out.mkdir(parents=True, exist_ok=True)  # only now: a run that is refused leaves nothing behind
    if first:
        if held is not None:
            with suppress(NotImplementedError):  # a file system without locks
                held.enter_context(locked(out, WAIT))
        config.save(out / "config.yaml")
    if plan is not None:
        trained = train(config, method, data, plan, out, report, callbacks, resume, share)
    elif not first:
        raise Dismissed
    else:
        last_checkpoint(out).parent.mkdir(exist_ok=True)
        save_untrained(method, last_checkpoint(out))
        trained = Training.of(config, out)

    training_end = time.perf_counter()
    device = method.device if not torch.cuda.is_available() else torch.device("cuda")
    towers, glance = Towers(method.to(device), trained_on=usable.hash), Glance()
    measured = evaluate(towers, data, config, report, out / "features", glance)
    lost = measure_elsewhere(elsewhere, method, measured, report, out / "features")
    others = {
        e.name: describe(e.folds[0].manifest, e.config, lost[e.name]) | e.leaks.record() for e in elsewhere
    }
    accounting, clock = trained.accounting, trained.clock
    skipped = accounting.skipped | measured.skipped
    seconds = clock.total
    record: Record = {
        "method": method.name,
        "paper": method.paper,
        "seed": config.seed,
        "config": config.to_dict(),
        "suite": config.suite,
        **{key: value for key in ("recipe", "row", "tuning") if (value := getattr(config, key))},
        "status": "completed",
        "error": None,
        "budget": {
            "asked": config.budget.asked(),
            "spent": spent(accounting, trained.steps, plan, trained.gpus),
        },
        "stages": accounting.staged(),
        "cost": {
            "train_seconds": seconds,
            "eval_seconds": time.perf_counter() - training_end,
            "total_seconds": time.perf_counter() - begin,
            "clips_per_second": accounting.clips / seconds if seconds else None,
            "samples_per_second": accounting.samples / seconds if seconds else None,
            "data_wait_share": clock.wait / seconds if seconds else None,
            "flops_per_step": plan and plan.flops,
            "joules_of": list(clock.counted),
            "peak_memory_mb": peak_memory_mb(),
            "runs_at_once": share,
            "processes": trained.processes,
            "threads": torch.get_num_threads(),
        },
        "parameters": {m: sum(p.numel() for p in b.parameters()) for m, b in method.backbones.items()}
        | {"total": sum(p.numel() for p in method.parameters())},
        "data": describe(usable, config, skipped)
        | describe_flow(method.views, config.loading.flow, usable.root)
        | {"batch_size": data.batch_size}
        | guard.record(),
        **({"elsewhere": others} if others else {}),
        "results": measured.results,
        "protocols": measured.protocols,
        "collapse": trained.embeddings,
        "health": trained.health,
        "diagnostics": glance.diagnostics(method),
        "curves": {"loss": accounting.losses, **trained.probe.curves},
        **({"during": trained.during.found} if trained.during.found else {}),
        "settings": method.settings,
        "learning_rates": method.rates,
        "init": init,
        "evaluation": {"clips": config.evaluation.clips},
        **environment(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    save_predictions(measured.outcomes, out)
    if pictures.wanted(config):
        record["figures"] = pictures.draw_pictures(config, method, data, glance, out / "figures")
    write_record(record, out)
    finish_run(config, record, out)
    return record


def evaluate(
    towers: Towers,
    data: AVDataModule,
    config: RunConfig,
    report: Report | None,
    cache: Path | None,
    watch: Watch | None = None,
) -> Measured:
    """What the run's protocols find on the run's own data; features stay in ``cache``."""
    e = config.evaluation
    protocols = [load_protocol(name) for name in e.protocols]
    return measure(
        towers, [data], protocols, config.seed, cache, e.clips, e.precision, report, watch, e.keep_features
    )


def save_untrained(method: Method, path: Path) -> None:
    """A checkpoint of a method that no trainer has seen, in the layout of Lightning's."""
    checkpoint: dict[str, Any] = {
        "state_dict": method.state_dict(),
        "pytorch-lightning_version": pl.__version__,
    }
    method.on_save_checkpoint(checkpoint)
    write_checkpoint(checkpoint, path)


__all__ = [
    "asked_views",
    "build_method",
    "describe",
    "evaluate",
    "execute",
    "new_method",
    "save_untrained",
    "write_json",
    "write_record",
]
