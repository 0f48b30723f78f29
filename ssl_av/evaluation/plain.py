"""Any network measured by the protocols: nothing of ours need have trained it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ssl_av.data.loading import Loading
from ssl_av.errors import UserError
from ssl_av.evaluation.certainty import save_predictions
from ssl_av.evaluation.engine import Report, measure
from ssl_av.evaluation.modules import Modules, Pooled
from ssl_av.evaluation.protocols import Protocol, load_protocol, protocol_from
from ssl_av.evaluation.task import prepare
from ssl_av.methods.settings import Inputs

__all__ = ["Modules", "Pooled", "evaluate"]

Record = dict[str, Any]
Asked = str | Path | Protocol | Mapping[str, Any]


def evaluate(
    backbone: nn.Module | Callable[[Tensor], Any] | Mapping[str, Any] | str | Path,
    protocol: Asked | Sequence[Asked],
    data: Any,
    *,
    modality: str | None = None,
    inputs: Inputs | Mapping[str, Any] | None = None,
    waveform_rate: int | None = None,
    loading: Loading | Mapping[str, Any] | None = None,
    seed: int = 0,
    clips: int = 3,
    cache: str | Path | None = None,
    precision: str = "float32",
    report: Report | None = None,
    leaks: str = "refuse",
    out: str | Path | None = None,
) -> Record:
    """Measures any network by any protocols.

    >>> evaluate(net, "knn", {"name": "folder", "root": "videos"}, modality="video")  # doctest: +SKIP

    Args:
        backbone: a module, or a function, from clips [B, 3, T, S, S] or spectrograms [B, 1, time, frequency] to
            features [B, D]; or such by modality; or a run's folder, or a file of weights that `ssl_av.load_method`
            reads. It is measured where its weights lie, in eval mode, and left in the mode it was in.
        protocol: a name of `ssl-av list protocols`, a file, a mapping with what such a file holds, or several.
        data: a manifest; or ``{"name": …}`` with the data set's arguments, or the same in a word, ``esc50:DIR``, as
            `--eval` of the command line takes it: this gives all official folds to the protocols that average over
            them, or to every protocol with ``folds: all``; or an object of `ssl_av.data.datasets.create_dataset`.
        modality: ``video`` or ``audio``; needed for one module that does not say it (``modality``, as ours do). Of a
            run, the one that is measured.
        inputs: what the network sees where the protocol leaves it open; by default that of its training, if it is of
            `ssl_av.load_backbone`.
        waveform_rate: samples a second, for a network that takes waveforms [B, samples].
        loading: how samples are loaded.
        seed: of the classifiers, and of random clips.
        clips: clips a sample where the protocol leaves it open.
        cache: a folder where features stay for the next call. By default they are forgotten. A module is known again by
            its weights, buffers, printed form and class's source: what else it depends on must stay as it was. A
            function is known again by its source and what it uses: networks, arrays, numbers and functions.
        precision: of the features: ``float32`` or ``float16``.
        report: told of the progress: (what, done, total, numbers).
        leaks: what becomes of test samples that stand in the training split too: ``refuse``, or ``tell``.
        out: a folder for the predictions, ``predictions/PROTOCOL.npz``
            (`ssl_av.evaluation.certainty.load_predictions`).

    Returns:
        ``results`` by protocol; ``protocols`` with version, hash and samples of each; ``data``.

    Raises:
        UserError: for a name that does not exist, or if networks, protocol and data do not fit each other.
    """
    if clips < 1:
        raise UserError(f"evaluate: clips must be at least 1, got {clips}")
    task = prepare(
        backbone, data, _protocols(protocol), modality=modality, inputs=inputs, waveform_rate=waveform_rate,
        loading=loading, seed=seed, leaks=leaks,
    )  # fmt: skip
    with task.in_eval_mode():
        kept = Path(cache) if cache else None
        found = measure(task.towers, task.folds, task.protocols, seed, kept, clips, precision, report)
    if out is not None:
        save_predictions(found.outcomes, Path(out))
    first = task.folds[0].manifest
    return {
        "results": found.results,
        "protocols": found.protocols,
        "data": {
            "name": task.name,
            "hash": first.hash,
            "classes": len(first.classes),
            "skipped": found.skipped,
        }
        | {s: len(first.split(s)) for s in ("train", "val", "test")}
        | task.guard.record(),
        "seed": seed,
    }


def _protocols(asked: Asked | Sequence[Asked]) -> list[Protocol]:
    if isinstance(asked, str) and not Path(asked).exists():
        asked = [word.strip() for word in asked.split(",") if word.strip()]  # as on the command line
    several = [asked] if isinstance(asked, (str, Path, Protocol, Mapping)) else list(asked)
    found = [
        protocol_from(p, "the protocol") if isinstance(p, Mapping) else load_protocol(p) for p in several
    ]
    if not found:
        raise UserError("evaluate: name a protocol, e.g. 'linear-svm' (`ssl-av list protocols`)")
    names = [p.name for p in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"evaluate: two protocols are called '{name}'; give one of them another name, e.g. "
                f"dataclasses.replace(protocol, name='{name}-mine')"
            )
    return found
