"""What a training run was started with, in its folder. No Ray here: bad input is told before RLlib is imported."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from meqc_marl.config import Scenario, load_scenario, save_scenario
from meqc_marl.errors import InputError
from meqc_marl.files import check_folder, make_folder, replacing

_RUN_FILE = "run.json"
_SCENARIO_FILE = "scenario.yaml"


@dataclass(frozen=True)
class TrainingRun:
    """What a run was started with; stored in its folder, so that it can be resumed.

    Attributes:
        env_steps: Environment steps of the whole run.
        seed: Seed of everything.
        num_env_runners: Remote samplers.
        env_runner: ``batched`` or ``stock``.
        checkpoint_every_s: Seconds between checkpoints.
        learner: Parameters of the learner other than the defaults of
            :func:`~meqc_marl.rl.config.offloading_config`, by name.
    """

    env_steps: int
    seed: int = 0
    num_env_runners: int = 0
    env_runner: str = "batched"
    checkpoint_every_s: float = 60.0
    learner: dict[str, Any] = field(default_factory=dict)

    def identity(self, scenario: Scenario) -> dict[str, Any]:
        """What a checkpoint must have in common with the run that goes on from it; budget and placement may change."""
        return {
            "scenario": scenario.model_dump(mode="json"),
            "seed": self.seed,
            "env_runner": self.env_runner,
            "learner": self.learner,
        }


def check_new_run(folder: Path) -> None:
    """See that a new run may begin in a folder; nothing is written yet.

    Raises:
        InputError: If it cannot be written, or holds a run already.
    """
    if (folder / _RUN_FILE).exists():
        raise InputError(f"output folder '{folder}' holds a run already; resume it with --resume, or name another.")
    check_folder(folder)


def begin_run(folder: Path, scenario: Scenario, run: TrainingRun) -> None:
    """Write what a new run is started with.

    Raises:
        InputError: If the folder cannot be written, or holds a run already.
    """
    check_new_run(folder)
    save_scenario(scenario, make_folder(folder) / _SCENARIO_FILE)
    with replacing(folder / _RUN_FILE) as file:
        file.write(json.dumps(asdict(run), indent=2).encode())


def load_run(folder: Path) -> tuple[Scenario, TrainingRun]:
    """Read what a run was started with.

    Raises:
        InputError: If the folder holds no run.
    """
    if not (folder / _RUN_FILE).is_file():
        raise InputError(f"run folder '{folder}' holds no run to resume.")
    try:
        run = TrainingRun(**json.loads((folder / _RUN_FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"run folder '{folder}' holds no readable {_RUN_FILE} to resume from ({error}).") from error
    return load_scenario(folder / _SCENARIO_FILE), run
