"""How far many trials are, told while Tune runs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ray import tune
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial
from ray.tune.result import TIMESTEPS_TOTAL

from meqc_marl.jobs.protocol import TrialsProgress

Report = Callable[[TrialsProgress], None]
"""Told how far the trials are."""
TOLD_EVERY_S = 1.0
"""Seconds between two messages while no trial starts or ends: each is a line in a cluster's log."""


class TellTrials(tune.Callback):
    """Tells whenever a trial starts or ends, and every second while they train.

    Args:
        report: Is told.
        total: Trials in all.
        total_env_steps: Their budgets together; 0 if steps are not counted.
        finished: Trials that had ended before, which Tune does not know.
        env_steps: Steps of those.
        begun: Steps that others have made before, by name.
    """

    def __init__(
        self,
        report: Report,
        total: int,
        total_env_steps: int,
        finished: int = 0,
        env_steps: int = 0,
        begun: Mapping[str, int] | None = None,
    ) -> None:
        self._report, self._total, self._total_env_steps = report, total, total_env_steps
        self._finished, self._env_steps = finished, env_steps
        self._steps = dict(begun or {})
        self._over: set[str] | None = None
        self._told_at = 0.0
        self.tell([])

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune stores its callbacks; who is told belongs to this process

    def tell(self, trials: list[Trial]) -> None:
        """Tell how far these trials and those of before are."""
        if self._over is None and trials:  # those that Tune knows to have ended when it begins
            self._over = {str(trial) for trial in trials if trial.status == Trial.TERMINATED}
        over, spared = self._over or set(), 0
        for trial in trials:
            name, made = str(trial), int((trial.last_result or {}).get(TIMESTEPS_TOTAL, 0))
            self._steps[name] = made if name in over else max(made, self._steps.get(name, 0))
            if name in over:  # one that is stopped early does not need what is left of its budget
                spared += max(0, _budget(trial) - made)
        states = [trial.status for trial in trials if str(trial) not in over]
        env_steps = self._env_steps + sum(self._steps.values())
        self._told_at = time.monotonic()
        self._report(
            TrialsProgress(
                finished=self._finished + len(over),
                running=states.count(Trial.RUNNING),
                failed=states.count(Trial.ERROR),
                total=self._total,
                env_steps=env_steps,
                total_env_steps=max(self._total_env_steps - spared, env_steps) if self._total_env_steps else 0,
            )
        )

    @override(tune.Callback)
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.tell(trials)

    @override(tune.Callback)
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if time.monotonic() - self._told_at >= TOLD_EVERY_S:
            self.tell(trials)

    @override(tune.Callback)
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        # Not by Tune's word for its state: where it is interrupted, it calls trials ended that are halfway.
        self._over = (self._over or set()) | {str(trial)}
        self.tell(trials)

    @override(tune.Callback)
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.tell(trials)

    @override(tune.Callback)
    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self.tell(trials)


def _budget(trial: Trial) -> int:
    return int(trial.config.get("trial", {}).get("run", {}).get("env_steps", 0))
