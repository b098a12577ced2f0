"""``meqc-marl train``: train a policy and say how far it is from the optimum."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from meqc_marl.cli.compare import Compare
from meqc_marl.cli.options import (
    MAX_ENV_RUNNERS,
    MAX_ENV_STEPS,
    MAX_SECONDS,
    MAX_TRACES,
    MAX_TRAINING_SEED,
    InputFile,
    LearnerParameters,
    Overrides,
    ScenarioSource,
    parse_assignments,
    read_mapping,
    within,
)
from meqc_marl.config import Scenario, load_scenario
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.run_folder import check_new_run, load_run
from meqc_marl.report.plain import plain_console


@dataclass(frozen=True)
class Train:
    """Train a DQN+DDPG policy, then compare it with the exact oracle and the baselines on held-out traces."""

    scenario: ScenarioSource = "paper"
    """Preset or YAML file; `meqc-marl scenario show` lists its fields."""
    overrides: Overrides = ()
    """Change a field of the scenario, such as cost.latency=sequential; may be repeated."""
    v: float | None = None
    """Weight V of the cost against the backlog; short for --set lyapunov.v=."""
    delta: float | None = None
    """Least mean offloading fraction Delta; short for --set lyapunov.delta=."""
    seed: int = 0
    """Seed of networks, exploration, replay and nature."""
    env_steps: int | None = None
    """Budget in environment steps (slots of a row); by default about three minutes' worth on two cores."""
    num_env_runners: int = 0
    """Remote samplers; 0 samples in the main process, which is quickest for few cores."""
    env_runner: Literal["batched", "stock"] = "batched"
    """Ours over arrays, or RLlib's MultiAgentEnvRunner over the PettingZoo environment (slow)."""
    learner: LearnerParameters = ()
    """Change a parameter of the learner, such as critic=separate; may be repeated."""
    learner_file: InputFile = None
    """Parameters of the learner from a YAML file, such as the best of a search; --learner comes on top."""
    out: Path = Path("results/train")
    """Folder of the run: checkpoints, TensorBoard files, final table and picture."""
    resume: bool = False
    """Go on from the newest checkpoint in the folder, with the scenario and budget it was started with."""
    checkpoint_every_s: float = 60.0
    """Seconds between checkpoints."""
    num_traces: int = 10
    """Held-out traces of the final comparison."""

    def run(self) -> None:
        """Train, then compare."""
        self._check_numbers()
        learner = self._learner()
        resumed = self._resumed() if self.resume else None
        scenario = self._scenario() if resumed is None else resumed.scenario
        if resumed is None:
            check_new_run(self.out)
        # RLlib takes seconds to import; bad input has been told by now.
        from meqc_marl.jobs.training import train
        from meqc_marl.report.training_progress import show_training
        from meqc_marl.rl.config import default_env_steps

        run = resumed or Run(
            scenario=scenario,
            env_steps=self.env_steps or default_env_steps(scenario),
            seed=self.seed,
            num_env_runners=self.num_env_runners,
            env_runner=self.env_runner,
            learner=learner,
        )
        placement = Placement(checkpoint_every_s=self.checkpoint_every_s)
        console = plain_console()
        with show_training() as report:
            checkpoint, finished = train(run, self.out, report, placement=placement, resume=self.resume)
        console.print(f"checkpoint: {checkpoint}", highlight=False, soft_wrap=True)
        if not finished:
            again = f"meqc-marl train --resume --out {shlex.quote(str(self.out))}"
            console.print(f"stopped early; go on with: {again}", highlight=False, soft_wrap=True)
            raise KeyboardInterrupt
        Compare(
            scenario=str(self.out / "scenario.yaml"),
            checkpoints=(str(checkpoint),),
            num_traces=self.num_traces,
            json=self.out / "comparison.json",
            plot=self.out / "comparison.png",
        ).run()
        for what, where in (
            ("picture", self.out / "comparison.png"),
            ("numbers", self.out / "comparison.json"),
            ("curves", f"tensorboard --logdir {self.out}"),
        ):
            console.print(f"{what}: {where}", highlight=False, soft_wrap=True)

    def _check_numbers(self) -> None:
        within("seed", self.seed, 0, MAX_TRAINING_SEED)
        within("num-env-runners", self.num_env_runners, 0, MAX_ENV_RUNNERS)
        within("num-traces", self.num_traces, 1, MAX_TRACES)
        within("checkpoint-every-s", self.checkpoint_every_s, 0, MAX_SECONDS)
        if self.env_steps is not None:
            within("env-steps", self.env_steps, 1, MAX_ENV_STEPS)

    def _learner(self) -> dict[str, Any]:
        given = {} if self.learner_file is None else read_mapping("learner-file", self.learner_file)
        return given | parse_assignments("learner", self.learner)

    def _scenario(self) -> Scenario:
        short = [
            f"lyapunov.{name}={value!r}" for name, value in (("v", self.v), ("delta", self.delta)) if value is not None
        ]
        return load_scenario(self.scenario, [*self.overrides, *short])

    def _resumed(self) -> Run:
        """What the folder's run was started with; options that ask for something else are refused."""
        run = load_run(self.out)
        given = self.overrides or self.v is not None or self.delta is not None
        if given and self._scenario() != run.scenario:
            raise InputError(f"resume: the run in '{self.out}' has another scenario; leave out --set, --v and --delta.")
        if self.env_steps not in (None, run.env_steps):
            raise InputError(f"resume: the run in '{self.out}' has {run.env_steps:,} env-steps; leave out --env-steps.")
        if (self.learner or self.learner_file) and self._learner() != run.learner:
            raise InputError(f"resume: the run in '{self.out}' has other learner parameters; leave out --learner.")
        return run
