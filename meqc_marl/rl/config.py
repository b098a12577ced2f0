"""The learner's configuration for a scenario: what the measured defaults are and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from meqc_marl.config import Scenario
from meqc_marl.config.variation import at_ends, parse_variations
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.options import LearnerOptions, keeps_slots, settable
from meqc_marl.env.varied import check_columns
from meqc_marl.env.view import unseen_changes
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.lyapunov import discount_of
from meqc_marl.nature.library import LibraryFiles, fixed_by_traces, open_library
from meqc_marl.physics.cost import Mode
from meqc_marl.rl.callbacks import TYPICAL_COST, DifferenceCallback, LyapunovCallback
from meqc_marl.rl.offloading_env import ConfiguredBatchedEnv, ConfiguredParallelEnv
from meqc_marl.rl.told_columns import allowed_by, mode_columns, price_columns, unit_columns

SHARED_MODULE = "device"

#: Device-steps of the default budget, ten minutes of a core; half as many do where modes are learned apart, and a
#: quarter where what the queue adds to the reward is known, too.
DEFAULT_DEVICE_STEPS = 2_400_000
#: Devices in a minibatch.
_MINIBATCH = 256
#: Devices that replay keeps.
_REPLAY = 500_000
#: Slots of a row that replay keeps where the reward itself is learned.
_RECENT_SLOTS = 4_000
#: A number given for one of these is where its decay starts.
_RATES = {"critic_lr", "actor_lr"}


def default_env_steps(scenario: Scenario, learner: Mapping[str, Any] | None = None) -> int:
    """Environment steps of the default budget, in whole episodes.

    Args:
        scenario: The system.
        learner: Parameters of the learner other than the defaults, by name.
    """
    usual = {name: LearnerOptions.model_fields[name].default for name in ("critic", "context")}
    given = usual | {"gamma": _gamma(scenario)} | dict(learner or {})
    apart = mode_columns(scenario, given["gamma"], given["critic"], given["context"])
    less = 1 if not apart else 4 if price_columns(scenario, 1.0) else 2
    steps = max(DEFAULT_DEVICE_STEPS // less // scenario.num_devices, scenario.horizon)
    return -(-steps // scenario.horizon) * scenario.horizon


def _decay(start: float, env_steps: int) -> list[list[float]]:
    """A learning rate held for three tenths of the run, then falling in a line to a hundredth."""
    return [[0, start], [3 * env_steps // 10, start], [env_steps, start / 100]]


def _charged_in_the_reward(scenario: Scenario) -> bool:
    """Whether the reward holds what the work of a slot costs later ones."""
    return scenario.lyapunov.reward == "difference" and scenario.resources.queued


def _of_a_learned_reward(scenario: Scenario, env_steps: int) -> dict[str, Any]:
    """What is otherwise where the reward holds what work costs later slots."""
    return {
        # What was charged long ago is wrong: replay is short, and as many slots are sampled as there are updates.
        "replay_capacity": min(_REPLAY, _RECENT_SLOTS * scenario.num_devices),
        "updates_per_training_step": 4,
        "train_batch_size_per_learner": 2 * _MINIBATCH,
        # Whoever explores is in the way of all others, whose values are then those of a busier system.
        "epsilon": [[0, 1.0], [max(1, env_steps // 50), 0.05], [max(2, env_steps // 2), 0.02], [env_steps, 0.01]],
    }


def _gamma(scenario: Scenario) -> float:
    """The learner's discount unless told otherwise."""
    return 0.0 if _charged_in_the_reward(scenario) else discount_of(scenario)


def how_far_ahead(scenario: Scenario, gamma: float) -> str:
    """Which discount a learner has and why, in a sentence."""
    if not scenario.resources.queued:
        return f"discount {gamma:g}: nothing that an action does reaches later slots but the virtual queues."
    if _charged_in_the_reward(scenario):
        return (
            f"discount {discount_of(scenario):g}: what the work that is left costs later slots is learned, and charged "
            "to who sent it."
        )
    return f"discount {gamma:g}: work that is left waits for later slots."


