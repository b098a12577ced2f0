"""Checkpoints that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from meqc_marl.errors import InputError
from meqc_marl.policies.folders import CHECKPOINT_PREFIX, POLICY_FOLDER, list_checkpoints

if TYPE_CHECKING:
    from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
    from meqc_marl.policies.learned import LearnedPolicy

_ASIDE = ".incomplete-"


def save_checkpoint(algorithm: DQNDDPG, policy: LearnedPolicy, run_folder: Path, keep: int = 2) -> Path:
    """Write ``checkpoint_<iteration>`` into a run's folder and remove all but the newest few.

    Args:
        algorithm: What to save: weights, optimizers, targets, replay buffer, random state, environments, queues.
        policy: Its greedy policy, stored beside it for use without Ray.
        run_folder: The run's folder.
        keep: Number of checkpoints kept.

    Raises:
        InputError: If the folder cannot be written.
    """
    final = run_folder / f"{CHECKPOINT_PREFIX}{algorithm.iteration:06d}"
    try:
        aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=run_folder))
        try:
            algorithm.save_to_path(str(aside.resolve()))
            (aside / POLICY_FOLDER).mkdir()
            policy.save(aside / POLICY_FOLDER)
            if final.exists():
                shutil.rmtree(final)
            aside.chmod(0o755)
            os.replace(aside, final)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    except OSError as error:
        raise InputError(f"checkpoint '{final}' cannot be written: {error.strerror or error}.") from error
    for old in list_checkpoints(run_folder)[:-keep]:
        shutil.rmtree(old)
    return final


def remove_incomplete(run_folder: Path) -> None:
    """Remove what a killed run left half written."""
    for aside in run_folder.glob(f"{_ASIDE}*"):
        shutil.rmtree(aside)
