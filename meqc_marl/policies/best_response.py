"""Rules for devices that share and do not decide jointly: best responses to each other, and to no one in particular.

``selfish``: each device minimises its own objective given what the others do, in turn, until nobody changes: a Nash
equilibrium of the slot. ``team-best-response``: each minimises the objective of all, in turn, until nobody changes; a
fixed point is an equilibrium of the common-interest game, not always the joint optimum. Both start from all devices
local, or from what another policy decides in one shot, and take the devices in their order, so that they add no
randomness. ``oblivious``: each device minimises its own objective as if as many shared with it as on average under the
joint optimum, whatever they really do.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from meqc_marl.config import Scenario
from meqc_marl.errors import InputError
from meqc_marl.lyapunov import growth, next_backlog
from meqc_marl.nature.presence import of_present
from meqc_marl.nature.trace import generate_trace
from meqc_marl.physics.choices import admitted_mode
from meqc_marl.physics.cost import Mode
from meqc_marl.physics.load import Load, count
from meqc_marl.physics.places import Work, price
from meqc_marl.policies.base import Policy, Situation
from meqc_marl.policies.joint.calibration import part_of
from meqc_marl.policies.joint.place_values import place_values
from meqc_marl.policies.joint.search import RowValues, all_pairs, joint_optimum

_MAX_ROUNDS = 50
"""In which every device may change; selfish choices settle in two to four, and a cycle is left here."""
_TABLED = 30
"""Devices up to which the values of all pairs of counts are worked out at once."""
_TIE = 1e-9
"""Relative gain for which nobody changes."""
_CALIBRATION_SEED = 2_000_000
_CALIBRATION_SLOTS = 300


class BestResponse(Policy):
    """Best responses in turn until nobody changes, or for some rounds.

    Args:
        scenario: Parameters.
        name: For reports.
        team: Each minimises the objective of all, rather than its own.
        most_rounds: After which the modes stand as they are.
        start: Whose modes are announced before the first round; nobody sends anything away if None.
        at_once: In a round all answer to the same announced counts, and the one whose change gains most changes,
            rather than one device after another.

    Attributes:
        rounds: Rounds that each row took in the last slot, the one without a change included, int [E].
        changes: How often a device changed its mode in the last slot, int [E].
    """

    rounds: np.ndarray
    changes: np.ndarray

    def __init__(
        self,
        scenario: Scenario,
        name: str,
        team: bool,
        most_rounds: int = _MAX_ROUNDS,
        start: Policy | None = None,
        at_once: bool = False,
    ) -> None:
        if most_rounds < 1:
            raise InputError(f"most_rounds is {most_rounds}; it must be at least 1.")
        self.name, self._scenario, self._team = name, scenario, team
        self._most_rounds, self._start, self.at_once = most_rounds, start, at_once
        self.columns = None if start is None else start.columns

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Play the slot."""
        begin = None
        if self._start is not None:
            asked = of_present(self._start.act(situation)[0], situation.present)
            begin = admitted_mode(asked, situation.places.qpu_admitted).astype(np.int8)
        return self.play(situation.work, situation.backlog, begin)

    def play(
        self, work: Work, backlog: np.ndarray, begin: np.ndarray | None = None, toll: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Modes and shares [E, M] of a slot.

        Args:
            work: The slot's tasks.
            backlog: Virtual queues z.
            begin: Modes to start from; all local if None.
            toll: Charged for the whole task sent to each place, by ``Mode`` [3, E, M].
        """
        begin = np.zeros(backlog.shape, np.int8) if begin is None else begin
        values = RowValues(self._scenario, work, backlog, toll)
        known: list[dict[tuple[int, int], np.ndarray]] = [{} for _ in backlog]
        if values.devices <= _TABLED:
            cpu, qpu = all_pairs(values.devices)
            names = list(zip(cpu.tolist(), qpu.tolist(), strict=True))
            known = [dict(zip(names, table, strict=True)) for table in values.table(cpu, qpu)]
        rows = [_Row(values, row, table, begin[row]) for row, table in enumerate(known)]
        played = [self._play(row) for row in rows]
        mode = np.stack([row.mode for row in rows])
        self.rounds = np.array([len(changes) for changes in played])
        self.changes = np.array([sum(changes) for changes in played])
        cpu, qpu = count(mode)
        places = price(self._scenario, work, Load.of_counts(cpu[:, None], qpu[:, None]))
        fraction = place_values(self._scenario, places, backlog, toll).fraction
        return mode, np.take_along_axis(fraction, mode[None].astype(np.intp), 0)[0]

    def _play(self, row: _Row) -> list[int]:
        """Rounds until one without a change; the number of changes in each."""
        worth = row.for_all if self._team else row.for_itself
        changes: list[int] = []
        while (not changes or changes[-1]) and len(changes) < self._most_rounds:
            if self.at_once:
                every = [worth(device) for device in range(len(row.mode))]
                most = max(range(len(every)), key=lambda device: every[device][row.mode[device]] - min(every[device]))
                changes.append(row.take(most, every[most]))
            else:
                changes.append(sum([row.take(device, worth(device)) for device in range(len(row.mode))]))
        return changes


def selfish(scenario: Scenario) -> BestResponse:
    """Each minimises its own objective given what the others do: a Nash equilibrium of the slot."""
    return BestResponse(scenario, "selfish", team=False)


def team_best_response(scenario: Scenario) -> BestResponse:
    """Each minimises the objective of all given what the others do."""
    return BestResponse(scenario, "team-best-response", team=True)


class _Row:
    """The state of play in a row."""

    def __init__(self, values: RowValues, row: int, known: dict[tuple[int, int], np.ndarray], mode: np.ndarray) -> None:
        self._values, self._row, self._known = values, np.array([row]), known
        self.mode = mode.copy()
        self._number = np.bincount(mode, minlength=3).tolist()
        self._device = np.arange(values.devices)

    def _at(self, cpu: int, qpu: int) -> np.ndarray:
        """Values [3, M] if so many use the server CPU and the QPU in all."""
        if (cpu, qpu) not in self._known:
            self._known[cpu, qpu] = self._values.at(self._row, np.array([cpu]), np.array([qpu])).value[:, 0]
        return self._known[cpu, qpu]

    def _options(self, device: int) -> list[tuple[Mode, np.ndarray]]:
        """Each mode of a device, with what everybody's values are then."""
        others = list(self._number)
        others[self.mode[device]] -= 1
        cpu, qpu = others[Mode.CPU], others[Mode.QPU]
        return [
            (Mode.LOCAL, self._at(cpu, qpu)),
            (Mode.CPU, self._at(cpu + 1, qpu)),
            (Mode.QPU, self._at(cpu, qpu + 1)),
        ]

    def for_itself(self, device: int) -> list[float]:
        """A device's own objective with each mode."""
        return [float(value[mode, device]) for mode, value in self._options(device)]

    def for_all(self, device: int) -> list[float]:
        """The total with each mode of a device."""
        total = []
        now = self.mode[device]
        for mode, value in self._options(device):
            self.mode[device] = mode
            total.append(float(value[self.mode, self._device].sum()))
        self.mode[device] = now
        return total

    def take(self, device: int, worth: list[float]) -> bool:
        """Have a device take the mode that is worth least; whether it is another."""
        now, best = int(self.mode[device]), int(np.argmin(worth))
        if worth[best] >= worth[now] - _TIE * (abs(worth[now]) + 1.0):
            return False
        self._number[now] -= 1
        self._number[best] += 1
        self.mode[device] = best
        return True


class Oblivious(Policy):
    """Each device minimises its own objective as if fixed numbers shared with it.

    Args:
        scenario: Parameters.
        counts: How many it believes to use the server CPU and the QPU; by default the mean counts of the joint optimum
            on traces of its own.
    """

    name = "oblivious"

    def __init__(self, scenario: Scenario, counts: tuple[float, float] | None = None) -> None:
        self._scenario, self._counts = scenario, counts

    def act(self, situation: Situation) -> tuple[np.ndarray, np.ndarray]:
        """Decide as if the numbers held."""
        cpu, qpu = mean_joint_counts(self._scenario) if self._counts is None else self._counts
        places = price(self._scenario, situation.work, Load.of_counts(cpu, qpu))
        value, fraction = place_values(self._scenario, places, situation.backlog)
        mode = value.argmin(0)
        return mode.astype(np.int8), np.take_along_axis(fraction, mode[None], 0)[0]


def mean_joint_counts(scenario: Scenario) -> tuple[float, float]:
    """How many use the server CPU and the QPU under the joint optimum, on average over a trace of its own."""
    return _mean_joint_counts(scenario.model_dump_json())


@lru_cache(maxsize=8)
def _mean_joint_counts(scenario_json: str) -> tuple[float, float]:
    scenario, share = part_of(Scenario.model_validate_json(scenario_json))
    devices = scenario.num_devices
    slots = min(scenario.horizon, _CALIBRATION_SLOTS)
    trace = generate_trace(scenario, [_CALIBRATION_SEED], num_slots=slots)
    backlog, numbers = np.zeros((1, devices)), []
    for t in range(slots):
        best = joint_optimum(scenario, Work.of(scenario, trace.slot(t)), backlog)
        numbers.append(np.stack(count(best.mode)))
        backlog = next_backlog(backlog, growth(scenario.lyapunov, best.fraction))
    cpu, qpu = np.mean(numbers, (0, 2)) / share
    return float(cpu), float(qpu)
