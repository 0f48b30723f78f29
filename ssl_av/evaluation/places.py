"""Names of other data to measure a run on: ``esc50:DIR``, ``csv:GRID/labels.csv+label=digit+as=digits``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.errors import UserError, unknown
from ssl_av.yaml_text import parse_yaml

if TYPE_CHECKING:
    from ssl_av.evaluation.protocols import Protocol

Place = dict[str, Any]
"""``{"name": a data set, "as": what results are called by, "protocols", "modalities", "folds": where given, and the
data set's and the loading's own arguments}``."""

OWN = ("as", "protocols", "modalities", "folds")
"""Keys that are neither the data set's nor the loading's."""

FOLDS = ("given", "all", "first")

FORM = "NAME:DIR+key=value, e.g. esc50:ESC-50 or csv:GRID/labels.csv+label=digit"


def read_places(given: Any) -> tuple[Place, ...]:
    """Places as words of the command line or as mappings, every name and type checked; what was read stays as it is.

    ``NAME[:PATH][+key=value…]``, several with commas between them. The path is the first argument that the data set
    needs (``root``, ``file``). Keys are the data set's and the loading's arguments, and ``as`` (what its results are
    called by), ``protocols`` (by default all of the run that apply), ``modalities`` (by default the data set's) and
    ``folds`` (``all``, ``first``, ``given``; by default what each protocol says). Values are read as YAML.

    Raises:
        UserError: for another form, a name or a type that does not fit, or one name for two places.
    """
    if isinstance(given, (str, Mapping)):
        given = [given]
    if not isinstance(given, Sequence):
        raise UserError(f"evaluation.elsewhere is a list of data sets, each {FORM}; got {given!r}")
    words = [one for entry in given for one in (_divided(entry) if isinstance(entry, str) else [entry])]
    found = tuple(_place(one) for one in words)
    names = [place["as"] for place in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"--eval: '{name}' names two data sets; give one of them another name by +as=NAME"
            )
    return found


def modalities_of(place: Place) -> tuple[str, ...]:
    """What is measured there, as far as the protocols ask for it."""
    from ssl_av.data.datasets import dataset_class

    return tuple(place.get("modalities") or dataset_class(place["name"]).modalities)


def protocols_at(place: Place, asked: Sequence[str]) -> list[Protocol]:
    """The protocols of a place: its own, or those of the run that apply to what its samples have.

    Raises:
        UserError: if there is none, or one of its own does not apply.
    """
    from ssl_av.evaluation.kinds import KINDS
    from ssl_av.evaluation.protocols import load_protocol

    have = set(modalities_of(place))

    def applies(p: Protocol) -> bool:
        if "memory" in KINDS[p.kind].needs:  # what a method keeps of the data that it was trained on
            return False
        return set(p.modalities) <= have if KINDS[p.kind].both else bool(have & set(p.modalities))

    own = place.get("protocols")
    protocols = [load_protocol(name) for name in own or asked]
    fitting = [p for p in protocols if applies(p)]
    if not fitting or (own and len(fitting) < len(protocols)):
        names = ", ".join(p.name for p in protocols if not applies(p)) or "none at all"
        raise UserError(
            f"--eval {place['as']}: its samples have {' and '.join(sorted(have))}, which is not what these protocols "
            f"measure: {names}; name others, e.g. +protocols=[linear-svm] (`ssl-av list protocols`)"
        )
    if "folds" in place:
        fitting = [dataclasses.replace(p, folds=place["folds"]) for p in fitting]
    return fitting


def _divided(text: str) -> list[str]:
    """The words between commas that are not in brackets."""
    return [word.strip() for word in re.split(r",(?![^\[{]*[\]}])", text) if word.strip()]


def _place(given: Any) -> Place:
    values = _words(given) if isinstance(given, str) else given
    if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
        mapping = " or {'name': 'esc50', 'root': DIR}" if isinstance(values, Mapping) else ""
        raise UserError(f"--eval {given}: write it {FORM}{mapping}")
    try:
        return _checked(dict(values))
    except UserError as e:
        raise UserError(f"--eval {values['name']}: {str(e).replace('--data.', '')}") from None


def _words(text: str) -> Place:
    """``csv:FILE+label=digit`` → ``{"name": "csv", "file": FILE, "label": "digit"}``."""
    from ssl_av.data.datasets import dataset_class, list_datasets

    head, *rest = re.split(r"\+(?=\w+=)", text)
    name, colon, path = head.partition(":")
    values: Place = {"name": name}
    if name not in list_datasets():
        raise UserError(
            f"--eval {head}: {unknown('data set', name, list_datasets())}{_own_data(path or name)}"
        )
    if colon:
        values[_first_argument(dataset_class(name))] = path
    for part in rest:
        key, _, value = part.partition("=")
        try:
            values[key] = parse_yaml(value)
        except ValueError:
            values[key] = value
    return values


def _own_data(path: str) -> str:
    """How a folder of the user's own is named, where an unknown data set was given with it."""
    folder = Path(path)
    if not path or not folder.is_dir():
        return ""
    tables = [file.name for file in sorted(folder.iterdir()) if file.suffix in (".csv", ".tsv")]
    if tables:
        return f"; a folder with a table is csv:{folder}/TABLE+label=COLUMN (there: {', '.join(tables[:5])})"
    return f"; a folder of videos is folder:{folder}"


def _list(key: str, value: Any) -> list[str]:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, (list, tuple)) or not value:
        raise UserError(f"{key} is a list of names, e.g. {key}=[a,b]; got {value!r}")
    return [str(one) for one in value]


def _first_argument(dataset: type[Any]) -> str:
    """The argument that a path without a name is: the first that has to be given."""
    fields = [f for f in dataclasses.fields(dataset) if f.init]
    needed = [
        f for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    return (needed or fields)[0].name


def _checked(values: Place) -> Place:
    from ssl_av.data.datasets import dataset_class
    from ssl_av.data.loading import Loading
    from ssl_av.evaluation.protocols import check_protocols
    from ssl_av.options import parameters_of
    from ssl_av.resolve import resolve_data

    name = values.pop("name")
    dataset = dataset_class(name)
    known = [*OWN, *parameters_of(dataset, Loading)]
    for key in values:
        if key not in known:
            raise unknown("key", str(key), known)
    own = {key: values.pop(key) for key in OWN if values.get(key) is not None}
    label = str(own.get("as", name))
    if not re.fullmatch(r"[\w.-]+", label):
        raise UserError(f"as={label}: give letters, digits, '.', '_' and '-' only")
    place: Place = {"name": name, "as": label}
    for key in ("protocols", "modalities"):
        if key in own:
            place[key] = _list(key, own[key])
    check_protocols(place.get("protocols", []))
    for modality in place.get("modalities", []):
        if modality not in dataset.modalities:
            raise unknown(f"modality of '{name}'", modality, dataset.modalities)
    if "folds" in own:
        if own["folds"] not in FOLDS:
            raise unknown("folds", str(own["folds"]), FOLDS)
        place["folds"] = own["folds"]
    return place | resolve_data({}, name, {k: v for k, v in values.items() if k not in OWN})
