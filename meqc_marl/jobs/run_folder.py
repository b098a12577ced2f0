"""What a training run was started with, in its folder. No Ray here: bad input is told before RLlib is imported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from meqc_marl.config import save_scenario
from meqc_marl.errors import InputError
from meqc_marl.files import check_folder, make_folder, replacing, telling_what_cannot_be_written
from meqc_marl.jobs.run import Run
from meqc_marl.policies.folders import list_checkpoints
from meqc_marl.uris import check_place

if TYPE_CHECKING:
    from meqc_marl.storage import Storage

RUN_FILE = "run.json"
SCENARIO_FILE = "scenario.yaml"
WARM_START = "warm-start"
"""Folder of the policy that a run begins with: what it was taken from may be gone when the run begins again."""
DIVERGED_FILE = "diverged.json"
"""Of a run that has come to nothing, and makes room for another."""


def check_new_run(folder: Path) -> None:
    """See that a new run may begin in a folder; nothing is written yet.

    A run that diverged makes room for another.

    Raises:
        InputError: If it cannot be written, or holds a run already.
    """
    check_place(str(folder))
    if (folder / RUN_FILE).exists() and not (folder / DIVERGED_FILE).exists():
        raise InputError(f"output folder '{folder}' holds a run already; resume it with --resume, or name another.")
    check_folder(folder)


def begin_run(folder: Path, run: Run) -> None:
    """Write what a new run is started with.

    Raises:
        InputError: If the folder cannot be written, or holds a run already.
    """
    check_new_run(folder)
    if (folder / DIVERGED_FILE).exists():
        _forget(folder)
    save_scenario(run.scenario, make_folder(folder) / SCENARIO_FILE)  # for people, and for `compare --scenario`
    if run.warm_start is not None:
        from meqc_marl.policies.learned import load_policy

        load_policy(run.warm_start).save(make_folder(folder / WARM_START))
    _write(folder, run)


def extend_run(folder: Path, run: Run) -> None:
    """Write down a larger budget of the run that is there.

    Raises:
        InputError: If the run in the folder is another, or there is none.
    """
    stored = load_run(folder)
    check_same_run(str(folder), stored, run)
    (folder / DIVERGED_FILE).unlink(missing_ok=True)
    if run.env_steps != stored.env_steps:
        _write(folder, run)


def check_same_run(where: str, stored: Run, given: Run) -> None:
    """Refuse to go on with another run than the one that is there; only its budget may grow.

    Raises:
        InputError: That names the first difference.
    """
    there, here = ({**run.model_dump(mode="json"), **_traces(run)} for run in (stored, given))
    for name in Run.model_fields:
        if name == "scenario" and stored.scenario != given.scenario:
            field, old, new = _first_change(there["scenario"], here["scenario"], "")
            raise _contradiction(where, f"scenario with {field} {_told(old)}", new)
        if name not in ("scenario", "env_steps", "labels") and there[name] != here[name]:
            field, old, new = _first_change({name: there[name]}, {name: here[name]}, "")
            raise _contradiction(where, f"{field} {_told(old)}", new)
    if given.env_steps < stored.env_steps:
        raise InputError(
            f"resume: the run in '{where}' has {stored.env_steps:,} env-steps; leave out --env-steps, or give more."
        )


def _traces(run: Run) -> dict[str, object]:
    """Where files lie may change."""
    return {"trace": None if run.trace is None else run.trace.identity()}


def mark_diverged(folder: Path, env_steps: int) -> None:
    """Write down that the run has come to nothing."""
    with replacing(folder / DIVERGED_FILE) as file:
        file.write(json.dumps({"env_steps": env_steps}).encode())


def load_run(folder: Path) -> Run:
    """Read what a run was started with.

    Raises:
        InputError: If the folder holds no run.
    """
    try:
        content = (folder / RUN_FILE).read_bytes() if (folder / RUN_FILE).is_file() else None
    except OSError as error:
        raise InputError(f"run folder '{folder}' holds no readable {RUN_FILE} ({error.strerror}).") from error
    return _parsed(str(folder), content)


def stored_run(storage: Storage) -> Run | None:
    """The same from a storage; None if there is no run yet."""
    content = storage.read_named(RUN_FILE)
    return None if content is None else _parsed(storage.shown, content)


def warm_start_of(folder: Path, run: Run) -> str:
    """Where the policy is that a run begins with."""
    return str(folder / WARM_START) if (folder / WARM_START).is_dir() else str(run.warm_start)


def _parsed(where: str, content: bytes | None) -> Run:
    if content is None:
        raise InputError(f"run folder '{where}' holds no run to resume.")
    try:
        return Run.model_validate_json(content)
    except ValidationError as error:
        told = error.errors()[0]["msg"]
        raise InputError(f"run folder '{where}' holds no readable {RUN_FILE} to resume from ({told}).") from error


def _write(folder: Path, run: Run) -> None:
    with replacing(folder / RUN_FILE) as file:
        file.write(run.model_dump_json(indent=2).encode())


def _forget(folder: Path) -> None:
    """Remove a run that diverged, and nothing else that may be in the folder."""
    with telling_what_cannot_be_written(f"output folder '{folder}'"):
        for part in (*list_checkpoints(folder), folder / "tensorboard", folder / WARM_START):
            shutil.rmtree(part, ignore_errors=True)
        for name in (RUN_FILE, SCENARIO_FILE, DIVERGED_FILE):
            (folder / name).unlink(missing_ok=True)


def _first_change(old: dict[str, object], new: dict[str, object], prefix: str) -> tuple[str, object, object]:
    for name in [*old, *(name for name in new if name not in old)]:
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict) and a != b:
            return _first_change(a, b, f"{prefix}{name}.")
        if a != b:
            return f"{prefix}{name}", a, b
    raise AssertionError("there is no difference")


def _told(value: object) -> object:
    return "unset" if value is None else value


_OPTIONS = {"warm_start": "from", "scenario": "scenario"}


def _contradiction(where: str, has: str, given: object) -> InputError:
    field = has.removeprefix("scenario with ").split()[0]
    name = field.split(".")[0] if not has.startswith("scenario with ") else "scenario, --set, --v or --delta"
    option = _OPTIONS.get(name, name).replace("_", "-")
    return InputError(f"resume: the run in '{where}' has {has} and not {_told(given)}; leave out --{option}.")
