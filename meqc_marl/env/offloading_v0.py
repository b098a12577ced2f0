"""The environment by PettingZoo's conventions: ``parallel_env``; ``env`` and ``raw_env``, where agents act in turn."""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils import parallel_to_aec
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from meqc_marl.env.parallel import parallel_env

__all__ = ["env", "parallel_env", "raw_env"]


def env(*args: Any, **kwargs: Any) -> AECEnv:
    """The environment with agents that act in turn; what is called out of order is refused.

    Args:
        *args: As of :func:`~meqc_marl.env.parallel.parallel_env`.
        **kwargs: As of :func:`~meqc_marl.env.parallel.parallel_env`.
    """
    return OrderEnforcingWrapper(raw_env(*args, **kwargs))


def raw_env(*args: Any, **kwargs: Any) -> AECEnv:
    """The same without the check: a slot is carried out when the last device has acted."""
    return parallel_to_aec(parallel_env(*args, **kwargs))