def what_is_not_seen(scenario: Scenario, vary: Sequence[str]) -> str:
    """Which fields vary from row to row and no column shows them, in a sentence; nothing if there are none."""
    variations = parse_variations(scenario, vary)
    drawn = [each.field for each in variations]

    def unseen(there: Scenario) -> list[str]:
        ends = {each.field: at_ends(there, each) for each in variations}
        return [field for field, those in ends.items() if any(unseen_changes(there, end, drawn) for end in those)]

    if not (fields := unseen(scenario)):
        return ""
    not_seen_at_all = unseen(scenario.model_copy(update={"observation": "sufficient"}))
    shown = [field for field in fields if field not in not_seen_at_all]
    sentence = f"not seen with observation={scenario.observation}, though drawn: {', '.join(fields)}"
    return sentence + (f"; observation=sufficient shows {', '.join(shown)}." if shown else ".")


def apply_learner(config: DQNDDPGConfig, learner: Mapping[str, Any], env_steps: int) -> None:
    """Set parameters of the learner by name; a learning rate that is a number is the start of the usual decay.

    Raises:
        InputError: If a name is unknown or a value not allowed.
    """
    for name in learner:
        if name not in settable():
            raise InputError(f"learner parameter '{name}' is unknown{did_you_mean(name, settable())}")
    try:
        # As they were given, before a rate becomes a schedule.
        LearnerOptions.of(config.options.model_dump() | dict(learner))
        if not set(config.training(**learner).allowed_modes) <= set(Mode):
            modes = ", ".join(f"{mode.value} ({mode.name})" for mode in Mode)
            raise ConfigurationError(f"allowed_modes is {list(config.allowed_modes)}; the modes are {modes}.")
        for name in _RATES & learner.keys():
            if isinstance(rate := learner[name], int | float):
                config.training(**{name: _decay(float(rate), env_steps)})
        config.validate()
    except (ValueError, TypeError) as error:
        raise InputError(f"learner parameter {str(error).splitlines()[0]}") from None


