"""Stand-ins for training runs: as Tune's driver and the storage see them, without the training."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.result import TIMESTEPS_TOTAL

from meqc_marl.jobs.run import Run
from meqc_marl.jobs.trial_checkpoint import remove_others, seal


class StandIn(tune.Trainable):
    """Lets time pass, and tells results and writes checkpoints of the size of a trial's."""

    pace: dict[str, Any]

    @classmethod
    def of(cls, result: dict[str, Any], iterations: int, iteration_s: float, checkpoint_mb: float) -> type[StandIn]:
        """The class of a measurement's trials.

        Args:
            result: What a trial tells of an iteration.
            iterations: How many a trial has.
            iteration_s: Seconds of one.
            checkpoint_mb: Size of a checkpoint.
        """
        given = {"iterations": iterations, "iteration_s": iteration_s, "checkpoint_mb": checkpoint_mb}
        return type(cls.__name__, (cls,), {"pace": {"result": result, **given}, "__module__": cls.__module__})

    @classmethod
    def default_resource_request(cls, config: Any) -> Any:
        """A core."""
        return tune.PlacementGroupFactory([{"CPU": 1}])

    def setup(self, config: Any) -> None:
        """Nothing but to begin."""
        self.done = 0
        self.identity = Run.model_validate(config["trial"]["run"]).identity()

    def step(self) -> dict[str, Any]:
        """One iteration."""
        time.sleep(self.pace["iteration_s"])
        self.done += 1
        spent = int(self.done >= self.pace["iterations"])
        return {**self.pace["result"], TIMESTEPS_TOTAL: self.done, "budget_spent": spent}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Bytes that no file system can shrink."""
        folder = Path(checkpoint_dir)
        (folder / "state").write_bytes(os.urandom(int(self.pace["checkpoint_mb"] * 1e6)))
        (folder / "done.json").write_text(json.dumps(self.done))
        seal(folder, self._last_result, [], self.identity)

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """As a trial does it."""
        saved = super().save(checkpoint_dir)
        remove_others(saved.checkpoint)
        return saved

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on."""
        self.done = json.loads((Path(checkpoint) / "done.json").read_text())
