"""The house: imports run downward, the learner stands alone, and nothing has outgrown its room."""

import ast
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "meqc_marl"
#: A module imports only from what stands to its right. Experiments import anything but ``cli`` and ``cluster``.
ORDER = (
    *(("cli",), ("cluster", "experiments"), ("jobs",), ("rl",), ("report",), ("evaluation",), ("policies",)),
    *(
        ("lyapunov",),
        ("env",),
        ("physics",),
        ("nature",),
        ("config", "storage"),
        ("circuits",),
        ("entry", "files", "registry", "uris"),
        ("errors",),
    ),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms} | {"dqn_ddpg": len(ORDER)}


def modules() -> dict[str, Path]:
    """Dotted names below the package (``experiments`` with its own name) and files."""
    found = {}
    for folder, prefix in ((PACKAGE, ()), (ROOT / "experiments", ("experiments",))):
        for path in sorted(folder.rglob("*.py")):
            parts = (*prefix, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, path: Path) -> Iterator[tuple[str, bool]]:
    """Modules of ours that a module imports, also late; and whether at once, when it is imported itself."""
    tree = ast.parse(path.read_text())
    late = {
        id(node)
        for scope in ast.walk(tree)
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(scope, ast.If) and "TYPE_CHECKING" in ast.unparse(scope.test))
        for node in ast.walk(scope)
    }
    package = ("meqc_marl." + name if name.partition(".")[0] != "experiments" else name).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            targets = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            found = target.removeprefix("meqc_marl.")
            if found == target and not target.startswith("experiments"):
                continue
            # A name in a module stands for the module.
            while found and found not in MODULES:
                found = found.rpartition(".")[0]
            if found:
                yield found, id(node) not in late


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_imports_run_downward() -> None:
    upward = [
        f"{name} imports {target}"
        for name, path in MODULES.items()
        for target, _ in imports(name, path)
        if name and room_of(target) != room_of(name)
        if LEVEL[room_of(target)] <= LEVEL[room_of(name)]
    ]
    assert not upward


def test_the_learner_imports_nothing_of_the_package() -> None:
    for name, path in MODULES.items():
        if room_of(name) == "dqn_ddpg":
            assert {room_of(target) for target, _ in imports(name, path)} <= {"dqn_ddpg"}, name


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room_of(name) for name in MODULES if name} <= set(LEVEL)


def test_there_are_no_circles() -> None:
    graph = {
        name: {target for target, at_once in imports(name, path) if at_once and target != name}
        for name, path in MODULES.items()
        if name
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_the_imports_are_read_rightly(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "import meqc_marl.files\nfrom meqc_marl.physics import cost\nfrom meqc_marl.errors import InputError\n"
        "def late():\n    from .scenario import Compare\n    import numpy\n"
    )
    found = set(imports("cli.module", path))
    assert found == {("files", True), ("physics.cost", True), ("errors", True), ("cli.scenario", False)}


def test_no_room_and_no_file_is_too_large() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    own = {name: count for name, count in lines.items() if room_of(name) != "experiments"}
    rooms: Counter[str] = Counter()
    for name, count in own.items():
        rooms[room_of(name)] += count
    largest, count = rooms.most_common(1)[0]
    assert count < sum(own.values()) / 4, f"{largest} has {count} of {sum(own.values())} lines"
    assert {name: count for name, count in lines.items() if count >= 300} == {}


def test_no_function_takes_more_than_twelve_arguments() -> None:
    long = defaultdict(list)
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = node.args
                count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
                if count > 12:
                    long[name].append(node.name)
    assert not long


TINY = """
import sys
sys.modules["meqc_marl"] = sys.modules["pettingzoo"] = sys.modules["tyro"] = sys.modules["rich"] = None
import gymnasium as gym
import numpy as np
import ray
from dqn_ddpg.algorithm import DQNDDPGConfig
from ray.tune.registry import register_env

class Target(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Dict(mode=gym.spaces.Discrete(2), share=gym.spaces.Box(0, 1, (1,), np.float32))
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.seen, {}
    def step(self, action):
        reward = float(action["mode"] == (self.seen[0] > 0)) - abs(float(action["share"][0]) - abs(self.seen[1]))
        self.seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.seen, reward, True, False, {}

ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
register_env("target", lambda context: Target())
config = DQNDDPGConfig().environment("target").training(gamma=0.0, hidden=(16,), num_steps_before_learning=100)
algorithm = config.reporting(min_sample_timesteps_per_iteration=200).build_algo()
result = algorithm.train()
assert np.isfinite(result["learners"]["default_policy"]["critic_loss"])
algorithm.stop()
ray.shutdown()
assert not [name for name in sys.modules if name.startswith("meqc_marl.")]
print("trained")
"""


def test_the_learner_trains_alone(tmp_path: Path) -> None:
    """A copy of the folder, with Ray and torch, and nothing else of ours."""
    shutil.copytree(PACKAGE / "dqn_ddpg", tmp_path / "dqn_ddpg", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tiny.py").write_text(TINY)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "RAY_ADDRESS": "local", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "tiny.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split()[-1] == "trained"
