"""Roll policies over traces, measure them against the constrained optimum, and report with intervals."""

from meqc_marl.evaluation.comparison import Comparison, compare
from meqc_marl.evaluation.metrics import METRICS, measure
from meqc_marl.evaluation.optimum import Optimum, constrained_optimum
from meqc_marl.evaluation.rollout import Rollout, rollout

__all__ = ["METRICS", "Comparison", "Optimum", "Rollout", "compare", "constrained_optimum", "measure", "rollout"]
