"""The PettingZoo view: one row of the simulator, with an agent for each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.env.actions import read_actions
from meqc_marl.env.checks import check_parts
from meqc_marl.env.infos import coming_slot, no_slot_yet, told_of
from meqc_marl.env.render import draw_disc, slot_table
from meqc_marl.env.simulator import OffloadingSimulator
from meqc_marl.env.view import observation_ends
from meqc_marl.env.waiting import queue_infos
from meqc_marl.env.window import Window
from meqc_marl.errors import InputError, shown
from meqc_marl.nature.library import Library, LibraryFiles, given_nature
from meqc_marl.nature.trace import Trace
from meqc_marl.physics.cost import Mode, Outcome
from meqc_marl.physics.granting import placed_fractions

MAX_AGENTS = 20_000
"""Each has spaces and dictionaries of its own, a kilobyte or more."""

AGENT_PREFIX = "mobile_"
"""An agent's name without its number. Frameworks group agents by it, as an attribute: ``device`` is taken there."""


def observation_space(scenario: Scenario) -> spaces.Box:
    """Space of one device's observation, columns ``observation_columns(scenario)``."""
    return spaces.Box(*observation_ends(scenario), dtype=np.float32)


def action_space() -> spaces.Dict:
    """Space of one device's action."""
    return spaces.Dict(
        mode=spaces.Discrete(len(Mode)),
        fraction=spaces.Box(0.0, 1.0, (1,), np.float32),
    )


RENDER_MODES, RENDER_FPS = ("ansi", "rgb_array", "human"), 30


