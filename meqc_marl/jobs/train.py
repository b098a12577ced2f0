"""A job of one training run: train, then compare the policy with the exact oracle and the baselines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from meqc_marl.errors import InputError
from meqc_marl.jobs.interrupted import Interrupted
from meqc_marl.jobs.job import Job, Outcome, Place, show
from meqc_marl.jobs.protocol import Said, StepsProgress, Tell
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.run_folder import DIVERGED_FILE, RUN_FILE, SCENARIO_FILE, stored_run
from meqc_marl.jobs.work_progress import telling
from meqc_marl.policies.folders import CHECKPOINT_PREFIX, DESCRIPTION, POLICY_FOLDER, WEIGHTS
from meqc_marl.storage import Storage

_POLICY = rf"{CHECKPOINT_PREFIX}\d+/{POLICY_FOLDER}/({DESCRIPTION}|{WEIGHTS})"
HELD_OUT = "held-out.npz"
"""The rows of the run's library that it was compared on: what ``evaluate --trace`` takes."""
COMPARISON = ("comparison.png", "comparison.json")


class TrainJob(Job):
    """Train one run.

    Attributes:
        run: What is trained.
        num_traces: Held-out traces of the final comparison.
    """

    kind: ClassVar[str] = "train"

    run: Run
    num_traces: int = Field(default=10, ge=1)

    def runs(self) -> Mapping[str, Run]:
        """The one run, in the storage itself."""
        return {"": self.run}

    @property
    def goes_on(self) -> str:
        """With an option, so that a run is not gone on with by mistake."""
        return "the run goes on with --resume"

    def has_begun(self, storage: Storage) -> bool:
        """Whether there is a run."""
        return stored_run(storage) is not None

    def common(self) -> dict[str, Any]:
        """Nothing: the run that is there tells what contradicts it, by name."""
        return {}

    def reports(self, name: str) -> bool:
        """The comparison, what the run is, and the policy in its checkpoint."""
        return name in (*COMPARISON, RUN_FILE, SCENARIO_FILE) or re.fullmatch(_POLICY, name) is not None

    @property
    def learns_in_driver(self) -> bool:
        """It does."""
        return True

    def perform(self, place: Place, tell: Tell) -> Outcome:
        """Train what is left, then compare."""
        from meqc_marl.jobs.configuration import configuration
        from meqc_marl.jobs.mirror import folder_of
        from meqc_marl.jobs.room import check_size
        from meqc_marl.jobs.training import Progress, train
        from meqc_marl.rl.config import how_far_ahead, what_is_not_seen

        config = configuration(self.run, place.placement)
        if not place.placement.autoscaling:
            check_size([config])
        tell(Said(text=how_far_ahead(self.run.scenario, config.gamma)))
        if unseen := what_is_not_seen(self.run.scenario, self.run.vary):
            tell(Said(text=unseen))

        trained = ""

        def report(progress: Progress) -> None:
            nonlocal trained
            trained = f"{progress.env_steps:,} of {self.run.env_steps:,} env-steps are trained; "
            tell(StepsProgress(**vars(progress)))

        with folder_of(place.storage) as (folder, send):
            begun, diverged = ((folder / name).exists() for name in (RUN_FILE, DIVERGED_FILE))
            if begun and not place.resume and not diverged:
                where = place.storage.shown
                raise InputError(
                    f"output folder '{where}' holds a run already; resume it with --resume, or name another."
                )
            options: dict[str, Any] = {"placement": place.placement, "resume": place.resume and begun}
            try:
                checkpoint, finished = train(
                    self.run, folder, report, lease=place.lease, saved=lambda checkpoint: send(), **options
                )
            except InputError:
                if (folder / DIVERGED_FILE).exists():
                    send()
                raise
            if not finished:
                raise Interrupted(f"{trained}the run has a checkpoint, {checkpoint.name}, and goes on with --resume.")
            tell(Said(text=f"checkpoint: {place.storage.uri_of(checkpoint.name)}"))
            self._compare(folder, checkpoint, tell)
            send()
        policy = [f"{checkpoint.name}/{POLICY_FOLDER}/{name}" for name in (DESCRIPTION, WEIGHTS)]
        return Outcome((*COMPARISON, RUN_FILE, SCENARIO_FILE, *policy))

    def _compare(self, folder: Path, checkpoint: Path, tell: Tell) -> None:
        from meqc_marl.evaluation.comparison import compare
        from meqc_marl.evaluation.held_out import HELD_OUT_SEED, held_out_traces
        from meqc_marl.nature.trace_file import save_trace
        from meqc_marl.policies import Policy, default_policies, make_policy
        from meqc_marl.policies.learned import load_policy
        from meqc_marl.report.bars import save_comparison_plot
        from meqc_marl.report.tables import comparison_json, comparison_notes, comparison_tables, save_json

        scenario = self.run.scenario
        policies: list[Policy] = [make_policy(name, scenario) for name in default_policies(scenario)]
        policies.append(load_policy(checkpoint))
        files = self.run.trace
        trace = held_out_traces(scenario, self.num_traces, files=files)
        seeds = [] if files is not None else [HELD_OUT_SEED + row for row in range(self.num_traces)]
        if files is not None:
            save_trace(trace, folder / HELD_OUT)
        named = None if files is None else HELD_OUT
        result = compare(policies, scenario, trace, seeds, 0, named, telling(tell))
        save_json(comparison_json(result), folder / "comparison.json")
        save_comparison_plot(result, folder / "comparison.png")
        show(tell, *comparison_tables(result), *comparison_notes(result))
