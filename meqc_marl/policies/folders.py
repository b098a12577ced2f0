"""Where a run keeps its checkpoints, and in each of them the policy."""

from __future__ import annotations

from pathlib import Path

POLICY_FOLDER = "policy"
"""Of the policy in a checkpoint."""
CHECKPOINT_PREFIX = "checkpoint_"
"""Begins the name of a checkpoint; its training iteration follows."""


def list_checkpoints(run_folder: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    names = CHECKPOINT_PREFIX
    found = [p for p in run_folder.glob(f"{names}*") if p.is_dir() and p.name.removeprefix(names).isdecimal()]
    return sorted(found, key=lambda p: int(p.name.removeprefix(names)))
