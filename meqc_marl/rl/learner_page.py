"""The page ``docs/learner.md``, from the parameters themselves: ``python -m meqc_marl.rl.learner_page``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.options import LearnerOptions, extra_of, settable
from meqc_marl.dqn_ddpg.words import plain
from meqc_marl.rl.config import offloading_config

_TEXT = """# Parameters of the learner

<!-- Written by `python -m meqc_marl.rl.learner_page > docs/learner.md` from `meqc_marl/dqn_ddpg/options.py`. -->

`meqc-marl train --learner NAME=VALUE` (as often as needed), `--learner-file FILE` (YAML),
`offloading_config(scenario, learner={{...}})` and `DQNDDPGConfig().training(NAME=VALUE)` set them. The column *set
here* holds what `offloading_config` chooses for the preset `paper` and its default budget, where that is not the
learner's own default. A learning rate given as a number is there where its decay starts: it is held for three tenths of
the run and falls in a line to a hundredth.

A schedule is a list of [environment steps, value], with straight lines in between.

{table}

{problem} describe the environment and follow from it; `--learner` does not set them.
"""


def table(usual: Mapping[str, Any]) -> str:
    """All parameters as a Markdown table, with a column for the values that a caller of the learner sets by default."""
    heads = ["parameter", "what it is", "allowed", "default", "set here", "source"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, field in LearnerOptions.model_fields.items():
        meaning = f"{field.description}{' (needs a discount)' if extra_of(field).get('needs_discount') else ''}"
        cells = [f"`{name}`", meaning, LearnerOptions.allowed(name), f"`{plain(field.default)}`"]
        changed = name in usual and plain(usual[name]) != plain(field.default)
        cells.append(f"`{plain(usual[name])}`" if changed else "")
        lines.append("| " + " | ".join([*cells, extra_of(field)["source"]]) + " |")
    return "\n".join(lines)


def learner_page() -> str:
    """The page in Markdown."""
    usual = offloading_config(load_scenario("paper")).options.model_dump()
    problem = ", ".join(f"`{name}`" for name in usual if name not in settable())
    return _TEXT.format(table=table(usual), problem=problem)


if __name__ == "__main__":
    print(learner_page(), end="")
