"""Ends a Tune run whose storage was taken over by another process."""

from __future__ import annotations

import signal
from typing import Any

from ray import tune
from ray.rllib.utils.annotations import override
from ray.tune.experiment import Trial

from meqc_marl.entry.signals import handlers_as_before
from meqc_marl.jobs.ownership import check_held
from meqc_marl.storage import Storage


class StopsWithoutLease(tune.Callback):
    """Raises between two steps of Tune: it stops its trials then, and writes no state of its own any more."""

    @override(tune.Callback)
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        check_held()


def fit(tuner: tune.Tuner, storage: Storage) -> tune.ResultGrid:
    """Run a Tuner; a lease that was lost and a storage that is full are told in their own sentences, not in Tune's.

    Raises:
        InputError: If the storage was taken over, or takes no more.
    """
    try:
        with handlers_as_before(signal.SIGINT):
            return tuner.fit()
    except Exception:
        check_held()
        storage.check_room()  # Tune may fail anywhere, also where it reads what it could not write
        raise
