"""What a training run was started with, in its folder. No Ray here: bad input is told before RLlib is imported."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from meqc_marl.config import save_scenario
from meqc_marl.errors import InputError
from meqc_marl.files import check_folder, make_folder, replacing
from meqc_marl.jobs.run import Run
from meqc_marl.uris import check_place

_RUN_FILE = "run.json"
_SCENARIO_FILE = "scenario.yaml"


def check_new_run(folder: Path) -> None:
    """See that a new run may begin in a folder; nothing is written yet.

    Raises:
        InputError: If it cannot be written, or holds a run already.
    """
    check_place(str(folder))
    if (folder / _RUN_FILE).exists():
        raise InputError(f"output folder '{folder}' holds a run already; resume it with --resume, or name another.")
    check_folder(folder)


def begin_run(folder: Path, run: Run) -> None:
    """Write what a new run is started with.

    Raises:
        InputError: If the folder cannot be written, or holds a run already.
    """
    check_new_run(folder)
    save_scenario(run.scenario, make_folder(folder) / _SCENARIO_FILE)  # for people, and for `compare --scenario`
    with replacing(folder / _RUN_FILE) as file:
        file.write(run.model_dump_json(indent=2).encode())


def load_run(folder: Path) -> Run:
    """Read what a run was started with.

    Raises:
        InputError: If the folder holds no run.
    """
    if not (folder / _RUN_FILE).is_file():
        raise InputError(f"run folder '{folder}' holds no run to resume.")
    try:
        return Run.model_validate_json((folder / _RUN_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InputError(f"run folder '{folder}' holds no readable {_RUN_FILE} to resume from ({reason}).") from error
