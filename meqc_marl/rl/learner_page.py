"""The page ``docs/learner.md``, from the parameters themselves: ``python -m meqc_marl.rl.learner_page``."""

from __future__ import annotations

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.options import settable, table
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


def learner_page() -> str:
    """The page in Markdown."""
    usual = offloading_config(load_scenario("paper")).options.model_dump()
    problem = ", ".join(f"`{name}`" for name in usual if name not in settable())
    return _TEXT.format(table=table(usual), problem=problem)


if __name__ == "__main__":
    print(learner_page(), end="")
