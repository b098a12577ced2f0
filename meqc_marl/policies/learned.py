"""A trained policy without Ray: two small torch networks, stored as JSON and safetensors (no pickle)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from meqc_marl.config import Scenario
from meqc_marl.dqn_ddpg.networks import Actor, Critic, Decision, NetworkSpec
from meqc_marl.env.observation import OBSERVATION_COLUMNS
from meqc_marl.errors import InputError
from meqc_marl.policies.base import Policy, Situation
from meqc_marl.policies.folders import POLICY_FOLDER, list_checkpoints

_DESCRIPTION = "policy.json"
_WEIGHTS = "policy.safetensors"
_FORMAT = 1


@dataclass
class LearnedPolicy(Policy):
    """The greedy action of a DQN head and a DDPG head, the same for every device.

    Attributes:
        spec: Layout of the heads.
        actor: DDPG head.
        critic: DQN head.
        name: For reports.
        scenario: What it was trained on, if known.
    """

    spec: NetworkSpec
    actor: Actor
    critic: Critic
    name: str = "learned"
    scenario: Scenario | None = None

    @classmethod
    def load(cls, path: str | Path, name: str = "learned") -> LearnedPolicy:
        """See :func:`load_policy`."""
        return load_policy(path, name)

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Mode and fraction [E, M]."""
        return self.decide(situation.observation)

    def decide(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decide from observations alone.

        Args:
            observation: Float32 [..., D], the backlog column filled in.

        Returns:
            Mode int64 [...] and fraction float64 [...] (0 for LOCAL).
        """
        lead = observation.shape[:-1]
        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(observation, np.float32).reshape(-1, observation.shape[-1]))
            mode, fraction = Decision(self.spec, self.actor, self.critic)(rows)
        return mode.numpy().reshape(lead), fraction.numpy().astype(np.float64).reshape(lead)

    def save(self, folder: Path) -> None:
        """Write the policy's two files into an existing folder."""
        weights = {f"actor.{k}": v for k, v in self.actor.state_dict().items()}
        weights |= {f"critic.{k}": v for k, v in self.critic.state_dict().items()}
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / _WEIGHTS)
        description = {
            "format": _FORMAT,
            "network": self.spec.to_json(),
            "observation_columns": list(OBSERVATION_COLUMNS),
            "scenario": self.scenario.model_dump(mode="json") if self.scenario else None,
        }
        (folder / _DESCRIPTION).write_text(json.dumps(description, indent=2))


def load_policy(path: str | Path, name: str = "learned") -> LearnedPolicy:
    """Load a policy from a run of ``meqc-marl train`` (its newest checkpoint), or from one of its checkpoints.

    All devices share one network, so the policy serves any number of them.

    Args:
        path: Folder of the run, of a checkpoint, or of the policy in a checkpoint.
        name: Name for reports.

    Raises:
        InputError: If the folder is missing, a file in it is damaged, or its observations are not those of this system.
    """
    root = Path(path)
    if checkpoints := list_checkpoints(root):
        root = checkpoints[-1]
    folder = root / POLICY_FOLDER if (root / POLICY_FOLDER).is_dir() else root
    if not (folder / _DESCRIPTION).is_file():
        what = "has no policy in it" if root.exists() else "does not exist"
        raise InputError(f"checkpoint '{root}' {what}; give a checkpoint folder written by 'meqc-marl train'.")
    try:
        description: dict[str, Any] = json.loads((folder / _DESCRIPTION).read_text())
        version = description["format"]
        if version == _FORMAT:
            columns = [str(column) for column in description["observation_columns"]]
            spec = NetworkSpec.from_json(description["network"])
            scenario = Scenario.model_validate(description["scenario"]) if description["scenario"] else None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _damaged(root, _DESCRIPTION, error) from error
    if version != _FORMAT:
        raise InputError(f"checkpoint '{root}' has format {version}; this version reads format {_FORMAT}.")
    if columns != list(OBSERVATION_COLUMNS) or spec.observation_size != len(columns):
        raise InputError(
            f"checkpoint '{root}' observes the {len(columns)} columns {', '.join(columns)}; this system has the "
            f"{len(OBSERVATION_COLUMNS)} columns {', '.join(OBSERVATION_COLUMNS)}."
        )
    try:
        weights = load_file(folder / _WEIGHTS)
        actor, critic = Actor(spec), Critic(spec)
        for head, part in (("actor.", actor), ("critic.", critic)):
            part.load_state_dict({k.removeprefix(head): v for k, v in weights.items() if k.startswith(head)})
    except (SafetensorError, RuntimeError, OSError) as error:
        raise _damaged(root, _WEIGHTS, error) from error
    return LearnedPolicy(spec, actor.eval(), critic.eval(), name, scenario)


def _damaged(root: Path, file: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split()).split(" For further information")[0][:200]
    return InputError(f"checkpoint '{root}' is damaged: {file} cannot be read ({reason}).")
