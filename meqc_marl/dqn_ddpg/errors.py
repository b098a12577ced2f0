"""The one exception of the learner that stands for a user's mistake."""

from __future__ import annotations


class ConfigurationError(ValueError):
    """A space or a parameter that the learner cannot serve, told in one sentence that ends with a full stop."""
