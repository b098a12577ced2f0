"""What a study's storage knows of it: which trials there are (``study.json``), and how far each one is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeGuard

import pyarrow

from meqc_marl.errors import InputError
from meqc_marl.jobs.manifest import first_difference
from meqc_marl.jobs.run import Run, wherever_they_lie
from meqc_marl.jobs.trial_checkpoint import Sealed, changed_file, farthest
from meqc_marl.policies.folders import POLICY_FOLDER
from meqc_marl.storage import Storage, unreadable

TRIALS_FOLDER = "trials"
_STUDY_FILE = "study.json"
_READERS = 16

Study = Mapping[str, Run]
"""Trials by name; a name is that of a folder."""


def begin_study(storage: Storage, study: Study, resume: bool) -> None:
    """Write down what is studied, beside what was; refuse what is not the same under a name that is there.

    Raises:
        InputError: That names the first difference; or if trials are there and ``resume`` is not set.
    """
    known = {name: run.model_dump(mode="json") for name, run in stored_study(storage).items()}
    given = {name: run.model_dump(mode="json") for name, run in study.items()}
    for name in given:
        mine = wherever_they_lie(given[name])
        if name in known and (told := first_difference(wherever_they_lie(known[name]), mine)) is not None:
            raise InputError(
                f"output folder '{storage.shown}' holds other trials (of '{name}' {told}); give what is there, or name "
                "another folder."
            )
    if known and not resume:
        raise InputError(
            f"output folder '{storage.shown}' holds these trials already; name another, or go on (--resume)."
        )
    if given.keys() - known.keys():
        storage.write(_STUDY_FILE, json.dumps(known | given, indent=1).encode())


def stored_study(storage: Storage) -> dict[str, Run]:
    """All trials that the storage remembers, also those of earlier commands.

    Raises:
        InputError: If they cannot be read.
    """
    content = storage.read_object(_STUDY_FILE) or {}
    try:
        return {name: Run.model_validate(run) for name, run in content.items()}
    except ValueError as error:
        raise InputError(f"{_STUDY_FILE} in '{storage.shown}' is damaged; it must hold the trials by name.") from error


def how_far(storage: Storage, study: Study, tell: Callable[[str], None] | None = None) -> dict[str, Sealed | None]:
    """The whole checkpoint of each trial that got farthest; None where there is none.

    Of a trial that has finished the policy is read and compared: what is reported must be what was trained.

    Args:
        storage: Of the study.
        study: Its trials.
        tell: Told of trials that have finished and whose policy is damaged: they count as not begun.

    Raises:
        InputError: If the storage cannot be read, or holds a checkpoint of another run under a trial's name.
    """
    flaws: dict[str, str] = {}

    def look(name: str) -> Sealed | None:
        found = farthest(storage.filesystem, f"{storage.root}/{TRIALS_FOLDER}/{name}")
        if has_finished(found, study[name]) and (changed := changed_file(found, POLICY_FOLDER)) is not None:
            flaws[name] = changed
            return None
        return found

    try:
        with ThreadPoolExecutor(_READERS) as pool:
            ended = dict(zip(study, pool.map(look, study), strict=True))
    except (OSError, pyarrow.ArrowException) as error:
        raise unreadable(storage.uri, error) from error
    for name, run in study.items():
        if (last := ended[name]) is not None:
            last.check_belongs_to(run.identity())
        elif tell is not None and name in flaws:
            tell(f"trial '{name}' is damaged ({flaws[name]} has another checksum); it is trained again")
    return ended


def has_finished(found: Sealed | None, run: Run) -> TypeGuard[Sealed]:
    """Whether a trial has spent its budget."""
    return found is not None and found.env_steps >= run.env_steps
