"""What the learner raises beside the errors of libraries."""

from __future__ import annotations


class ConfigurationError(ValueError):
    """A space or a parameter that the learner cannot serve, told in one sentence that ends with a full stop."""


def no_output(key: str) -> ConfigurationError:
    """Of a module that does not give what is kept of its decisions."""
    return ConfigurationError(
        f"the module gives no '{key}' beside its actions, of which replay needs it; let its passes for inference, "
        "exploration and random actions end as DQNDDPGModule's do."
    )


class SamplingError(RuntimeError):
    """No EnvRunner brings samples any more; holds the environment's own error, if there was one."""
