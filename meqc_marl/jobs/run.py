"""One training run as data, and apart from it where and how it runs.

No Ray here: bad input is told before RLlib is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meqc_marl.config import Scenario
from meqc_marl.nature.library import LibraryFiles

RAYS_OWN = ("CPU", "GPU", "memory", "object_store_memory")
"""Resources that every machine has; they say nothing about where something runs."""


class Run(BaseModel):
    """What a training run is; two runs that are equal end equal, wherever they run.

    Attributes:
        scenario: The system.
        env_steps: Budget in environment steps (slots of a row).
        seed: Of networks, exploration, replay and nature.
        learner: Parameters of the learner other than the defaults of
            :func:`~meqc_marl.rl.config.offloading_config`, by name.
        num_env_runners: Remote samplers, a core each; without any the run samples for itself, and one that is
            interrupted ends as if it had not been.
        env_runner: ``batched``, or RLlib's ``MultiAgentEnvRunner`` over the PettingZoo environment (``stock``).
        vary: Fields of the scenario drawn anew for each row at every reset, ``field=low,high`` or ``field=[a, b, c]``.
        trace: Library of traces of which episodes are drawn; None to draw nature as the scenario says.
        warm_start: Run, checkpoint or policy folder whose weights it starts with, a path or URI; None for random ones.
        labels: What tells it from the other runs of a job, for tables and TensorBoard's hparams.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: Scenario
    env_steps: int = Field(ge=1)
    seed: int = Field(default=0, ge=0)
    learner: dict[str, Any] = {}
    num_env_runners: int = Field(default=0, ge=0)
    env_runner: Literal["batched", "stock"] = "batched"
    vary: tuple[str, ...] = ()
    trace: LibraryFiles | None = None
    warm_start: str | None = None
    labels: dict[str, float | int | str] = {}

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the run that goes on from it; the budget may change."""
        names = {"scenario", "seed", "env_runner", "learner", "vary", "warm_start"}
        known = self.model_dump(mode="json", include=names)
        return known | ({} if self.trace is None else {"trace": self.trace.identity()})

    def compact(self) -> dict[str, Any]:
        """Plain data without what is at its default, for where many runs are written down."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Placement(BaseModel):
    """Where and how a run is carried out; it may change from one command to the next.

    Attributes:
        learner_resource: Custom resource of the machines on which Learners must run; None for any machine.
        gpus: Graphics processors of a run's Learner; a fraction shares one.
        autoscaling: The cluster may grow, so a run larger than it is now is not refused.
        max_failures: Times that a run of a study is started again after its process or machine died, counted from each
            command on; -1 for any number.
        checkpoint_every_s: Seconds between the checkpoints of a single run; a study's have ten in their life.
        track: Where scalars are told beside TensorBoard (:mod:`~meqc_marl.jobs.tracking`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learner_resource: str | None = None
    gpus: float = Field(default=0.0, ge=0.0)
    autoscaling: bool = False
    max_failures: int = Field(default=3, ge=-1)
    checkpoint_every_s: float = Field(default=60.0, ge=0.0)
    track: tuple[Literal["mlflow", "wandb"], ...] = ()


def completed(theirs: dict[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """What was written before a field existed, with the default of that field where ``ours`` has it.

    Args:
        theirs: A run's identity, or what holds one, as JSON brings it back.
        ours: The same of a run of this version.
    """
    found = dict(theirs)
    for name, value in ours.items():
        if name not in theirs:
            field = Run.model_fields.get(name)
            if "scenario" in theirs and field is not None and not field.is_required():
                found[name] = json.loads(json.dumps(field.get_default(call_default_factory=True)))
        elif isinstance(value, dict) and isinstance(theirs[name], dict):
            if name != "scenario":
                found[name] = completed(theirs[name], value)
                continue
            with suppress(ValueError):  # it is another in more than that
                whole = Scenario.model_validate(theirs[name]).model_dump(mode="json")
                found[name] = _filled(theirs[name], value, whole)
    return found


def _filled(theirs: dict[str, Any], ours: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(theirs)
    for name in ours.keys() & whole.keys():
        if name not in theirs:
            found[name] = whole[name]
        elif isinstance(whole[name], dict) and isinstance(theirs[name], dict):
            found[name] = _filled(theirs[name], ours[name], whole[name])
    return found


def wherever_they_lie(data: Any) -> Any:
    """Plain data of runs, with the libraries in it by what is in them: moved files are the same."""
    if isinstance(data, dict):
        return {key: _contents(value) if key == "trace" else wherever_they_lie(value) for key, value in data.items()}
    return data


def _contents(library: Any) -> Any:
    """The identity of a library in plain data; anything else as it is."""
    try:
        return library if library is None else LibraryFiles.model_validate(library).identity()
    except ValidationError:
        return library
