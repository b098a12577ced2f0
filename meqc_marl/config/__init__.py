"""The scenario: every number of the system model, and how it is loaded and saved."""

from meqc_marl.config.io import PRESETS, changes, load_scenario, save_scenario
from meqc_marl.config.scenario import Scenario

__all__ = ["PRESETS", "Scenario", "changes", "load_scenario", "save_scenario"]
