"""Task offloading in hybrid mobile edge-quantum computing: system model, exact oracle and multi-agent learning.

Importing the package is cheap: what a name needs is imported when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meqc_marl.config import PRESETS, Scenario, load_scenario, save_scenario
    from meqc_marl.env.parallel import OffloadingParallelEnv, parallel_env
    from meqc_marl.env.simulator import OffloadingSimulator
    from meqc_marl.errors import InputError
    from meqc_marl.nature.trace import Trace, generate_trace
    from meqc_marl.nature.trace_file import load_trace, save_trace
    from meqc_marl.physics.cost import Mode
    from meqc_marl.policies.learned import load_policy

__version__ = "0.1.0"

_HOME = {
    "InputError": "meqc_marl.errors",
    "Mode": "meqc_marl.physics.cost",
    "OffloadingParallelEnv": "meqc_marl.env.parallel",
    "OffloadingSimulator": "meqc_marl.env.simulator",
    "PRESETS": "meqc_marl.config",
    "Scenario": "meqc_marl.config",
    "Trace": "meqc_marl.nature.trace",
    "generate_trace": "meqc_marl.nature.trace",
    "load_policy": "meqc_marl.policies.learned",
    "load_scenario": "meqc_marl.config",
    "load_trace": "meqc_marl.nature.trace_file",
    "parallel_env": "meqc_marl.env.parallel",
    "save_scenario": "meqc_marl.config",
    "save_trace": "meqc_marl.nature.trace_file",
}

__all__ = [
    "PRESETS",
    "InputError",
    "Mode",
    "OffloadingParallelEnv",
    "OffloadingSimulator",
    "Scenario",
    "Trace",
    "generate_trace",
    "load_policy",
    "load_scenario",
    "load_trace",
    "parallel_env",
    "save_scenario",
    "save_trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