class OffloadingParallelEnv(ParallelEnv):
    """Task offloading in mobile edge-quantum computing, one agent for each mobile device.

    ## Description
    M devices move round an access point. In every slot each has a protein-folding task and decides how much of it to
    send away, and to where: the server's CPU or its quantum processor (QPU). The rest runs on the device. The model is
    that of Ye et al., arXiv 2306.14588, with the corrections of the scenario.

    ## Action Space
    ``Dict(mode=Discrete(3), fraction=Box(0, 1, (1,), float32))``

    | Mode | Name  | Where the share ``fraction`` of the task runs |
    |------|-------|-----------------------------------------------|
    | 0    | LOCAL | nothing is sent away, ``fraction`` has no effect |
    | 1    | CPU   | on the server CPU; at least ``cost.min_fraction`` is sent |
    | 2    | QPU   | on the QPU if it admits the task, else on the server CPU |

    Deadlines (``cost.deadline``): with ``kept``, the default, no deadline is missed that some action meets. The infos
    tell for each mode whether it can (``mode_mask``) and with which shares (``fraction_low`` to ``fraction_high``).
    An action outside of them is no error: the nearest share is carried out, or the first of CPU, QPU and LOCAL that
    meets the deadline, and the infos say so (``overruled``). Where no action meets it, the fastest one is carried out
    and the deadline is missed. With ``penalty`` everything is carried out as asked for; the Lyapunov wrapper's reward
    falls by V times ``cost.deadline_penalty`` for a miss.

    Where anything is pooled or queued (``resources``), the modes of all devices come first: the access point grants
    band, server and tiles by them. ``fraction`` is then a place between the least and the largest share that meets the
    deadline with what was granted: 0 the least, 1 the largest, 1/2 that at which both parts of a parallel task end
    together; where no share meets it, the fastest one is sent. So no deadline is missed that the modes allow to meet.
    With ``resources.fraction = literal`` it is the share itself.
    The infos tell the executed share.

    ## Observation Space
    ``Box`` of float32, by ``scenario.observation``.

    ``sufficient``, the default: all that the best action depends on. A ``signed log`` is sign(x) ln(1 + abs(x)) of a
    number x in units of cost. ``cpu`` stands for the CPU and, in columns of their own, ``qpu`` for the QPU.

    | Column | Observation |
    |--------|-------------|
    | local_allowed, cpu_allowed, qpu_allowed | whether the mode may be taken, 0 or 1 |
    | cpu_low, cpu_high | least and largest share that may be sent, 0 if none |
    | cpu_middle, cpu_position | share between them at which both parts end together; as a part of the interval |
    | cpu_cost_low, cpu_cost_middle, cpu_cost_high | cost at these shares less that of the task left here, signed log |
    | cpu_slope_low, cpu_slope_high | how fast the cost grows with the share below and above the middle, signed log |
    | local_cost | cost of the task left on the device, signed log |
    | backlog | virtual queue, filled by the Lyapunov wrapper; 0 without; log1p(z / V) |

    With ``cost.deadline = penalty``, before the backlog: ``local_meets``, ``cpu_meets`` (0 or 1), ``cpu_first`` and
    ``cpu_last``: whether a place meets the deadline, and with which shares. Where anything is pooled or queued all of
    these but low and high are for a third of the devices at each place, and the columns of ``paper`` come before.

    ``paper``: task, channel and equipment. A column "log" is ln(value / zero) / ln(factor), within [-10, 10].

    | Num | Column         | Observation                            | Scale, zero, factor   | Min | Max |
    |-----|----------------|----------------------------------------|-----------------------|-----|-----|
    | 0   | data           | task data d                            | log, 1.8e9 bit, 2     | -10 | 10  |
    | 1   | cycles_per_bit | CPU cycles per bit q                   | log, 4 cycle/bit, 6   | -10 | 10  |
    | 2   | deadline       | deadline t_max                         | log, 18 s, 2.5        | -10 | 10  |
    | 3   | qubits         | logical qubits o                       | log, 670 qubit, 3     | -10 | 10  |
    | 4   | success        | success probability S on the QPU       | 2 S - 1               | -1  | 1   |
    | 5   | rate           | uplink rate R in this slot             | log, 3e8 bit/s, 5     | -10 | 10  |
    | 6   | cpu            | device CPU frequency f                 | log, 1.75e9 Hz, 2     | -10 | 10  |
    | 7   | server_cpu     | leased server CPU frequency f0         | log, 5e9 Hz, 1.5      | -10 | 10  |
    | 8   | leased_qubits  | leased qubits o^C                      | log, 2250 qubit, 2.5  | -10 | 10  |
    | 9   | tx_power       | transmit power p                       | log, 0.045 W, 5       | -10 | 10  |
    | 10  | lambda_t       | weight of latency in the cost          | 2 lambda_t - 1        | -1  | 1   |
    | 11  | qpu_admitted   | whether the QPU admits the task        | 0 or 1                | 0   | 1   |
    | 12  | backlog        | virtual queue, filled by the Lyapunov wrapper; 0 without | log1p(z / V) | 0 | 100 |

    What is shared is shown as a device would get it alone. Before the backlog come, with ``resources.broadcast =
    counts``, ``band_use``, ``cpu_use`` and ``qpu_use``: ln(1 + x) of how many devices used each pool in the last
    slot, x in units of a leased band, a core, a tile of it; where the server or the QPU is queued, ``cpu_wait`` and
    ``qpu_wait``: ln(1 + s) of the seconds that the task would wait there, and in ``sufficient`` ``cpu_work`` and
    ``qpu_work``, of those that the whole server or QPU would work on the whole task; all of them within [0, 10].
    Before the work come ``band_part``, ``server_part``, ``qpu_part``, ``slot`` and ``delta``, the load (queued.md).
    ``state()`` has the observations of all devices one after another, in ``state_space``.

    ## Rewards
    Minus the cost of the device in the slot, -(lambda_t t + lambda_e e). A missed deadline is told in the infos.

    ## Infos
    The same keys from ``reset`` and ``step``, numbers and arrays alone. Of the coming slot: ``mode_mask`` (int8 [3];
    the function ``action_mask`` makes of it what the space's ``sample`` takes), ``fraction_low`` and ``fraction_high``
    (float64 [3], by mode). Of the slot just carried out (0 or False after ``reset``): ``cost``, ``latency_s``,
    ``energy_j``, executed ``fraction`` and ``mode``, ``deadline_missed``, ``deadline_feasible`` (some action would have
    met it), ``qpu_rejected``, ``overruled``, ``local_cost`` (had the whole task stayed on the device).
    ``present`` tells whether the device is there in the coming slot, ``was_present`` of the slot carried out.
    With ``lyapunov.reward = difference`` also ``what_if`` (float64 [3, 3]): cost, executed fraction and miss had the
    device stayed local, had one other at the server CPU, had one other at the QPU.
    Where anything is queued also, after the slot, ``cpu_wait_s`` and ``qpu_wait_s``, ``cpu_backlog_cycles`` and
    ``qpu_backlog_s``; ``waited_s``, how long the device's own task waited in it; and with ``lyapunov.reward =
    difference`` also ``backlogs_without`` (float64 [2]): cycles and seconds left, had the device sent nothing.

    ## Starting State
    Equipment, places and tasks are drawn from the seed. ``reset()`` without a seed goes on with the next episode of the
    last seed; a given trace is replayed.

    ## Devices That Come And Go
    In a trace that says who is there the agents stay the same, and each must act. Who is not there has an observation
    of zeros and only ``local`` allowed; its action is ignored and its reward is 0, and nobody finds it in a pool.

    ## Episode End
    All agents are truncated together after ``horizon`` slots, with a final reward and observation. Nothing terminates.

    ## Arguments
    - ``scenario``: a :class:`~meqc_marl.config.Scenario`.
    - ``trace``: nature to replay, of one row, or a library.
    - ``render_mode``: ``"ansi"``, a table of the last slot; ``"rgb_array"``, a map of the devices;
      ``"human"``, the map in a window after every ``reset`` and ``step``, at most 30 slots a second; or None.
    """

    metadata = {  # noqa: RUF012 (PettingZoo's declaration)
        "name": "meqc_offloading_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": RENDER_FPS,
        "is_parallelizable": True,
    }

    def __init__(
        self, scenario: Scenario, trace: Trace | Library | None = None, render_mode: str | None = None
    ) -> None:
        if render_mode is not None and (not isinstance(render_mode, str) or render_mode not in RENDER_MODES):
            raise InputError(f"render_mode is {shown(render_mode)}; it must be 'ansi', 'rgb_array', 'human' or None.")
        check_parts(scenario, trace)
        if scenario.num_devices > MAX_AGENTS:
            raise InputError(
                f"num_devices is {scenario.num_devices:,}; an environment with named agents has at most "
                f"{MAX_AGENTS:,}, and OffloadingSimulator takes more."
            )
        if isinstance(trace, Trace) and trace.num_envs != 1:
            raise InputError(f"the trace has {trace.num_envs} rows; it must have 1, take one with trace.row(i).")
        self.scenario = scenario
        self.render_mode = render_mode
        title = f"{scenario.name}: devices and where they compute"
        self._window = Window(title, RENDER_FPS) if render_mode == "human" else None
        self.simulator = OffloadingSimulator(scenario, 1, trace)
        self.possible_agents = [f"{AGENT_PREFIX}{m}" for m in range(scenario.num_devices)]
        self.agents: list[str] = []
        self.observation_spaces = {agent: observation_space(scenario) for agent in self.possible_agents}
        self.action_spaces = {agent: action_space() for agent in self.possible_agents}
        ends_of_all = (np.tile(end, scenario.num_devices) for end in observation_ends(scenario))
        self.state_space = spaces.Box(*ends_of_all, dtype=np.float32)
        self._outcome: Outcome | None = None
        self._never = dict.fromkeys(self.possible_agents, False)

    def observation_space(self, agent: str) -> spaces.Box:
        """The same object at every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Dict:
        """The same object at every call."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Start an episode; see *Starting State*. There are no options."""
        self.simulator.reset(seed)
        self.agents = list(self.possible_agents)
        self._outcome = None
        self._show()
        infos = {agent: no_slot_yet() | coming for agent, coming in zip(self.agents, self._coming(), strict=True)}
        if self.scenario.lyapunov.reward == "difference":
            infos = {agent: info | {"what_if": np.zeros((3, 3))} for agent, info in infos.items()}
        self._tell_queues(infos)
        return self._observations(), infos

    def step(
        self, actions: Mapping[str, Mapping[str, Any]]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Carry out one slot with an action of every device."""
        mode, fraction = read_actions(self.agents, actions)
        outcome = self._outcome = self.simulator.step(mode, fraction)
        self._show()
        ended = self.simulator.truncated
        each = zip(self.possible_agents, told_of(outcome), self._coming(), strict=True)
        infos = {agent: told | coming for agent, told, coming in each}
        if self.scenario.lyapunov.reward == "difference":
            what_if = np.array(self.simulator.consequences(), np.float64)[:, :, 0]
            for device, agent in enumerate(self.possible_agents):
                infos[agent]["what_if"] = what_if[..., device].copy()
        self._tell_queues(infos)
        rewards = dict(zip(self.possible_agents, (-outcome.cost[0]).tolist(), strict=True))
        if ended:
            self.agents = []
        truncated = dict.fromkeys(self.possible_agents, ended)
        return self._observations(), rewards, self._never.copy(), truncated, infos

    def state(self) -> np.ndarray:
        """What a critic of all may see: the observations of all devices one after another, float32 [M K]."""
        return self.simulator.observation[0].flatten()

    def render(self) -> str | np.ndarray | None:
        """The last slot, or the start, as ``render_mode`` says; None without a mode, and for the window."""
        if self._window is not None:
            self._show()
        if self.render_mode not in ("ansi", "rgb_array"):
            return None
        if self.render_mode == "rgb_array":
            return self._picture()
        shown = self._shown_slot()
        return slot_table(shown, self.simulator.trace.slot(shown), self._outcome)

    def _shown_slot(self) -> int:
        return self.simulator.slot_index - (self._outcome is not None)

    def _picture(self) -> np.ndarray:
        shown = self._shown_slot()
        return draw_disc(self.scenario.mobility.radius_m, shown, self.simulator.trace.slot(shown), self._outcome)

    def _show(self) -> None:
        """Bring the window up to date; nobody looks at one that was closed."""
        if self._window is not None and not self._window.is_closed:
            self._window.show(self._picture())

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()

    def _observations(self) -> dict[str, np.ndarray]:
        return dict(zip(self.possible_agents, self.simulator.observation[0], strict=True))

    def _tell_queues(self, infos: dict[str, dict[str, Any]]) -> None:
        if self.scenario.resources.queued:
            for info, told in zip(infos.values(), queue_infos(self.simulator, self._outcome is not None), strict=True):
                info |= told

    def _coming(self) -> list[dict[str, Any]]:
        """What each device may choose in the coming slot."""
        return coming_slot(self.simulator, placed_fractions(self.scenario))


def parallel_env(
    scenario: Scenario | str | Path = "paper",
    overrides: Sequence[str] = (),
    trace: Trace | Library | LibraryFiles | str | Path | Sequence[str | Path] | None = None,
    render_mode: str | None = None,
) -> OffloadingParallelEnv:
    """Make the environment.

    Args:
        scenario: A scenario, a preset's name or the path of a YAML file.
        overrides: ``"dotted.field=value"`` each.
        trace: Nature to replay, or the path of its npz file; a list of files makes a library to draw episodes from.
        render_mode: ``"ansi"``, ``"rgb_array"``, ``"human"`` or None.
    """
    scenario = load_scenario(scenario, overrides)
    return OffloadingParallelEnv(scenario, given_nature(trace, scenario), render_mode)
