"""A trained policy without Ray: two small torch networks, stored as JSON and safetensors (no pickle)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from meqc_marl.config import Scenario
from meqc_marl.config.io import scenario_of
from meqc_marl.dqn_ddpg.bounds import Bounds, unit_parameters
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic, Decision
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.env.view import VIEWS, unseen_changes
from meqc_marl.errors import InputError
from meqc_marl.files import each_once
from meqc_marl.physics.cost import Mode
from meqc_marl.physics.granting import placed_fractions
from meqc_marl.policies.base import Policy, Situation
from meqc_marl.policies.folders import DESCRIPTION, WEIGHTS, policy_folder
from meqc_marl.registry import WITHOUT_CODE

_FORMAT = 2
_KEYS = {"format", "network", "observation_columns", "scenario", "drawn", "sha256"}
_SPEC = TypeAdapter(NetworkSpec)
_MOST_LAYERS, _WIDEST = 32, 65_536


@dataclass
class LearnedPolicy(Policy):
    """The greedy action of a DQN head and a DDPG head, the same for every device.

    Attributes:
        spec: Layout of the heads.
        actor: DDPG head.
        critic: DQN head.
        name: For reports.
        scenario: What it was trained on, if known.
        columns: The observation's columns that it reads.
        drawn: Fields of the scenario that were drawn anew for each row in training.
    """

    spec: NetworkSpec
    actor: Actor
    critic: Critic
    name: str = "learned"
    scenario: Scenario | None = None
    placed = None
    columns: tuple[str, ...] | None = SUFFICIENT_COLUMNS
    drawn: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | Path, name: str = "learned") -> LearnedPolicy:
        """See :func:`load_policy`."""
        return load_policy(path, name)

    def unseen_in(self, scenario: Scenario) -> list[str]:
        """Fields that differ from those of training and that no column shows."""
        return [] if self.scenario is None else unseen_changes(self.scenario, scenario, self.drawn)

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Mode and fraction [E, M].

        Raises:
            InputError: If it sees the others and its columns do not tell who is there, while devices come and go.
        """
        masked = {mode for mode, _ in self.spec.mask_columns}
        if situation.present is not None and self.spec.context != "none" and len(masked) < len(Mode):
            raise InputError(
                f"policy '{self.name}' sees all devices of a slot, but its columns do not tell who is there, and here "
                "devices come and go; train one with observation = sufficient."
            )
        return self.decide(situation.observation)

    def decide(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decide from observations alone.

        Args:
            observation: Float32 [..., D], the backlog column filled in; [..., M, D], all devices of a slot, if the
                policy sees the others.

        Returns:
            Mode int64 [...] and fraction float64 [...] (0 for LOCAL).
        """
        lead = observation.shape[:-1]
        alone = self.spec.context == "none"
        if not alone and not (len(lead) and lead[-1]):
            raise InputError(
                f"policy '{self.name}' sees all devices of a slot; its observations must be [..., M, D], not "
                f"{list(observation.shape)}."
            )
        kept = observation.shape[-1:] if alone else observation.shape[-2:]
        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(observation, np.float32).reshape(-1, *kept))
            mode, fraction = Decision(self.spec, self.actor, self.critic)(rows)
        if not fraction.isfinite().all():
            raise InputError(f"policy '{self.name}' decides a fraction that is not a finite number.")
        return mode.numpy().reshape(lead), fraction.numpy().astype(np.float64).reshape(lead)

    def save(self, folder: Path) -> None:
        """Write the policy's two files, with their checksums, into an existing folder."""
        weights = {f"actor.{k}": v for k, v in self.actor.state_dict().items()}
        weights |= {f"critic.{k}": v for k, v in self.critic.state_dict().items()}
        content = save({name: value.contiguous() for name, value in weights.items()})
        (folder / WEIGHTS).write_bytes(content)  # with the user's umask, unlike the files of safetensors
        description = {
            "format": _FORMAT,
            "network": self.spec.to_json(),
            "observation_columns": list(self.columns or ()),
            "scenario": self.scenario.model_dump(mode="json") if self.scenario else None,
            "drawn": list(self.drawn),
        }
        description["sha256"] = {
            WEIGHTS: _digest(content),
            DESCRIPTION: _own_digest(description),
        }
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=2))


