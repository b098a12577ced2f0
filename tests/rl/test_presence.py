"""Learning from devices that come and go: both kinds of runners against the wrapper, and exact resumption."""

import numpy as np
import pytest
from comings import coming_and_going
from states import train_with_a_break

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.columns import PRESENT
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner
from meqc_marl.dqn_ddpg.multi_agent import episode_rows
from meqc_marl.dqn_ddpg.spaces import parse_action_space
from meqc_marl.env.parallel import OffloadingParallelEnv, action_space
from meqc_marl.errors import InputError
from meqc_marl.jobs.run import Run
from meqc_marl.jobs.training import train
from meqc_marl.lyapunov import BACKLOG_COLUMN
from meqc_marl.lyapunov.wrapper import LyapunovParallelEnv
from meqc_marl.nature.library import LibraryFiles, open_library
from meqc_marl.nature.trace_file import save_trace
from meqc_marl.policies.learned import load_policy
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.offloading_env import ConfiguredBatchedEnv, ConfiguredParallelEnv

HORIZON, ROWS = 12, 3
POOLED = [*(f"resources.{part}=pooled" for part in ("band", "server", "qpu")), "lyapunov.reward=difference"]
QUEUED = ["resources.server=queued", "resources.qpu=queued", "lyapunov.reward=difference"]


def scenario_of(*changes):
    return load_scenario("small", [f"horizon={HORIZON}", "lyapunov.v=0.5", "tasks.deadline_s=[4.0, 12.0]", *changes])


@pytest.fixture
def files(tmp_path):
    for number in range(3):
        save_trace(coming_and_going(scenario_of(), [number], 25), tmp_path / f"day{number}.npz")
    return LibraryFiles.of([tmp_path], ["day2"])


def batched_runner(scenario, files, **learner):
    config = offloading_config(scenario, trace=files, learner={"hidden": [16], "epsilon": 0.7, **learner})
    config.env_runners(num_envs_per_env_runner=ROWS)
    kind = lambda context: ConfiguredBatchedEnv(context)  # noqa: E731
    return BatchedEnvRunner(config=config, env_creator=kind, worker_index=0, num_workers=0)


@pytest.mark.parametrize("changes", [[], POOLED, ["lyapunov.reward=team"], QUEUED])
def test_what_is_sampled_is_what_the_wrapper_gives(files, changes):
    scenario = scenario_of(*changes)
    runner = batched_runner(scenario, files)
    (fragment,) = runner.sample(num_timesteps=HORIZON * ROWS)
    library = open_library(files, scenario.num_devices)
    seeds = runner.env.simulator.get_state()["seeds"]
    totals = dict.fromkeys(("cost", "fraction", "backlog"), 0.0)
    number = 0
    for row, seed in enumerate(seeds):
        trace = library.draw([seed], 0, HORIZON)
        env = LyapunovParallelEnv(OffloadingParallelEnv(scenario, trace))
        seen, _ = env.reset()
        for t in range(HORIZON):
            present = trace.present[t, 0]
            np.testing.assert_array_equal(fragment.present[t][row], present)
            got = fragment.observation[t][row]
            np.testing.assert_allclose(got, list(seen.values()), rtol=1e-6, atol=1e-6)
            assert not got[~present].any()
            mode, share = fragment.mode[t][row], fragment.parameters[t][row]
            fraction = np.where(mode == 1, share[:, 0], share[:, 1]) * (mode > 0)
            actions = {
                agent: {"mode": int(mode[m]), "fraction": fraction[m : m + 1]}
                for m, agent in enumerate(env.possible_agents)
            }
            before = env.queues.backlog[0]
            seen, rewards, _, _, infos = env.step(actions)
            told = {
                name: np.array([infos[a][name] for a in env.possible_agents])
                for name in ("cost", "fraction", "backlog", "local_cost")
            }
            expected = np.array(list(rewards.values())) / scenario.lyapunov.v
            if not changes or "team" in changes[0]:  # less that of leaving the task on the device
                own = told["local_cost"] - told["cost"] + before / scenario.lyapunov.v * told["fraction"]
                own = np.where(present, own, 0.0)
                expected = own if not changes else np.where(present, own.sum() / max(present.sum(), 1), 0.0)
            if changes:  # where the learner does not know what a queue adds
                expected = expected / (1.0 + before / (15.0 * scenario.lyapunov.v))
            if changes != QUEUED:  # where a critic of the waits learns on all rows
                np.testing.assert_allclose(fragment.reward[t][row], expected, rtol=1e-5, atol=1e-5)
            assert not fragment.reward[t][row][~present].any()
            number += present.sum()
            for name in totals:
                totals[name] += told[name][present].sum()
    logged = {name: float(value.reduce(compile=True)) for name, value in runner.get_metrics()["lyapunov"].items()}
    for name, total in zip(("cost", "fraction_mean", "backlog_mean"), totals.values(), strict=True):
        assert logged[name] == pytest.approx(total / number, rel=1e-9)
    assert logged["devices_present"] == pytest.approx(number / HORIZON / ROWS)
    rows = fragment.rows(0.0, part=runner.parts.by_module["default_policy"])
    assert len(rows["obs"]) == number
    assert rows["obs"].any(-1).all()


