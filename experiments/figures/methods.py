"""The paper's methods, exact and learned, each with one colour and marker everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meqc_marl.physics.cost import Mode


@dataclass(frozen=True)
class Method:
    """A way to decide, exact and learned.

    Attributes:
        name: For legends and data files.
        exact: Registered policy.
        learner: Restriction of the learner; None if the method does not learn.
        colour, marker: Everywhere the same.
        has_queue: Whether it is held to the constraint (10); the paper's other methods are not.
    """

    name: str
    exact: str
    learner: dict[str, Any] | None
    colour: str
    marker: str
    has_queue: bool = False


_CPU, _QPU = [int(Mode.LOCAL), int(Mode.CPU)], [int(Mode.LOCAL), int(Mode.QPU)]
HYBRID = Method("hybrid (ours)", "oracle", {}, "#0072B2", "o", has_queue=True)
CPU_CONTINUOUS = Method("CPU continuous", "cpu-continuous", {"allowed_modes": _CPU}, "#E69F00", "s")
CPU_DISCRETE = Method("CPU discrete", "cpu-discrete", {"allowed_modes": _CPU, "discrete": True}, "#F5C710", "D")
QPU_CONTINUOUS = Method("QPU continuous", "qpu-continuous", {"allowed_modes": _QPU}, "#CC79A7", "^")
QPU_DISCRETE = Method("QPU discrete", "qpu-discrete", {"allowed_modes": _QPU, "discrete": True}, "#E7B8D4", "v")
RANDOM = Method("random", "random", None, "#D55E00", "x")
METHODS = (HYBRID, CPU_CONTINUOUS, CPU_DISCRETE, QPU_CONTINUOUS, QPU_DISCRETE, RANDOM)


def method_of(name: str) -> Method:
    """A method by its name."""
    return next(method for method in METHODS if method.name == name)
