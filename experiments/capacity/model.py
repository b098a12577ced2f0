"""A sweep on a cluster as a queueing network: trials on slots, one driver for all, one storage for all.

What is simulated (SimPy): a trial waits for a slot, is launched by the driver and starts; after every training
iteration its result waits for the driver, which handles one thing at a time, and now and then its checkpoint waits for
the storage. The trial goes on only then, as under Ray Tune. Beside that the driver writes down the state of the whole
sweep, in at most a twentieth of the time.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from meqc_marl.errors import InputError, how_to_install

try:
    import simpy
except ImportError:  # told when something is to be simulated
    simpy = None  # type: ignore[assignment]

_SNAPSHOT_PERIOD_S = 10.0
_SNAPSHOT_SHARE = 20.0
"""Tune's: no two snapshots within 10 s, and at most a twentieth of the time is spent on them."""


@dataclass(frozen=True)
class Sweep:
    """What is to be done.

    Attributes:
        trials: Number of trials.
        iterations: Results that each trial tells the driver.
        iteration_s: Seconds of one iteration.
        start_s: From the launch of a trial to its first iteration.
        checkpoints: Of each trial.
        checkpoint_mb: Size of one.
    """

    trials: int
    iterations: int
    iteration_s: float
    start_s: float
    checkpoints: int
    checkpoint_mb: float

    @property
    def trial_s(self) -> float:
        """A trial that never waits, without its checkpoints."""
        return self.start_s + self.iterations * self.iteration_s


@dataclass(frozen=True)
class Driver:
    """Seconds that the driver is busy.

    Attributes:
        launch_s: For the start and the end of a trial.
        result_s: For a result.
        snapshot_s, snapshot_trial_s: For a snapshot of the sweep: in any case, and for each of its trials.
        report_s: For the report in the end.
    """

    launch_s: float
    result_s: float
    snapshot_s: float
    snapshot_trial_s: float
    report_s: float


@dataclass(frozen=True)
class Storage:
    """Where checkpoints go.

    Attributes:
        stream_mb_s: What one writer gets.
        total_mb_s: What all get together.
    """

    stream_mb_s: float
    total_mb_s: float


@dataclass(frozen=True)
class Cluster:
    """Machines.

    Attributes:
        slots: Trials at once.
        cores: Cores that all of them share, if there are fewer than slots (as when hosts are imitated on one machine).
        trains: Whether an iteration keeps a core busy, or only lets time pass.
    """

    slots: int
    cores: int | None = None
    trains: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        seconds: Of the sweep, report included.
        driver_busy: Share of the time.
        storage_busy: Share of the time, of all its streams.
        waited: Share of the trials' time on their slots that they waited for the driver or the storage.
    """

    seconds: float
    driver_busy: float
    storage_busy: float
    waited: float


def check_simpy() -> None:
    """Refuse to go on without SimPy.

    Raises:
        InputError: It is not installed.
    """
    if simpy is None:
        raise InputError(f"package 'simpy' is missing; {how_to_install('capacity')}.")


def ideal_seconds(sweep: Sweep, slots: int) -> float:
    """Of a sweep whose trials never wait: rounds of trials, each as long as a trial."""
    return -(-sweep.trials // slots) * sweep.trial_s


def simulate(sweep: Sweep, driver: Driver, storage: Storage, cluster: Cluster) -> Outcome:
    """Run the sweep in simulated time."""
    network = _Network(sweep, driver, storage, cluster)
    network.run()
    trained = network.env.now
    seconds = trained + driver.report_s
    on_slots = network.waited_s + sweep.trials * sweep.trial_s
    return Outcome(
        seconds=seconds,
        driver_busy=(network.driver_s + seconds - trained) / seconds,
        storage_busy=network.storage_s / (seconds * network.streams.capacity),
        waited=network.waited_s / on_slots,
    )


class _Network:
    """The state of a simulation."""

    def __init__(self, sweep: Sweep, driver: Driver, storage: Storage, cluster: Cluster):
        self.sweep, self.costs, self.storage, self.cluster = sweep, driver, storage, cluster
        self.env = simpy.Environment()
        self.slots = simpy.Resource(self.env, cluster.slots)
        self.driver = simpy.Resource(self.env, 1)
        self.streams = simpy.Resource(self.env, max(1, int(storage.total_mb_s / storage.stream_mb_s)))
        self.cores = simpy.Resource(self.env, cluster.cores) if cluster.cores is not None else None
        self.driver_s = self.storage_s = self.waited_s = 0.0

    def run(self) -> None:
        """Until every trial has ended."""
        trials = [self.env.process(self._trial()) for _ in range(self.sweep.trials)]
        self.env.process(self._snapshots())
        self.env.run(until=simpy.AllOf(self.env, trials))

    def _trial(self) -> Generator[Any, Any, None]:
        sweep = self.sweep
        # The last of its checkpoints is that of its end.
        saved_at = {-(-sweep.iterations * number // sweep.checkpoints) for number in range(1, sweep.checkpoints + 1)}
        with self.slots.request() as slot:
            yield slot
            yield from self._driver(self.costs.launch_s)
            yield from self._compute(sweep.start_s, True)
            for number in range(1, sweep.iterations + 1):
                yield from self._compute(sweep.iteration_s, self.cluster.trains)
                asked = self.env.now
                yield from self._driver(self.costs.result_s)
                if number in saved_at:
                    yield from self._save()
                self.waited_s += self.env.now - asked

    def _compute(self, seconds: float, on_core: bool) -> Generator[Any, Any, None]:
        if self.cores is None or not on_core:
            yield self.env.timeout(seconds)
            return
        # Cores are shared in turns of at most a tenth of a second.
        turns = max(1, round(10 * seconds))
        for _ in range(turns):
            with self.cores.request() as core:
                yield core
                yield self.env.timeout(seconds / turns)

    def _driver(self, seconds: float) -> Generator[Any, Any, None]:
        with self.driver.request() as turn:
            yield turn
            yield self.env.timeout(seconds)
            self.driver_s += seconds

    def _save(self) -> Generator[Any, Any, None]:
        seconds = self.sweep.checkpoint_mb / self.storage.stream_mb_s
        with self.streams.request() as stream:
            yield stream
            yield self.env.timeout(seconds)
            self.storage_s += seconds

    def _snapshots(self) -> Generator[Any, Any, None]:
        seconds = self.costs.snapshot_s + self.costs.snapshot_trial_s * self.sweep.trials
        while True:
            yield from self._driver(seconds)
            yield self.env.timeout(max(_SNAPSHOT_PERIOD_S, (_SNAPSHOT_SHARE - 1.0) * seconds))
