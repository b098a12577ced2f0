"""A job that searches for the learner's parameters: Optuna with ASHA, or population based training.

What is minimised is the regret of the greedy policy, missed deadlines included, in the states that it visits, as a
share of V times cost. The best parameters go to ``best.yaml``, which ``meqc-marl train --learner-file`` takes.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import Field

from meqc_marl.errors import InputError, how_to_install
from meqc_marl.jobs.job import Job, Outcome, Place, stored_job
from meqc_marl.jobs.protocol import Said, Tell
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.space import Space
from meqc_marl.jobs.sweep import put
from meqc_marl.uris import redacted

REPORT = ("best.yaml", "trials.json")
SCORE = "regret"
"""The metric of an evaluation that is minimised."""
_SHOWN = 5


@dataclass(frozen=True)
class Found:
    """A trial of a search.

    Attributes:
        name: Of its folder.
        learner: What was drawn.
        score: Of its last evaluation; None if it came to none.
        state: ``complete``, ``pruned``, ``diverged`` or ``failed``.
        error: Last line of the error, if it failed.
    """

    name: str
    learner: dict[str, Any]
    score: float | None
    state: str
    error: str | None = None


class SearchJob(Job):
    """Trials with parameters that are drawn.

    Attributes:
        base: What all trials have in common; the budget is that of a trial that is not stopped early, the seed also
            that of the search.
        space: What is drawn.
        num_trials: Trials, or members of the population.
        scheduler: Optuna with ASHA, or population based training.
    """

    kind: ClassVar[str] = "search"

    base: Run
    space: Space
    num_trials: int = Field(default=20, ge=1)
    scheduler: Literal["asha", "pbt"] = "asha"

    def runs(self) -> dict[str, Run]:
        """As many as it may make; what they draw is not known yet."""
        return {f"trial-{number:04}": self.base for number in range(self.num_trials)}

    def common(self) -> dict[str, Any]:
        """All but the number of trials; a population has a size."""
        return self.model_dump(mode="json", exclude={"num_trials"} if self.scheduler == "asha" else set())

    def with_drawn(self, learner: dict[str, Any]) -> Run:
        """The run of drawn parameters."""
        labels = {
            name: value if isinstance(value, int | float | str) else str(value) for name, value in learner.items()
        }
        return self.base.model_copy(update={"learner": self.base.learner | learner, "labels": labels})

    def check(self) -> None:
        """See that all that may be drawn is allowed."""
        from meqc_marl.jobs.configuration import configuration
        from meqc_marl.jobs.population import check_mutable
        from meqc_marl.jobs.session import quiet

        quiet()
        for name, drawn in self.space.items():
            for value in drawn.ends():
                configuration(self.with_drawn({name: value}))
        if self.scheduler == "pbt":
            check_mutable(self.space)

    def reports(self, name: str) -> bool:
        """Those of REPORT."""
        return name in REPORT

    def begin(self, place: Place) -> None:
        """As every job; of a population it is told that it does not grow."""
        _, common = stored_job(place.storage)
        size = common.get("num_trials")
        if self.scheduler == "pbt" == common.get("scheduler") and size != self.num_trials:
            raise InputError(
                f"num-trials: the population in '{place.storage.shown}' has {size} members, and its size is fixed; "
                f"give --num-trials {size}, or name another folder."
            )
        super().begin(place)
        before, now = (
            (base.get("trace") or {}).get("files")
            for base in (common.get("base", {}), self.base.model_dump(mode="json"))
        )
        if self.scheduler == "pbt" and before and before != now:
            raise InputError(
                f"trace: the population in '{place.storage.shown}' reads {redacted(before[0]['where'])}, and its "
                "members go on with the files where they were; move them back, or name another folder."
            )

    def perform(self, place: Place, tell: Tell) -> Outcome:
        """Draw and train until there are so many trials; the best of all that the storage holds is told."""
        try:
            import optuna  # noqa: F401 (pbt needs none, but the extra is one)
        except ImportError as error:
            raise InputError(f"package 'optuna' is missing; {how_to_install('search')}.") from error

        if self.scheduler == "asha":
            from meqc_marl.jobs.asha import run_asha as run
        else:
            from meqc_marl.jobs.population import run_population as run
        found = run(self, place, tell)
        best = sorted((each for each in found if each.score is not None), key=_order)
        lost = [each for each in found if each.state == "failed"]
        if not best and len(lost) == len(found):
            told = f"{len(lost)} of {len(found)} trials failed ({lost[0].error})" if lost else "no trial has begun"
            return Outcome((), f"{told}; the same command tries them again.")
        if not best:
            why = f" ({found[0].error})" if found and found[0].error else ""
            raise InputError(f"none of the {len(found)} trials in '{place.storage.shown}' came to an evaluation{why}.")
        for each in best[:_SHOWN]:
            told = ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in each.learner.items()
            )
            tell(Said(text=f"regret {each.score:.2%}, {each.state}: {told}"))
        states = [each.state for each in found]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        tell(Said(text=f"{len(found)} trials: {counts}"))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            # A rate is the start of a decay over the budget of whoever takes it.
            text = yaml.safe_dump(self.base.learner | best[0].learner, sort_keys=False)
            (folder / "best.yaml").write_text(text)
            (folder / "trials.json").write_text(json.dumps({"trials": [asdict(each) for each in found]}, indent=1))
            names = put(folder, REPORT, place)
        failure = f"{len(lost)} of {len(found)} trials failed; the same command tries them again." if lost else None
        return Outcome(names, failure)


def _order(found: Found) -> tuple[bool, float]:
    """Those that were trained to their end first, then by score."""
    assert found.score is not None
    return found.state != "complete", found.score