def test_the_stock_runner_gives_the_same_rows(files):
    from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

    scenario = scenario_of()
    config = offloading_config(scenario, trace=files, env_runner="stock", learner={"hidden": [16], "epsilon": 0.7})
    runner = MultiAgentEnvRunner(config=config, worker_index=0, num_workers=0)
    layout = parse_action_space(action_space(), (0,))
    seeds, found, expected = None, 0, 0
    for episode in runner.sample(num_timesteps=HORIZON):
        rows = episode_rows(episode, 0.0, {"device": layout})["device"]
        found += len(rows["obs"])
        assert rows["obs"].any(-1).all()
        env = runner.env.unwrapped.envs[0].unwrapped.env
        seeds = env.simulator.get_state()["seeds"]
        for single in episode.agent_episodes.values():
            infos = single.get_infos()
            there = np.array([info["present"] for info in infos])
            seen, reward = np.array(single.get_observations()), np.array(single.get_rewards())
            np.testing.assert_array_equal(seen.any(-1), there)
            assert not reward[~there[:-1]].any()
            expected += there[:-1].sum()
    assert found == expected > 0
    trace = open_library(files, 3).draw(seeds, 0, HORIZON)
    assert trace.present.sum() == expected


def test_whole_slots_tell_who_is_there_and_a_context_needs_a_view_that_does(files):
    runner = batched_runner(scenario_of(*POOLED), files, context="mean")
    (fragment,) = runner.sample(num_timesteps=HORIZON * ROWS)
    rows = fragment.rows(0.0, part=runner.parts.by_module["default_policy"], whole_slots=True)
    present = np.stack(fragment.present).reshape(-1, 3)
    np.testing.assert_array_equal(rows[PRESENT], present[present.any(-1)])
    with pytest.raises(InputError, match="does not tell the others who is there"):
        offloading_config(scenario_of(*POOLED, "observation=paper"), trace=files, learner={"context": "mean"})


def test_a_runner_goes_on_exactly(files):
    runner, other = (batched_runner(scenario_of(), files, n_step=3, gamma=0.9) for _ in range(2))
    runner.sample(num_timesteps=7 * ROWS)
    other.set_state(runner.get_state())
    (one,), (two,) = (each.sample(num_timesteps=9 * ROWS) for each in (runner, other))
    for name, values in one.arrays().items():
        np.testing.assert_array_equal(values, getattr(two, name), err_msg=name)
    part = runner.parts.by_module["default_policy"]
    for name, values in one.rows(0.9, 3, part).items():
        np.testing.assert_array_equal(values, two.rows(0.9, 3, part)[name], err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "learner"),
    [([], {}), (POOLED, {"context": "mean"}), (QUEUED, {}), (POOLED, {"context": "attention", "replay_alpha": 0.6})],
)
def test_a_run_goes_on_exactly(files, tmp_path, changes, learner, ray_session):
    run = Run(scenario=scenario_of(*changes), env_steps=2_400, learner={"hidden": [8], **learner}, trace=files)
    train(run, tmp_path / "whole")
    train_with_a_break(run, tmp_path / "run")
    one, two = load_policy(tmp_path / "run"), load_policy(tmp_path / "whole")
    for part in ("actor", "critic"):
        for mine, theirs in zip(getattr(one, part).parameters(), getattr(two, part).parameters(), strict=True):
            np.testing.assert_array_equal(mine.detach().numpy(), theirs.detach().numpy())


def test_stock_environments_are_configured_with_it(files):
    from ray.rllib.env.env_context import EnvContext

    config = {"scenario": scenario_of().model_dump(mode="json"), "trace": files.model_dump(mode="json")}
    env = ConfiguredParallelEnv(EnvContext(config, worker_index=0))
    _, infos = env.reset(seed=3)
    assert {info["present"] for info in infos.values()} <= {True, False}
    assert BACKLOG_COLUMN == -1
