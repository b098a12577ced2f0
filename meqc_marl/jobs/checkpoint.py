"""Checkpoints that are whole or absent, and say what they belong to: written aside, synced, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meqc_marl.errors import InputError
from meqc_marl.files import sync_folder, telling_what_cannot_be_written
from meqc_marl.jobs.manifest import describe, digest, first_difference, plain, sealed, unsealed
from meqc_marl.jobs.run import completed
from meqc_marl.policies.folders import CHECKPOINT_PREFIX, POLICY_FOLDER, list_checkpoints

if TYPE_CHECKING:
    from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
    from meqc_marl.policies.learned import LearnedPolicy

MANIFEST = "manifest.json"
_ASIDE = ".incomplete-"
_PASSED_OVER = "passed-over-"


def save_checkpoint(
    algorithm: DQNDDPG,
    policy: LearnedPolicy,
    run_folder: Path,
    keep: int = 2,
    *,
    belongs_to: Mapping[str, Any] | None = None,
    guard: Callable[[], None] = lambda: None,
) -> Path:
    """Write ``checkpoint_<iteration>`` into a run's folder and remove all but the newest few.

    Args:
        algorithm: What to save: weights, optimizers, targets, replay buffer, random state, environments, queues.
        policy: Its greedy policy, stored beside it for use without Ray.
        run_folder: The run's folder.
        keep: Number of checkpoints kept.
        belongs_to: What tells the run from others, such as its scenario and seed; as JSON can hold it.
        guard: Asked when all is written and nothing replaced yet; raises if nothing may be.

    Raises:
        InputError: If the folder cannot be written.
    """
    final = run_folder / f"{CHECKPOINT_PREFIX}{algorithm.iteration:06d}"
    aside = run_folder / f"{_ASIDE}{secrets.token_hex(4)}"
    with telling_what_cannot_be_written(f"checkpoint '{final}'"):
        try:
            aside.mkdir()
            algorithm.save_to_path(str(aside.resolve()))
            (aside / POLICY_FOLDER).mkdir()
            policy.save(aside / POLICY_FOLDER)
            content = {"files": describe(aside), "belongs_to": plain(belongs_to or {})}
            (aside / MANIFEST).write_bytes(sealed(content))
            sync_folder(aside)
            guard()
            if final.exists():
                os.replace(final, run_folder / f"{_ASIDE}{secrets.token_hex(4)}")
            os.replace(aside, final)
            sync_folder(run_folder, below=False)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    for old in list_checkpoints(run_folder)[:-keep]:
        shutil.rmtree(old)
    remove_incomplete(run_folder)
    return final


def newest_whole(
    run_folder: Path, belongs_to: Mapping[str, Any], tell: Callable[[str], None] | None = None
) -> Path | None:
    """The newest checkpoint that is whole and of this run; None if the run has none yet.

    Newer ones that are damaged or of another run are renamed, so that nothing takes them for the newest.

    Args:
        run_folder: The run's folder.
        belongs_to: What tells the run from others.
        tell: Told what is passed over, and why; by default printed on stderr.

    Raises:
        InputError: If there are checkpoints and none will do, or the folder cannot be changed.
    """
    tell = tell or (lambda text: print(text, file=sys.stderr, flush=True))
    there = list_checkpoints(run_folder)[::-1]
    flaws: list[tuple[Path, str]] = []
    for checkpoint in there:
        flaw = flaw_of(checkpoint, belongs_to)
        if flaw is None:
            break
        flaws.append((checkpoint, flaw))
    if there and len(flaws) == len(there):
        listed = "; ".join(f"{checkpoint.name} {flaw}" for checkpoint, flaw in flaws[:3])
        raise InputError(f"run folder '{run_folder}' holds no checkpoint to go on from: {listed}.")
    for checkpoint, flaw in flaws:
        with telling_what_cannot_be_written(f"run folder '{run_folder}'"):
            os.replace(checkpoint, run_folder / f"{_PASSED_OVER}{checkpoint.name}-{secrets.token_hex(2)}")
        tell(f"{checkpoint.name} {flaw}; it is passed over and renamed, and the run goes on from an older one")
    return there[len(flaws)] if there else None


def flaw_of(checkpoint: Path, belongs_to: Mapping[str, Any]) -> str | None:
    """What keeps a run from going on from a checkpoint, as the end of a sentence; None if nothing does."""
    try:
        content = unsealed((checkpoint / MANIFEST).read_bytes())
        for name, (size, sha256) in content["files"].items():
            if (checkpoint / name).stat().st_size != size:
                return f"is damaged ({name} has not its {size:,} bytes)"
            with (checkpoint / name).open("rb") as file:
                if digest(file) != sha256:
                    return f"is damaged ({name} has another checksum)"
    except FileNotFoundError as error:
        return f"is damaged ({Path(error.filename).name} is missing)"
    except (OSError, ValueError) as error:
        return f"is damaged ({getattr(error, 'strerror', None) or f'{MANIFEST}: {error}'})"
    mine = plain(belongs_to)
    other = first_difference(completed(content["belongs_to"], mine), mine)
    return None if other is None else f"is of another run ({other})"


def remove_incomplete(run_folder: Path) -> None:
    """Remove what a killed run left half written, and what was replaced."""
    for aside in run_folder.glob(f"{_ASIDE}*"):
        shutil.rmtree(aside)
