"""What the learner raises beside the errors of libraries."""

from __future__ import annotations


class ConfigurationError(ValueError):
    """A space or a parameter that the learner cannot serve, told in one sentence that ends with a full stop."""


class SamplingError(RuntimeError):
    """No EnvRunner brings samples any more; holds the environment's own error, if there was one."""
