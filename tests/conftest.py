"""Fixtures that several test packages share."""

from __future__ import annotations

import pytest

from meqc_marl.config import Scenario, load_scenario


@pytest.fixture
def paper() -> Scenario:
    """The corrected model at the defaults."""
    return load_scenario("paper")


@pytest.fixture
def literal() -> Scenario:
    """Every formula as printed."""
    return load_scenario("paper-literal")


@pytest.fixture
def small() -> Scenario:
    """Three devices, 100 slots."""
    return load_scenario("small")