def load_policy(path: str | Path, name: str = "learned") -> LearnedPolicy:
    """Load a policy from a run of ``meqc-marl train`` (its newest checkpoint), or from one of its checkpoints.

    All devices share one network, so the policy serves any number of them. Nothing in the folder is run: parts of the
    scenario from outside the package, ``module:name``, are imported by whoever draws traces of it and not here.

    Args:
        path: Folder of the run, of a checkpoint, or of the policy in a checkpoint; or a URI of one (``s3://``,
            ``gs://``).
        name: Name for reports.

    Raises:
        InputError: If the folder is missing, a file in it is damaged, a weight is not a finite number, or its
            observations or actions are not those of this system.
    """
    with policy_folder(path) as (root, folder):
        description, spec, scenario, drawn = _read_description(root, folder)
        try:
            actor, critic = _read_heads(spec, folder / WEIGHTS)
            _check_digests(description.get("sha256"), folder, description)
        except (SafetensorError, RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(root, WEIGHTS, error) from error
    return LearnedPolicy(spec, actor, critic, name, scenario, tuple(description["observation_columns"]), drawn)


def _read_description(root: str, folder: Path) -> tuple[dict[str, Any], NetworkSpec, Scenario | None, tuple[str, ...]]:
    version, columns = _FORMAT, SUFFICIENT_COLUMNS
    try:
        content = (folder / DESCRIPTION).read_bytes()
        description: dict[str, Any] = json.loads(content, parse_constant=_no_constant, object_pairs_hook=each_once)
        version = description["format"]
        if version == _FORMAT:
            if unknown := sorted(description.keys() - _KEYS):
                raise ValueError(f"{unknown[0]!r} is unknown")
            columns = tuple(str(column) for column in description["observation_columns"])
            spec = _read_spec(description["network"])
            there = description["scenario"]
            scenario = scenario_of(there, WITHOUT_CODE) if there else None
            drawn = _names(description.get("drawn", []))
    except (ValueError, KeyError, TypeError, OSError, AttributeError, OverflowError, RecursionError) as error:
        raise _damaged(root, DESCRIPTION, error) from error
    if version == 1:
        raise InputError(
            f"checkpoint '{root}' has format 1: it was trained to pay for missed deadlines, which are kept now, on "
            f"observations that do not say how; train it again (this version reads format {_FORMAT})."
        )
    if version != _FORMAT:
        raise InputError(f"checkpoint '{root}' has format {str(version)[:20]!s}; this version reads format {_FORMAT}.")
    if "drawn" not in description and scenario is not None and placed_fractions(scenario):
        raise InputError(
            f"checkpoint '{root}' is of an earlier version, whose fractions stood for other shares where devices share "
            "(the middle of an interval is now where both parts of a task end together); train it again."
        )
    if columns not in VIEWS or spec.observation_size != len(columns):
        raise InputError(
            f"checkpoint '{root}' observes the {len(columns)} columns {_short(', '.join(columns))}; this system has "
            + ", or ".join(f"{len(view)} from {view[0]} to {view[-1]}" for view in VIEWS)
            + "."
        )
    return description, spec, scenario, drawn


def _names(there: Any) -> tuple[str, ...]:
    if not isinstance(there, list) or not all(isinstance(name, str) for name in there):
        raise ValueError("'drawn' is no list of names")
    return tuple(there)


def _read_spec(network: Any) -> NetworkSpec:
    """The layout of the heads, if its types and sizes are those of a policy of this system."""
    try:
        _SPEC.validate_json(json.dumps(network), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise ValueError(first["msg"].removeprefix("Value error, ").rstrip(".")) from error
        where = "".join(f"[{key}]" if isinstance(key, int) else str(key) for key in first["loc"])
        raise ValueError(f"{where or 'network'} is {_short(repr(first['input']))}") from error
    layers = network["hidden"]
    if len(layers) > _MOST_LAYERS or max(layers, default=0) > _WIDEST:
        raise ValueError(
            f"hidden is {_short(repr(layers))}; at most {_MOST_LAYERS} layers of at most {_WIDEST:,} are read"
        )
    spec = NetworkSpec.from_json(network)
    if spec.context_width > _WIDEST:
        raise ValueError(f"context_width is {spec.context_width}; at most {_WIDEST:,} is read")
    starts = [start for start, stop in spec.parameter_slots if stop > start]
    if spec.num_modes != len(Mode) or spec.num_parameters > len(Mode) or len(set(starts)) < len(starts):
        raise ValueError(f"parameter_slots is {_short(repr(network['parameter_slots']))}")
    if any(stop - start > 1 for start, stop in spec.parameter_slots):
        raise ValueError(f"parameter_slots is {_short(repr(network['parameter_slots']))}")
    return spec


def _read_heads(spec: NetworkSpec, path: Path) -> tuple[Actor, Critic]:
    """The two networks, if the file holds exactly their weights; told before memory is taken for either."""
    with torch.device("meta"):
        parts = {"actor.": Actor(spec), "critic.": Critic(spec)}
    expected = {f"{head}{name}": list(v.shape) for head, part in parts.items() for name, v in part.state_dict().items()}
    with safe_open(path, "pt") as file:
        there = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        for name in sorted(expected.keys() ^ there.keys()):
            raise ValueError(f"{_short(name)} is {'missing' if name in expected else 'unknown'}")
        for name, shape in expected.items():
            if there[name].get_shape() != shape or there[name].get_dtype() != "F32":
                raise ValueError(
                    f"{name} is {there[name].get_dtype()} {there[name].get_shape()}, where policy.json says F32 {shape}"
                )
        weights = {name: file.get_tensor(name) for name in expected}
    for name, value in weights.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} holds a weight that is not a finite number")
    actor, critic = Actor(spec).eval(), Critic(spec).eval()
    for head, part in (("actor.", actor), ("critic.", critic)):
        part.load_state_dict({k.removeprefix(head): v for k, v in weights.items() if k.startswith(head)})
    _check_outputs(spec, actor, critic)
    return actor, critic


def _check_outputs(spec: NetworkSpec, actor: Actor, critic: Critic) -> None:
    """Finite weights may be so large that their sums are not."""
    rows = torch.tensor([[0.0], [1.0], [-1.0], [1e3]]).expand(-1, spec.observation_size)
    if spec.context != "none":
        rows = torch.stack([rows, *(row.expand_as(rows) for row in rows)])
    with torch.inference_mode():
        raw = actor(rows)
        values = (raw, critic(rows, Bounds(spec, rows).shown_to_critic(unit_parameters(spec, raw))))
    if not all(value.isfinite().all() for value in values):
        raise ValueError("its weights are so large that its outputs are not finite numbers")


def _check_digests(told: Any, folder: Path, description: dict[str, Any]) -> None:
    """Compare the checksums, if there are any: folders from before have none."""
    if told is None and "sha256" not in description:
        return
    rest = {key: value for key, value in description.items() if key != "sha256"}
    for name, digest in ((WEIGHTS, _digest((folder / WEIGHTS).read_bytes())), (DESCRIPTION, _own_digest(rest))):
        if not isinstance(told, dict) or told.get(name) != digest:
            raise ValueError(f"the checksum of {name} is another")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _own_digest(description: dict[str, Any]) -> str:
    return _digest(json.dumps(description, sort_keys=True).encode())


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _damaged(root: str, file: str, error: Exception) -> InputError:
    said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    reason = _short(" ".join(said.split()).split(" For further information")[0], 200).rstrip(".")
    return InputError(f"checkpoint '{root}' is damaged: {file} cannot be read ({reason}).")


def _short(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
