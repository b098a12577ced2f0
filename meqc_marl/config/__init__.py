"""The scenario: every number of the system model, and how it is loaded and saved."""

from meqc_marl.config.io import PRESETS, load_scenario, save_scenario
from meqc_marl.config.scenario import Scenario

__all__ = ["PRESETS", "Scenario", "load_scenario", "save_scenario"]