def _count_slots(config: DQNDDPGConfig, num_devices: int, given: Mapping[str, Any]) -> None:
    """Where a row of replay is a slot of all devices, keep as many devices as otherwise, and learn from twice as many:
    those of a slot resemble each other more."""
    sizes = {
        "replay_capacity": max(1, config.replay_capacity // num_devices),
        "train_batch_size_per_learner": max(8, 2 * _MINIBATCH // num_devices),
    }
    config.training(**{name: size for name, size in sizes.items() if name not in given})


def _refuse_unseen_absence(trace: LibraryFiles, scenario: Scenario, context: str) -> None:
    """The context leaves out who is not there by the masks of the sufficient view, which others lack."""
    if open_library(trace, scenario.num_devices).comes_and_goes:
        raise InputError(
            f"learner parameter context is {context} and observation is {scenario.observation}, which does not tell "
            "the others who is there, while devices of the traces come and go; leave observation sufficient, or "
            "context none."
        )


def offloading_config(
    scenario: Scenario,
    *,
    env_steps: int | None = None,
    seed: int | None = 0,
    num_env_runners: int = 0,
    env_runner: Literal["batched", "stock"] = "batched",
    learner: Mapping[str, Any] | None = None,
    vary: Sequence[str] = (),
    trace: LibraryFiles | None = None,
) -> DQNDDPGConfig:
    """Build the configuration that ``meqc-marl train`` uses.

    The discount is 0 unless anything is queued: nature does not depend on the actions, and drift-plus-penalty asks for
    the least objective of each slot given the backlogs, so looking further ahead only adds noise to the target. Where
    work waits for later slots it is ``lyapunov.discount``: in the reward, if that is what a device adds to that of all
    (:mod:`meqc_marl.lyapunov.value`), so that gamma stays 0; otherwise it is gamma. Without a discount the reward
    is that of the action less that of leaving the task on the device, in units of V: one problem, whatever V and Delta.
    What the queue adds to it is told (:func:`~meqc_marl.rl.told_columns.price_columns`), or else it is divided by
    1 + z / (V C). With a discount it is the shaped reward, divided by V. Both are divided by a typical cost C.

    With deadlines kept and the sufficient view, the head's output is mapped onto the shares that meet the deadline, and
    modes that do not are barred; otherwise the environment makes what is allowed of what is asked for.

    Args:
        scenario: The system.
        env_steps: Environment steps of the whole run, for the schedules.
        seed: Seed of networks, exploration, replay and nature.
        num_env_runners: Remote samplers; 0 samples in the main process.
        env_runner: ``batched``, or RLlib's ``MultiAgentEnvRunner`` over the PettingZoo environment (``stock``).
        learner: Parameters of :class:`~meqc_marl.dqn_ddpg.options.LearnerOptions` other than the defaults, by name.
        vary: Fields drawn anew for each row at every reset: ``field=low,high`` or ``field=[a, b, c]``.
        trace: Library of traces of which episodes are drawn; nature is drawn as the scenario says if None.

    Raises:
        InputError: If ``learner`` or ``vary`` has an unknown name or a value that is not allowed.
    """
    env_steps = max(env_steps or default_env_steps(scenario, learner), 10)  # so that the steps of a schedule differ
    # About 240 devices a slot, whatever their number in a row.
    rows = max(1, round(240 / scenario.num_devices))
    fragment = 4
    check_columns(scenario, parse_variations(scenario, vary))  # bad ones are told here
    given: dict[str, Any] = {} if trace is None else {"trace": trace.model_dump(mode="json")}
    if trace is not None and (fixed := [each for each in vary if fixed_by_traces(each.partition("=")[0].strip())]):
        raise InputError(f"vary {shown(fixed[0])} has no effect where traces are given; leave it out.")
    if vary and env_runner == "stock":
        raise InputError("vary needs env-runner batched: RLlib's own has one scenario for all rows.")
    config = DQNDDPGConfig()
    config.environment(
        ConfiguredBatchedEnv if env_runner == "batched" else ConfiguredParallelEnv,
        env_config={"scenario": scenario.model_dump(mode="json")} | ({"vary": list(vary)} if vary else {}) | given,
    )
    config.env_runners(
        num_env_runners=num_env_runners,
        num_envs_per_env_runner=rows if env_runner == "batched" else 1,
        rollout_fragment_length=fragment if env_runner == "batched" else fragment * rows,
    )
    config.training(
        gamma=_gamma(scenario),
        hidden=(128, 128, 128),
        activation="relu",
        critic_lr=_decay(3e-3, env_steps),
        actor_lr=_decay(3e-3, env_steps),
        # Rewards are exact but have kinks: a nearly absolute error fits what lies between them best.
        huber_delta=0.02,
        epsilon=[[0, 1.0], [max(1, env_steps // 50), 0.1], [env_steps, 0.05]],
        exploration_noise=0.1,
        parameterless_modes=(int(Mode.LOCAL),),
        **allowed_by(scenario),
        reward_scale=1.0 / TYPICAL_COST,
        train_batch_size_per_learner=_MINIBATCH,
        updates_per_training_step=16,
        replay_capacity=_REPLAY,
        num_steps_before_learning=min(env_steps // 50, 4_000),
    )
    if _charged_in_the_reward(scenario):
        config.training(**_of_a_learned_reward(scenario, env_steps))
    if learner:
        apply_learner(config, learner, env_steps)
        if keeps_slots(config) and env_runner == "stock":
            what = "whole_slots is True" if config.context == "none" else f"context is {config.context}"
            raise InputError(f"{what}; it needs env-runner batched: RLlib's own takes every device by itself.")
        if config.context != "none":
            _count_slots(config, scenario.num_devices, learner)
            if trace is not None and scenario.observation != "sufficient":
                _refuse_unseen_absence(trace, scenario, config.context)
    if config.gamma > 0 and _charged_in_the_reward(scenario):
        raise InputError(
            f"learner parameter gamma is {config.gamma:g}; with lyapunov.reward = difference what a queue costs later "
            "slots is in the reward (lyapunov.discount): leave it 0, or set lyapunov.reward to own or team."
        )
    config.training(mode_columns=mode_columns(scenario, config.gamma, config.critic, config.context))
    known = config.mode_columns and config.reward_scale
    prices = price_columns(scenario, config.reward_scale) if known else ()
    config.training(price_columns=prices, unit_columns=unit_columns(scenario) if prices else ())
    config.callbacks(LyapunovCallback if config.gamma > 0 else DifferenceCallback)
    if config.gamma > 0 and "reward_scale" not in (learner or {}):
        config.training(reward_scale=1.0 / (TYPICAL_COST * scenario.lyapunov.v))
    config.reporting(min_sample_timesteps_per_iteration=max(1, scenario.horizon // 5) * rows)
    config.debugging(seed=seed, log_level="ERROR")
    if env_runner == "batched":
        config.env_runners(env_runner_cls=BatchedEnvRunner)
    else:
        from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

        config.env_runners(env_runner_cls=MultiAgentEnvRunner)
        config.multi_agent(policies={SHARED_MODULE}, policy_mapping_fn=lambda agent, episode: SHARED_MODULE)
    return config
