"""An environment may fill the same arrays again and again, as fast ones do: what was given before must not change."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.batched_env import BatchedStep
from meqc_marl.dqn_ddpg.env_runner import BatchedEnvRunner

E, M, LENGTH = 2, 3, 5


class Reusing:
    """Fills its own arrays, or gives new ones; agents come and go."""

    num_envs, num_agents = E, M
    observation_space = Box(-100.0, 100.0, (2,), np.float32)
    action_space = Dict(mode=Discrete(2), share=Box(0.0, 1.0, (1,), np.float32))

    def __init__(self, reuse):
        self.reuse = reuse
        self.seen, self.reward = np.zeros((E, M, 2), np.float32), np.zeros((E, M), np.float32)
        self.ends, self.cut, self.present = np.zeros((E, M), bool), np.zeros(E, bool), np.ones((E, M), bool)

    def _tell(self):
        at = self.t[:, None] + 10 * np.arange(M)
        values = {
            "seen": at[..., None].repeat(2, -1),
            "reward": at / 7,
            "ends": (at % 3 == 0) & (self.t == LENGTH)[:, None],
            "cut": self.t == LENGTH,
            "present": (at + np.arange(E)[:, None]) % 7 != 3,
        }
        for name, value in values.items():
            mine = getattr(self, name)
            if self.reuse:
                mine[...] = value
            else:
                setattr(self, name, value.astype(mine.dtype))

    def reset(self, seeds):
        self.t = np.zeros(E, int)
        self._tell()
        return self.seen

    def reset_rows(self, rows):
        self.t[rows] = 0
        self._tell()
        return self.seen

    def get_state(self):
        return {}

    def set_state(self, state):
        return self.reset([0] * E)

    def step(self, actions):
        self.t += 1
        self._tell()
        return BatchedStep(self.reward, self.seen, self.ends, self.cut)


@pytest.mark.parametrize("n_step", [1, 3])
def test_rows_are_those_of_an_environment_that_gives_new_arrays(n_step):
    rows = []
    for reuse in (True, False):
        config = DQNDDPGConfig().training(hidden=(8,), gamma=0.9, n_step=n_step).debugging(seed=0)
        config.env_runners(num_envs_per_env_runner=E)
        config.validate()
        runner = BatchedEnvRunner(
            config=config, env_creator=lambda context, reuse=reuse: Reusing(reuse), worker_index=0, num_workers=0
        )
        parts = []
        for _ in range(3):
            (fragment,) = runner.sample(num_timesteps=7 * E, random_actions=True)
            parts.append(fragment.rows(0.9, n_step))
        rows.append({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    assert len(np.unique(rows[0]["obs"])) > LENGTH
    assert len(np.unique(rows[0]["discount"])) > 1
    for name in ("obs", "new_obs", "rewards", "discount"):
        np.testing.assert_array_equal(rows[0][name], rows[1][name], err_msg=name)
