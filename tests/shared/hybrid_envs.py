"""Small hybrid environments with a known best action."""

from pathlib import Path

import gymnasium as gym
import numpy as np
from ray.tune.registry import register_env

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.multi_agent import ParallelEnvAdapter
from meqc_marl.env.parallel import OffloadingParallelEnv


class HybridIdentity(gym.Env):
    """Do what the observation (a, b) says: mode 1 if a > 0, fraction (b + 1) / 2. The best reward is 1."""

    def __init__(self, own_boxes: bool = False, horizon: int = 20) -> None:
        box = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        mode = gym.spaces.Discrete(2)
        self.action_space = (
            gym.spaces.Tuple((mode, box, box)) if own_boxes else gym.spaces.Dict(mode=mode, fraction=box)
        )
        self.own_boxes, self.horizon = own_boxes, horizon

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def _observe(self):
        self.obs = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.obs

    def step(self, action):
        mode, fraction = (action[0], action[1 + action[0]]) if self.own_boxes else (action["mode"], action["fraction"])
        assert fraction.shape == (1,)
        reward = float(int(mode) == int(self.obs[0] > 0)) - abs(float(fraction[0]) - (self.obs[1] + 1) / 2)
        self.t += 1
        return self._observe(), reward, False, self.t >= self.horizon, {}


class AlwaysFailing(HybridIdentity):
    def step(self, action):
        raise RuntimeError("broken on purpose")


class FailingOnce(HybridIdentity):
    """Fails in its 30th step, unless a file says that it has done so."""

    steps = 0

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = Path(marker)

    def step(self, action):
        self.steps += 1
        if self.steps == 30 and not self.marker.exists():
            self.marker.touch()
            raise RuntimeError("broken once")
        return super().step(action)


class FailingParallel(ParallelEnvAdapter):
    """Fails in its tenth step: RLlib tries one before it begins."""

    steps = 0

    def step(self, action_dict):
        self.steps += 1
        if self.steps == 10:
            raise RuntimeError("broken on purpose")
        return super().step(action_dict)


def register():
    """Tell RLlib their names."""
    register_env("hybrid_identity", lambda context: HybridIdentity(context.get("own_boxes", False)))
    register_env("always_failing", lambda context: AlwaysFailing())
    register_env("failing_parallel", lambda context: FailingParallel(OffloadingParallelEnv(load_scenario("small"))))
    register_env("failing_once", lambda context: FailingOnce(context["marker"]))
