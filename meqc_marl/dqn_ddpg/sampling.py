"""Rounds of sampling over EnvRunners that may fail, with what is lost counted."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from functools import partial
from typing import Any

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from .errors import SamplingError

FAULTS = "faults"
_logger = logging.getLogger(__name__)


class Sampler:
    """Asks EnvRunners for rounds of fragments.

    Args:
        group: The EnvRunnerGroup.
        config: The algorithm's configuration.
        metrics: Where the runners' metrics and the faults are logged.
    """

    def __init__(self, group: Any, config: Any, metrics: Any) -> None:
        self._group, self._config, self._metrics = group, config, metrics
        self._empty_rounds = 0
        self._original_error = ""
        self._dead_since: float | None = None

    def sample(self, env_steps: int | None = None) -> list[Any]:
        """A round of fragments, one from each EnvRunner that is well; of stock EnvRunners, episodes.

        Args:
            env_steps: Of each EnvRunner, in whole slots of its rows; as configured if None.

        Raises:
            SamplingError: If several rounds on end brought nothing, with the environment's own error; or all EnvRunners
                have died and do not come back.
        """
        if not self._config.num_env_runners:
            samples: list[Any] = self._group.local_env_runner.sample(num_timesteps=env_steps)
            self._metrics.aggregate([self._group.local_env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
            return samples
        answers = self._round_ahead() if self._config.asynchronous else self._round(env_steps)
        self._metrics.aggregate([metrics for _, metrics, _ in answers], key=ENV_RUNNER_RESULTS)
        samples = [sample for samples, _, _ in answers for sample in samples]
        lost = self._config.num_env_runners - sum(bool(samples) for samples, _, _ in answers)
        if lost > 0:
            self._metrics.log_value((FAULTS, "sample_rounds_lost"), lost, reduce="lifetime_sum")
        for _, _, error in answers:
            if error is not None:
                self._original_error = error
                _logger.warning("an environment failed and was built anew:\n%s", error)
        self._check(bool(samples), len(answers))
        return samples

    def _check(self, is_sampled: bool, num_answers: int) -> None:
        """End training where nothing comes any more.

        RLlib restarts a failed runner for ever; an environment that always fails would spin here without a word. But
        runners whose processes or machines have died need time to start again, on a machine that may have to be found:
        they are waited for as long as RLlib's configuration says (``env_runner_restore_timeout_s``).
        """
        now = time.monotonic()
        if is_sampled:
            self._empty_rounds, self._dead_since = 0, None
            return
        if num_answers or self._group.num_healthy_remote_env_runners():
            self._empty_rounds, self._dead_since = self._empty_rounds + 1, None
            if self._empty_rounds >= self._config.max_empty_sampling_rounds:
                raise SamplingError(
                    f"no EnvRunner returned a sample in {self._empty_rounds} rounds. "
                    + (
                        f"The original error:\n{self._original_error}"
                        if self._original_error
                        else "They do not answer."
                    )
                )
        elif self._dead_since is None:
            _logger.warning("all EnvRunners have died; waiting for Ray to start them again")
            self._dead_since = now
        elif now - self._dead_since > self._config.env_runner_restore_timeout_s:
            waited = f"{now - self._dead_since:.0f} s"
            raise SamplingError(f"all EnvRunners have died and none has come back within {waited}.")
        time.sleep(1.0)

    def _round(self, env_steps: int | None) -> list[Any]:
        """Let all remote EnvRunners sample, and wait for them."""
        work = _sample_safely if env_steps is None else partial(_sample_safely, env_steps=env_steps)
        return self._group.foreach_env_runner(
            work, local_env_runner=False, timeout_seconds=self._config.sample_timeout_s
        )

    def _round_ahead(self) -> list[Any]:
        """As many fragments as there are EnvRunners, from whichever have finished; all go on sampling."""
        group = self._group
        answers: list[Any] = []
        deadline = time.monotonic() + self._config.sample_timeout_s
        while len(answers) < max(1, group.num_healthy_remote_env_runners()) and time.monotonic() < deadline:
            group.foreach_env_runner_async(_sample_safely, tag="sample")
            answers += [answer for _, answer in group.fetch_ready_async_reqs(tags="sample", timeout_seconds=0.1)]
            if not group.num_healthy_remote_env_runners():
                break
        group.foreach_env_runner_async(_sample_safely, tag="sample")
        return answers


def _sample_safely(runner: Any, env_steps: int | None = None) -> tuple[list[Any], Any, str | None]:
    """Samples, metrics and error of an EnvRunner, whose environment is built anew if it failed.

    RLlib's own way is to end the actor, wait for a minute and lose the error.
    """
    try:
        return runner.sample(num_timesteps=env_steps), runner.get_metrics(), None
    except Exception:
        error = traceback.format_exc()
    with contextlib.suppress(Exception):  # of an environment that is broken already
        runner.stop()
    try:
        runner.make_env()
    except Exception:
        error += "\nand when it was built anew:\n" + traceback.format_exc()
    return [], runner.get_metrics(), error
