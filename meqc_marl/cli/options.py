"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from meqc_marl.config import PRESETS, Scenario, load_scenario
from meqc_marl.config.idle import refuse_idle
from meqc_marl.config.io import parse_assignment, places, read_yaml
from meqc_marl.dqn_ddpg.options import settable
from meqc_marl.errors import InputError, shown, within
from meqc_marl.nature.library import LibraryFiles, fixed_by_traces, open_library
from meqc_marl.nature.trace import MAX_SEED
from meqc_marl.policies import POLICIES
from meqc_marl.registry import WITHOUT_CODE

Overrides = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="set", metavar="FIELD=VALUE")]
"""``--set cost.latency=sequential``, as often as needed."""

Variations = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="vary", metavar="FIELD=LOW,HIGH")]
"""``--vary lyapunov.v=0.05,20``, as often as needed."""

LearnerParameters = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(
        name="learner",
        metavar="NAME=VALUE",
        help="Change a parameter of the learner, such as critic=separate; may be repeated. Parameters: "
        + ", ".join(settable())
        + ". What each is: docs/learner.md.",
    ),
]
"""``--learner critic=separate``, as often as needed."""

InputFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
OutputFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]

SCENARIO_HELP = f"A preset ({', '.join(PRESETS)}) or a YAML file; `meqc-marl scenario show` lists the fields."
ScenarioSource = Annotated[str, tyro.conf.arg(metavar="PRESET|FILE", help=SCENARIO_HELP)]
"""A preset's name or a YAML file."""

Traces = Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
"""Trace files, folders of them, or their URIs."""
HeldOut = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")]


def trace_files(trace: Sequence[str]) -> dict[str, str | None]:
    """Files that ``--trace`` names, which no output may replace, by what sentences call them."""
    return {"trace" if len(trace) == 1 else f"trace {place}": place for place in trace if "://" not in place}


def library_of(trace: Sequence[str], held_out: Sequence[str], num_devices: int) -> LibraryFiles | None:
    """The library that ``--trace`` and ``--held-out`` make, read once; None without.

    Raises:
        InputError: If it is none, or has another number of devices.
    """
    if not trace:
        if held_out:
            raise InputError(f"held-out is {shown(held_out[0])}; it is for traces, of which there are none.")
        return None
    files = LibraryFiles.of(trace, held_out)
    open_library(files, num_devices)
    return files


OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
"""A number whose default the help explains."""

PolicyNames = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        metavar="POLICY",
        help=f"Any of: {', '.join(POLICIES)}; oracle-cpu and so on are the oracle with fewer choices.",
    ),
]
"""Names of policies."""

PolicySource = Annotated[str, tyro.conf.arg(metavar="RUN")]
"""A run, a checkpoint or a policy: a folder, or one in a bucket such as s3://bucket/run."""
Checkpoints = Annotated[tuple[str, ...], tyro.conf.arg(metavar="RUN", help_behavior_hint="")]
"""Folders of trained policies."""


AllowCode = Annotated[bool, tyro.conf.arg(name="allow-code")]
"""``--allow-code``: run modules that a policy's scenario names."""


def scenario_of_policy(trained_on: Scenario, overrides: Sequence[str], allow_code: bool, who: str) -> Scenario:
    """The scenario that a policy was trained on, with overrides; a stranger's policy runs no code unasked.

    Args:
        trained_on: As the policy's folder says.
        overrides: From the command line; a module named here may be run.
        allow_code: Run the modules that the folder names, too.
        who: The policy, as it is shown.

    Raises:
        InputError: It names a module and that is not allowed.
    """
    for field, name in places(load_scenario(trained_on, overrides, context=WITHOUT_CODE)).items():
        given = any(override.partition("=")[0].strip() in (field, field.partition(".")[0]) for override in overrides)
        if not allow_code and not given:
            raise InputError(
                f"checkpoint '{who}' was trained with {field} = {name}, code from outside this package; give "
                "--allow-code to run it, or a scenario of your own."
            )
    return scenario_with(trained_on, overrides)


def scenario_with(source: str | Path | Scenario, overrides: Sequence[str]) -> Scenario:
    """A scenario with overrides from the command line, none of which may be without effect.

    Raises:
        InputError: The scenario or an override is not allowed, or an override has no effect.
    """
    return refuse_idle(load_scenario(source, overrides), overrides)


def parse_assignments(option: str, assignments: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs, the values in YAML; of two with one name the last counts."""
    return dict(parse_assignment(option, assignment) for assignment in assignments)


def read_mapping(option: str, path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values.

    Raises:
        InputError: If it cannot be read or holds something else.
    """
    content = read_yaml(path, f"{option} '{path}'")
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise InputError(f"{option} '{path}' must hold a mapping of names to values.")
    return content


MAX_TRACES = 10_000
"""Traces of a comparison: intervals no longer shrink visibly, and each metric is resampled ten thousand times."""
MAX_SLOTS = 10_000_000
"""As many as an episode may have."""
MAX_ENV_STEPS = 10**12
"""Thirty years at a thousand a second."""
MAX_SEEDS = MAX_ENV_RUNNERS = 10_000
"""Of a sweep; of a trial: larger than any cluster."""
MAX_SECONDS = 10**10
"""Three centuries."""
MAX_TRAINING_SEED = 2**32 - 1
"""RLlib seeds numpy's global generator, which takes 32 bits."""


def refuse_fixed_by_traces(overrides: Sequence[str], traces: Sequence[str]) -> None:
    """See that no field is given that says how nature is drawn, where it is read from traces.

    Raises:
        InputError: That names it.
    """
    for change in overrides if traces else ():
        field = change.partition("=")[0].strip()
        if fixed_by_traces(field) and field != "num_devices":  # which says that the traces are of so many
            raise InputError(f"set {shown(change)} has no effect where traces are given; leave it out.")


def check_draws(num_traces: int, num_slots: int | None, trace_seed: int, policy_seed: int = 0) -> None:
    """Check the options by which traces are drawn."""
    within("num-traces", num_traces, 1, MAX_TRACES)
    within("trace-seed", trace_seed, 0, MAX_SEED - num_traces)
    within("policy-seed", policy_seed, 0, MAX_SEED)
    if num_slots is not None:
        within("num-slots", num_slots, 1, MAX_SLOTS)
