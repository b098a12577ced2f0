"""Every snippet of docs/frameworks.md runs, where its library is installed."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text()
NAMES = "masks gymnasium stable-baselines3 torchrl torchrl-trains rllib supersuit tianshou benchmarl agilerl"
SNIPPETS = dict(zip(NAMES.split(), re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), strict=True))
QUICK = ("masks", "gymnasium", "stable-baselines3", "torchrl")


def run(snippet, folder):
    """What a snippet prints, run as a file: some start processes of their own."""
    for library in re.findall(r"^(?:from|import) (\w+)", snippet, re.MULTILINE):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    (folder / "snippet.py").write_text(snippet)
    done = subprocess.run([sys.executable, "snippet.py"], cwd=folder, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return done.stdout


@pytest.mark.parametrize("name", QUICK)
def test_snippet_runs(name, tmp_path):
    run(SNIPPETS[name], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in SNIPPETS if name not in (*QUICK, "torchrl-trains")])
def test_long_snippet_runs(name, tmp_path):
    run(SNIPPETS[name], tmp_path)


@pytest.mark.long
def test_torchrl_with_the_dictionary_beats_chance(tmp_path):
    told = run(SNIPPETS["torchrl-trains"], tmp_path)
    chance, trained = map(float, re.findall(r"(-[\d.]+) ", told))
    assert trained > chance + 5.0
