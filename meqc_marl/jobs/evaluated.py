"""A trial of Ray Tune that trains nothing: a trained policy, evaluated in the scenario of the trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune
from ray.rllib.utils.annotations import override
from ray.tune.result import TIMESTEPS_TOTAL

from meqc_marl.evaluation.held_out import beside_oracle, held_out_traces
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.trial import BUDGET_SPENT
from meqc_marl.jobs.trial_checkpoint import remove_others, seal
from meqc_marl.policies.folders import POLICY_FOLDER
from meqc_marl.policies.learned import load_policy
from meqc_marl.rl.evaluation import EVALUATION
from meqc_marl.rl.tensorboard import SHOWN


class EvaluatedPolicy(tune.Trainable):
    """One result, and a checkpoint that holds the policy; what it is, :func:`~meqc_marl.jobs.trial.trial_config` says.

    Its run is one of no more than a step, with the weights of the policy (``warm_start``).
    """

    @classmethod
    @override(tune.Trainable)
    def default_resource_request(cls, config: Any) -> Any:
        return tune.PlacementGroupFactory([{"CPU": 1}])

    @override(tune.Trainable)
    def setup(self, config: dict[str, Any]) -> None:
        self._run = Run.model_validate(config["trial"]["run"])
        self._policy = load_policy(self._run.warm_start or "")

    @override(tune.Trainable)
    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)  # a process serves many points: to start one takes longer than to evaluate
        return True

    @override(tune.Trainable)
    def step(self) -> dict[str, Any]:
        scenario = self._run.scenario
        measured = beside_oracle(self._policy, scenario, held_out_traces(scenario, files=self._run.trace))
        metrics = {name: float(value.mean()) for name, value in measured.items()}
        shown = {f"{EVALUATION}/{name}": value for name, value in metrics.items()}
        return {TIMESTEPS_TOTAL: self._run.env_steps, BUDGET_SPENT: 1, EVALUATION: metrics, SHOWN: shown}

    @override(tune.Trainable)
    def save_checkpoint(self, checkpoint_dir: str) -> None:
        folder = Path(checkpoint_dir) / POLICY_FOLDER
        folder.mkdir()
        self._policy.save(folder)
        curve = [(self._run.env_steps, self._last_result[EVALUATION])]
        seal(Path(checkpoint_dir), self._last_result, curve, self._run.identity())

    @override(tune.Trainable)
    def save(self, checkpoint_dir: str | None = None) -> Any:
        saved = super().save(checkpoint_dir)
        remove_others(saved.checkpoint)
        return saved

    @override(tune.Trainable)
    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: it is evaluated anew."""
