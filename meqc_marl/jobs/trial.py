"""A training run as a trial of Ray Tune, which goes on from its own checkpoints."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.fs
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.annotations import override
from ray.train._internal.session import _TrainingResult
from ray.tune.result import TIMESTEPS_TOTAL
from torch.utils.tensorboard import SummaryWriter

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.files import telling_what_cannot_be_written
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.trial_checkpoint import Curve, farthest_sound, last_number, remove_others, seal
from meqc_marl.policies.folders import POLICY_FOLDER
from meqc_marl.rl.evaluation import EVALUATION, evaluate_against_oracle, files_of, mode_map, policy_of
from meqc_marl.rl.tensorboard import MODE_MAP, env_steps, keep_what_is_shown

BUDGET_SPENT = "budget_spent"
"""1 in the last result of a trial."""


def trial_config(name: str, run: Run, placement: Placement) -> dict[str, Any]:
    """What Tune gives to a trial: all that it is, as plain data."""
    placed = placement.model_dump(mode="json", exclude_defaults=True)
    return {"trial": {"name": name, "labels": run.labels, "run": run.compact(), "placement": placed}}


class TunedRun(DQNDDPG):
    """A training run that Ray Tune starts: :func:`trial_config` in, counted environment steps out."""

    @classmethod
    def spec(cls, config: dict[str, Any]) -> Run:
        """The run that a trial's configuration holds."""
        return Run.model_validate(config["trial"]["run"])

    @classmethod
    def _configuration(cls, config: dict[str, Any]) -> Any:
        return configuration(cls.spec(config), Placement.model_validate(config["trial"]["placement"]))

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        self._budget = self.env_steps_budget = self.spec(config).env_steps
        super().__init__(self._configuration(config), **kwargs)

    @classmethod
    @override(Algorithm)
    def default_resource_request(cls, config: Any) -> Any:
        return DQNDDPG.default_resource_request(cls._configuration(config))

    @override(Algorithm)
    def step(self) -> dict[str, Any]:
        result = super().step()
        # Tune's loggers take it for the horizontal axis.
        result[TIMESTEPS_TOTAL] = env_steps(result)
        result[BUDGET_SPENT] = int(result[TIMESTEPS_TOTAL] >= self._budget)
        return result


class OffloadingTrial(TunedRun):
    """A trial of a study: evaluated before its first step as well, with a checkpoint that says how far it is.

    It goes on from its own newest checkpoint, whatever Tune knows of it: Tune's state may be behind, or gone.
    """

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        self._identity = self.spec(config).identity()
        self._curve: Curve = []
        self._has_begun = False
        self._has_ended = False
        super().__init__(config, **kwargs)

    @override(Algorithm)
    def step(self) -> dict[str, Any]:
        if not self._has_begun:
            self._go_on()
        if self._has_ended:
            steps, metrics = self._curve[-1]
            return {TIMESTEPS_TOTAL: steps, BUDGET_SPENT: 1, EVALUATION: metrics}
        if not self._curve:
            self._curve.append((0, evaluate_against_oracle(self)))
        return super().step()

    @override(Algorithm)
    def log_result(self, result: dict[str, Any]) -> None:
        if not self._has_ended:
            super().log_result(result)  # evaluates
            if EVALUATION in result:
                self._curve.append((result[TIMESTEPS_TOTAL], result[EVALUATION]))
        keep_what_is_shown(result, (BUDGET_SPENT, EVALUATION))

    @override(Algorithm)
    def save_checkpoint(self, checkpoint_dir: str) -> Any:
        with telling_what_cannot_be_written(f"checkpoint '{checkpoint_dir}'"):
            saved = super().save_checkpoint(checkpoint_dir)
            folder = Path(checkpoint_dir) / POLICY_FOLDER
            folder.mkdir()
            policy_of(self).save(folder)
            seal(Path(checkpoint_dir), self._last_result, self._curve, self._identity)
        return saved

    @override(Algorithm)
    def save(self, checkpoint_dir: str | None = None) -> Any:
        saved = super().save(checkpoint_dir)
        remove_others(saved.checkpoint)
        if self._curve[-1][0] >= self._budget and not self._has_ended:
            self._write_mode_map()
        return saved

    @override(Algorithm)
    def restore(self, checkpoint_path: Any) -> None:
        """Go on from the trial's own checkpoint that got farthest, whichever Tune names; without any begin anew."""
        self._go_on()

    def _go_on(self) -> None:
        self._has_begun = True
        where = self._storage.storage_filesystem, self._storage.trial_fs_path
        found = farthest_sound(*where, self._identity)
        # Tune may count from before; what is there must not be written over.
        self._storage.current_checkpoint_index = last_number(*where)
        if found is None:
            return
        super().restore(_TrainingResult(found.checkpoint, found.metrics))
        self._curve = found.curve
        if found.env_steps >= self._budget:
            # Its last checkpoint was there before Tune took down that it had ended: only the end is told again.
            self._has_ended = True
            self._iteration -= 1

    def _write_mode_map(self) -> None:
        """A TensorBoard file of its own in the trial's folder: where the trained policy and the oracle compute."""
        with tempfile.TemporaryDirectory() as folder:
            with SummaryWriter(folder, filename_suffix=".modes") as writer:
                writer.add_image(
                    MODE_MAP, mode_map(policy_of(self), files_of(self)), self._curve[-1][0], dataformats="HWC"
                )
            storage = self._storage
            pyarrow.fs.copy_files(folder, storage.trial_fs_path, destination_filesystem=storage.storage_filesystem)
