"""`ssl-av rerun`: a record's run once more, and what differs from then."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_av.checks import check_out, differences
from ssl_av.errors import UserError
from ssl_av.text import read_json
from ssl_av.training.group import Group, is_first

if TYPE_CHECKING:
    from ssl_av.config import RunConfig
    from ssl_av.data.manifest import Manifest

ENVIRONMENT = ("versions", "git", "machine")


def rerun(path: str, out: str | None, new_data: bool) -> int:
    """Runs a record's run again.

    Args:
        path: a record.json, or a run's folder.
        out: the new run's folder.
        new_data: run it also if the data are others than then.

    Returns:
        Exit code: 0 if the results are the same to the last bit, 1 if they are not.

    Raises:
        UserError: if there is no record, or the data differ.
    """
    file, old = read_record(Path(path))
    config = config_of(file, old)
    folder = Path(out) if out else file.parent.with_name(f"{file.parent.resolve().name}-rerun")
    check_out(folder, "give another folder")
    from rich.console import Console

    from ssl_av.quiet import quiet
    from ssl_av.runs.environment import environment
    from ssl_av.runs.run import execute

    quiet()
    console = Console(soft_wrap=True, highlight=False, quiet=not is_first())
    now = environment()
    for found in differences({k: old.get(k) for k in ENVIRONMENT}, {k: now[k] for k in ENVIRONMENT}):
        console.print(f"differs: {found}", markup=False)
    then, here = old.get("cost", {}).get("processes", 1), Group.of(config.trainer).count
    for found in differences({"processes": then}, {"processes": here}):
        console.print(f"differs: {found}", markup=False)
    for found in old.get("health", {}).get("changed", []):
        console.print(f"it was changed when it was continued, as this run is not: {found}", markup=False)
    manifest = data_of(file, old, config, new_data)
    threads = old.get("cost", {}).get("threads", 0)  # they decide in which order numbers are added up
    config = replace(config, data={**config.data, "threads": config.loading.threads or threads})
    record = execute(config, manifest, folder)
    console.print(f"run: {folder}", markup=False)
    return _compare(old, record, console)


def read_record(path: Path) -> tuple[Path, dict[str, Any]]:
    """A record and its file.

    Raises:
        UserError: if there is none.
    """
    path = path / "record.json" if os.path.isdir(path) else path  # a name that is too long is no folder
    found = read_json(path)
    if not isinstance(found, Mapping) or "method" not in found:
        raise UserError(f"{path}: is no record of a run; give a record.json, or a run's folder")
    return path, dict(found)


def config_of(file: Path, record: Mapping[str, Any]) -> RunConfig:
    """The run that a record is of: as it says itself, or the config.yaml beside it.

    Raises:
        UserError: if neither says it.
    """
    from ssl_av.config import RunConfig, load_yaml

    beside = file.parent / "config.yaml"
    if "config" not in record and not beside.is_file():
        raise UserError(f"{file}: does not say with which settings it was run, and there is no {beside}")
    values = record["config"] if "config" in record else load_yaml(beside)
    try:
        return RunConfig.from_dict(values)
    except (KeyError, TypeError) as e:
        raise UserError(f"{file}: its settings are not those of a run ({e})") from None


def data_of(file: Path, record: Mapping[str, Any], config: RunConfig, new_data: bool) -> Manifest:
    """The samples of then.

    Raises:
        UserError: if they are others, and that was not allowed.
    """
    from ssl_av.data.manifest import Manifest
    from ssl_av.data.once import decode_once
    from ssl_av.data.pack import pack_at
    from ssl_av.data.prepare import prepare_manifest, restrict
    from ssl_av.data.views import modalities
    from ssl_av.runs.run import asked_views, build_method

    name = config.data["name"]
    of_suite = file.parent.parent / "manifest.arrow"
    if of_suite.is_file():  # samples that all its methods could use
        manifest = here = Manifest.load(of_suite)
        if not manifest.root.is_dir():
            raise UserError(
                f"{file}: what its suite was trained from is gone: {manifest.root}; the suite's own command "
                "brings a pack in the cache back"
            )
        if pack_at(manifest.root) is None:  # a pack stays as it is, whatever becomes of its files
            found = prepare_manifest(name, config.dataset_args, config.loading)
            here = restrict(found, ("video", "audio"), name)
    else:
        manifest = prepare_manifest(name, config.dataset_args, config.loading)
        here = decode_once(manifest, name, config.loading, asked_views(build_method(config, manifest)))
        manifest = here
    then = record.get("data", {}).get("hash")
    usable = restrict(here, modalities(build_method(config, here).views), name)
    if then is not None and usable.hash != then:
        said = f"{file}: the data '{name}' are others than then (hash {then} then, {usable.hash} now)"
        if not new_data:
            raise UserError(f"{said}; bring back the old ones, or add --new-data")
        print(f"ssl-av: warning: {said}", file=sys.stderr)
        return here
    return manifest


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], console: Any) -> int:
    """Says what differs between two records' losses and results."""
    parts = [{"results": r.get("results"), "loss": r.get("curves", {}).get("loss")} for r in (old, new)]
    then, now = json.loads(json.dumps(parts))
    found = list(differences(then, now))
    for line in found[:10]:
        console.print(f"differs: {line}", markup=False)
    if len(found) > 10:
        console.print(f"… and {len(found) - 10} more")
    console.print("results: not those of then" if found else "results and losses: the same as then")
    return 1 if found else 0
