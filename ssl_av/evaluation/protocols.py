"""Protocols as data: every number of a measurement, in a YAML file with a version and a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ssl_av.config import load_yaml
from ssl_av.errors import UserError, unknown
from ssl_av.evaluation.changes import changed
from ssl_av.evaluation.kinds import KINDS
from ssl_av.options import check, config_file, list_configs

MODALITIES = ("video", "audio")
POOLS = ("max", "avg")


@dataclass(frozen=True)
class Seen:
    """What the backbone sees; null is "as the method's inputs".

    Attributes:
        frames: frames a clip.
        fps: frames a second.
        size: height and width in pixels.
        zoom: side of the square that is cut from a frame, as a share of the frame's shorter side (224 of 256: 0.875).
        audio_seconds: length of the sound.
    """

    frames: int | None = None
    fps: float | None = None
    size: int | None = None
    zoom: float = 1.0
    audio_seconds: float | None = None


@dataclass(frozen=True)
class Clips:
    """What is cut from a sample.

    Attributes:
        clips: how many; null is the run's ``evaluation.clips``.
        place: ``spaced`` evenly from beginning to end, or at ``random`` places, picture and sound together.
        crops: squares of a frame along its longer side: 1 is the centre, 3 left, centre and right.
        augment: ``none``; ``own``, which the backbone was trained with; or a name of `ssl_av.transforms.AUGMENTS`.
        blur: whether the Gaussian blur is a part of it.
        warp: frames that a time warp moves the spectrogram by at most (CrissCross D.2); 0 is none.
    """

    clips: int | None = None
    place: Literal["spaced", "random"] = "spaced"
    crops: int = 1
    augment: str = "none"
    blur: bool = True
    warp: int = 0


@dataclass(frozen=True)
class Pooling:
    """How the last map becomes a vector, by modality; null is the backbone's own pooling.

    ``max`` or ``avg`` over the whole map, or a max-pool ``{max: KERNEL, stride: KERNEL}`` whose result is flattened
    (CrissCross: (1, 4, 4) over time, height, width; (1, 3) over frequency, time in AVID's and GDT's order).
    ``{blocks: [9216, …]}`` in a protocol of one modality: the maps of the last blocks, each max-pooled to so many
    values and measured for itself (AVID table 1). ``method`` where the network is trained: what its method pools it by
    (STiCA's transformer).
    """

    video: Any = None
    audio: Any = None

    def of_method(self, modality: str) -> bool:
        """Whether the network is trained with the pooling of its method."""
        return bool(getattr(self, modality) == "method")


@dataclass(frozen=True)
class Protocol:
    """One way to measure a backbone, with all its numbers.

    Attributes:
        name: what users call it.
        version: counts up when a number changes; results of two versions are not compared.
        kind: what is computed from the features, a name of `ssl_av.evaluation.kinds.KINDS`.
        source: where the numbers stand ("CrissCross E.1").
        about: one line.
        modalities: which backbones are measured.
        inputs: what they see.
        train: the clips of the training split.
        test: the clips of the validation and the test split.
        merge: ``mean`` of a sample's clips before the classifier, or ``keep``: each training clip is an example, and
            the predictions of a test sample's clips are averaged.
        pooling: from the last map to the features.
        folds: ``given``, the division that the data were asked for; ``all`` official ones, averaged; the ``first``.
        settings: the kind's own numbers.
    """

    name: str
    version: int
    kind: str
    source: str = ""
    about: str = ""
    modalities: tuple[str, ...] = MODALITIES
    inputs: Seen = Seen()
    train: Clips = Clips()
    test: Clips = Clips()
    merge: Literal["mean", "keep"] = "mean"
    pooling: Pooling = Pooling()
    folds: Literal["given", "all", "first"] = "given"
    settings: Any = None

    @property
    def hash(self) -> str:
        """12 hexadecimal digits of everything that makes a result, without the words about it."""
        content = {k: v for k, v in canonical(self).items() if k not in ("source", "about")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def with_clips(self, clips: int) -> Protocol:
        """The protocol where ``null`` clips are so many."""

        def filled(part: Clips) -> Clips:
            return replace(part, clips=clips) if part.clips is None else part

        return replace(self, train=filled(self.train), test=filled(self.test))


def later(default: Any) -> Any:
    """A field that was added after results were published: at its default it does not enter a protocol's hash."""
    return field(default=default, metadata={"later": True})


def canonical(value: Any) -> Any:
    """As plain JSON values; a whole number is an integer, however it was written."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = [
            f for f in fields(value) if not f.metadata.get("later") or getattr(value, f.name) != f.default
        ]
        return {f.name: canonical(getattr(value, f.name)) for f in kept}
    if isinstance(value, Mapping):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def list_protocols() -> dict[str, Path]:
    """The shipped protocols' files by name."""
    return list_configs("protocols")


def load_protocol(name: str | Path | Protocol) -> Protocol:
    """A shipped protocol by its name, or one from a file.

    Args:
        name: a name of `ssl-av list protocols`, a path of a YAML file, or a protocol, which is given back.

    Raises:
        UserError: for a name, a key or a value that does not exist or fit.
    """
    if isinstance(name, Protocol):
        return name
    path = config_file("protocols", str(name))
    return protocol_from(load_yaml(path), str(path))


def protocol_from(values: Mapping[str, Any], where: str) -> Protocol:
    """A protocol from a mapping; ``where`` names it in error messages.

    Raises:
        UserError: for a key or a value that does not exist or fit.
    """
    names = [f.name for f in fields(Protocol)]
    for key in values:
        if key not in names:
            raise unknown(f"key in {where}", str(key), names)
    for key in ("name", "version", "kind"):
        if values.get(key) in (None, ""):
            raise UserError(f"{where}: a protocol needs '{key}'")
    kind = str(values["kind"])
    if kind not in KINDS:
        raise unknown(f"kind in {where}", kind, KINDS)
    known = dict(values)
    try:
        for key, cls in (("inputs", Seen), ("train", Clips), ("test", Clips), ("pooling", Pooling),
                         ("settings", KINDS[kind].settings)):  # fmt: skip
            known[key] = _group(cls, check(key, cls, known.get(key) or {}))
        rest = {k: v for k, v in known.items() if not is_dataclass(v)}
        known |= check("protocol", Protocol, rest)
    except UserError as e:
        raise UserError(f"{where}: {str(e).replace('--', '')}") from None
    known["modalities"] = tuple(known.get("modalities", MODALITIES))
    protocol = Protocol(**known)
    _check(protocol, where)
    if (own := KINDS[kind].check) is not None:
        try:
            own(protocol)
        except UserError as e:
            raise UserError(f"{where}: {e}") from None
    return protocol


def _group(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """A group of a file; a group inside of it, such as ``optim``, states what differs from the defaults."""
    defaults = {f.name: f.default for f in fields(cls) if is_dataclass(f.default)}
    inner = {k: changed(defaults[k], v, k) for k, v in values.items() if k in defaults}
    return cls(**{**values, **inner})


def check_protocols(names: Sequence[str]) -> list[str]:
    """The names, if all exist and are sound; else a `UserError` with the nearest ones."""
    known: dict[str, str] = {}
    for name in names:
        protocol = load_protocol(name)
        if protocol.name in known:
            raise UserError(f"protocol '{protocol.name}' is asked for twice ({known[protocol.name]}, {name})")
        known[protocol.name] = name
    return list(names)


def _check(p: Protocol, where: str) -> None:
    for modality in p.modalities:
        if modality not in MODALITIES:
            raise unknown(f"modality in {where}", modality, MODALITIES)
    if not p.modalities or p.version < 1:
        raise UserError(f"{where}: a protocol has a version of at least 1 and at least one modality")
    counts = {"inputs.frames": p.inputs.frames, "inputs.fps": p.inputs.fps, "inputs.size": p.inputs.size,
              "inputs.audio_seconds": p.inputs.audio_seconds, "train.clips": p.train.clips,
              "test.clips": p.test.clips, "train.crops": p.train.crops, "test.crops": p.test.crops}  # fmt: skip
    for name, value in counts.items():
        if value is not None and value <= 0:
            raise UserError(f"{where}: {name} must be above 0, got {value}")
    if not 0 < p.inputs.zoom <= 1:
        raise UserError(f"{where}: inputs.zoom is a share of the shorter side, 0 … 1, got {p.inputs.zoom}")
    from ssl_av.transforms import AUGMENTS

    for part, clips in (("train", p.train), ("test", p.test)):
        if clips.augment not in ("none", "own", *AUGMENTS):
            raise unknown(f"{part}.augment in {where}", clips.augment, ("own", *AUGMENTS))
        if clips.augment != "none" and clips.crops != 1:
            raise UserError(f"{where}: {part}.augment draws its own crops; give {part}.crops 1")
    if p.test.augment != "none" or p.test.place != "spaced":
        raise UserError(f"{where}: test clips are neither augmented nor random: a result must come out again")
    for modality, dims in (("video", 3), ("audio", 2)):
        if p.pooling.of_method(modality) and KINDS[p.kind].trains:
            continue
        _check_pool(
            getattr(p.pooling, modality), dims, p.modalities == (modality,), f"{where}: pooling.{modality}"
        )


def _check_pool(pool: Any, dims: int, alone: bool, where: str) -> None:
    if pool is None or (isinstance(pool, str) and pool in POOLS):
        return
    if isinstance(pool, Mapping) and set(pool) == {"blocks"}:
        sizes = pool["blocks"]
        if (
            not isinstance(sizes, (list, tuple))
            or not sizes
            or not all(isinstance(n, int) and n > 0 for n in sizes)
        ):
            raise UserError(
                f"{where}.blocks are the values of each of the last blocks, e.g. [9216, 8192], got {sizes}"
            )
        if not alone:
            raise UserError(
                f"{where}.blocks: blocks are measured of one modality; give modalities that one alone"
            )
        return
    sound = isinstance(pool, Mapping) and "max" in pool and set(pool) <= {"max", "stride"}
    for kernel in pool.values() if sound else ():
        sound = sound and isinstance(kernel, (list, tuple)) and len(kernel) == dims
        sound = sound and all(isinstance(k, int) and k > 0 for k in kernel)
    if not sound:
        raise UserError(
            f"{where} is null, max, avg, {{max: [{dims} numbers], stride: [{dims} numbers]}} or {{blocks: [sizes]}}, "
            f"got {pool}"
        )
