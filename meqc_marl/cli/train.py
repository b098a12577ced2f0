"""``meqc-marl train``: train a policy and say how far it is from the optimum."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from meqc_marl.cli.job_options import StoragePlace, Track, placement_of
from meqc_marl.cli.options import (
    MAX_ENV_RUNNERS,
    MAX_ENV_STEPS,
    MAX_SECONDS,
    MAX_TRACES,
    MAX_TRAINING_SEED,
    SCENARIO_HELP,
    HeldOut,
    InputFile,
    LearnerParameters,
    OptionalInt,
    Overrides,
    Traces,
    Variations,
    library_of,
    parse_assignments,
    read_mapping,
    scenario_with,
)
from meqc_marl.config import Scenario
from meqc_marl.errors import InputError, within
from meqc_marl.jobs.interrupted import Interrupted
from meqc_marl.jobs.kinds import Description
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import check_new_run, check_same_run, stored_run
from meqc_marl.jobs.train import TrainJob
from meqc_marl.report.plain import plain_console
from meqc_marl.uris import check_place

_OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]


@dataclass(frozen=True)
class TrainOptions:
    """What is trained, here or on a cluster."""

    scenario: Annotated[
        str | None,
        tyro.conf.arg(metavar="PRESET|FILE", help=f"{SCENARIO_HELP} (default: paper)", help_behavior_hint=""),
    ] = None
    """Preset or YAML file; `meqc-marl scenario show` lists its fields."""
    overrides: Overrides = ()
    """Change a field of the scenario, such as cost.latency=sequential; may be repeated."""
    v: _OptionalFloat = None
    """Weight V of the cost against the backlog; short for --set lyapunov.v=."""
    delta: _OptionalFloat = None
    """Least mean offloading fraction Delta; short for --set lyapunov.delta=."""
    vary: Variations = ()
    """Draw a field anew for each row at every reset, such as lyapunov.v=0.05,20 (uniform, log-uniform over a decade or
    more) or cost.latency=[parallel, sequential] (choices): one policy for all of them; may be repeated."""
    trace: Traces = ()
    """Draw episodes from these traces (.npz), instead of drawing nature by the scenario: files, folders or URIs that
    every machine reaches (docs/traces.md)."""
    held_out: HeldOut = ()
    """Rows of the traces, by the file's name or name:row, that training does not see and evaluation is on; by default
    the last fifth of the slots of every row."""
    seed: OptionalInt = None
    """Seed of networks, exploration, replay and nature; by default 0."""
    env_steps: OptionalInt = None
    """Budget in environment steps (slots of a row); by default about three minutes' worth on two cores. More than a run
    was started with extends it."""
    num_env_runners: OptionalInt = None
    """Remote samplers; by default 0, which samples in the main process and is quickest for few cores."""
    env_runner: Annotated[
        Literal["batched", "stock"] | None, tyro.conf.arg(metavar="{batched,stock}", help_behavior_hint="")
    ] = None
    """Ours over arrays (batched, the default), or RLlib's MultiAgentEnvRunner over the PettingZoo environment (stock,
    slow)."""
    learner: LearnerParameters = ()
    """Change a parameter of the learner, such as critic=separate; may be repeated."""
    learner_file: InputFile = None
    """Parameters of the learner from a YAML file, such as the best of a search; --learner comes on top."""
    warm_start: Annotated[str | None, tyro.conf.arg(name="from", metavar="RUN", help_behavior_hint="")] = None
    """Start with the weights of a trained policy: folder or URI of a run, in whatever scenario it was trained."""
    gpus: float = 0.0
    """Graphics processors of the Learner; a fraction shares one."""
    autoscaling: bool = False
    """The cluster grows by itself: do not refuse a run larger than the cluster is now."""
    checkpoint_every_s: float = 60.0
    """Seconds between checkpoints."""
    track: Track = ()
    num_traces: int = 10
    """Held-out traces of the final comparison."""

    def placement(self) -> Placement:
        """Where and how it runs."""
        return placement_of(
            gpus=self.gpus,
            autoscaling=self.autoscaling,
            checkpoint_every_s=self.checkpoint_every_s,
            track=self.track,
        )

    def job(self, stored: Run | None = None, where: str = "") -> TrainJob:
        """The run that the options make; what they leave open is as in the run that is stored, if one is.

        Raises:
            InputError: If an option is not allowed.
        """
        self._check_numbers()
        self.placement()
        run = self._new() if stored is None else self._like(stored)
        if stored is not None:
            check_same_run(where, stored, run)
        job = TrainJob(run=run, num_traces=self.num_traces)
        if stored is None or run != stored:
            job.check()
        return job

    def _check_numbers(self) -> None:
        within("num-traces", self.num_traces, 1, MAX_TRACES)
        within("checkpoint-every-s", self.checkpoint_every_s, 0, MAX_SECONDS)
        for option, value, least, most in (
            ("seed", self.seed, 0, MAX_TRAINING_SEED),
            ("num-env-runners", self.num_env_runners, 0, MAX_ENV_RUNNERS),
            ("env-steps", self.env_steps, 1, MAX_ENV_STEPS),
        ):
            if value is not None:
                within(option, value, least, most)

    def _new(self) -> Run:
        scenario, learner = self._scenario(self.scenario or "paper"), self._learner() or {}
        # Ray takes seconds to import; bad input has been told by now.
        from meqc_marl.rl.config import default_env_steps

        trace = library_of(self.trace, self.held_out, scenario.num_devices)
        steps = self.env_steps or default_env_steps(scenario, learner)
        run = Run(scenario=scenario, env_steps=steps, learner=learner, trace=trace)
        return run.model_copy(update=self._plain())

    def _like(self, stored: Run) -> Run:
        given = self._plain() | ({} if self.env_steps is None else {"env_steps": self.env_steps})
        given["scenario"] = scenario = self._scenario(self.scenario or stored.scenario)
        if self.trace:
            held_out = self.held_out or (stored.trace.held_out if stored.trace is not None else ())
            given["trace"] = library_of(self.trace, held_out, scenario.num_devices)
        elif self.held_out and stored.trace is not None:
            given["trace"] = stored.trace.model_copy(update={"held_out": self.held_out})
        else:
            library_of((), self.held_out, scenario.num_devices)
        if (learner := self._learner()) is not None:
            from meqc_marl.jobs.configuration import same_learner

            # Those not named are as stored, as the scenario's fields are; one that is so by default is no change.
            changed = stored.model_copy(update={"learner": stored.learner | learner})
            given["learner"] = stored.learner if same_learner(stored, changed) else changed.learner
        return stored.model_copy(update=given)

    def _plain(self) -> dict[str, Any]:
        """Options that stand for a field of the run, as far as they are given."""
        names = ("seed", "num_env_runners", "env_runner", "warm_start")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return given | ({"vary": self.vary} if self.vary else {})

    def _learner(self) -> dict[str, Any] | None:
        if self.learner_file is None and not self.learner:
            return None
        given = {} if self.learner_file is None else read_mapping("learner-file", self.learner_file)
        return given | parse_assignments("learner", self.learner)

    def _scenario(self, source: str | Scenario) -> Scenario:
        short = [
            f"lyapunov.{name}={value!r}" for name, value in (("v", self.v), ("delta", self.delta)) if value is not None
        ]
        return scenario_with(source, [*self.overrides, *short])


@dataclass(frozen=True)
class Train(TrainOptions):
    """Train a DQN+DDPG policy, then compare it with the exact oracle and the baselines on held-out traces."""

    out: Path = Path("results/train")
    """Folder of the run: checkpoints, TensorBoard files, final table and picture."""
    storage: StoragePlace = None
    """Instead of a folder a bucket, such as s3://bucket/run or gs://bucket/run."""
    resume: bool = False
    """Go on from the newest checkpoint of the run that is there; with --storage, begin one where there is none."""

    def run(self) -> None:
        """Train, then compare."""
        where = str(self.out) if self.storage is None else self.storage
        check_place(where)
        self._check_numbers()
        stored = self._stored(where) if self.resume else None
        if not self.resume and self.storage is None:
            check_new_run(self.out)
        job = self.job(stored, where)
        if stored is not None and job.run.env_steps > stored.env_steps:
            more = f"{job.run.env_steps:,} instead of {stored.env_steps:,}"
            told = f"env-steps: {more}; learning rates and exploration follow the schedules of the larger budget"
            plain_console().print(told, highlight=False, soft_wrap=True)
        from meqc_marl.jobs.here import carry_out

        try:
            carry_out(Description(job, where, self.placement()), resume=self.resume)
        except Interrupted as stop:
            if not stop.begun:
                raise
            place = ["--out", str(self.out)] if self.storage is None else ["--storage", self.storage]
            again = shlex.join(["meqc-marl", "train", "--resume", *place])
            plain_console().print(f"stopped early; go on with: {again}", highlight=False, soft_wrap=True)
            raise

    def _stored(self, where: str) -> Run | None:
        from meqc_marl.storage import Storage

        stored = stored_run(Storage.reading(where))
        if stored is None and self.storage is None:
            raise InputError(f"run folder '{where}' holds no run to resume.")
        return stored
