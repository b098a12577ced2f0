"""Every snippet of the README runs, and every command is understood."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from meqc_marl.cli import _command_type, main

README = (Path(__file__).parent.parent / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
COMMANDS = [line.split("#")[0].strip() for line in SHELL.splitlines() if line.startswith("meqc-marl ")]
SMALL = ["--num-traces", "2", "--num-slots", "20"]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_python_snippet_runs(snippet, tmp_path):
    done = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_understood(command):
    arguments = shlex.split(command)[1:]
    tyro.cli(_command_type(), args=arguments, config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes))


def test_commands_that_need_no_training_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        arguments = shlex.split(command)[1:]
        if arguments[0] in ("compare", "scenario", "vary") and "--checkpoints" not in arguments:
            assert main(arguments + (SMALL if arguments[0] in ("compare", "vary") else [])) == 0, command
    assert {path.name for path in tmp_path.iterdir()} == {"real.png", "real.json", "mine.yaml"}


def test_there_are_commands_and_snippets():
    assert len(SNIPPETS) >= 3
    assert len(COMMANDS) >= 8
