"""Linters for what Python's do not read."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.manifests import CLUSTER, ROOT, documents

SCRIPTS = sorted(path for path in CLUSTER.rglob("*") if path.suffix in (".sh", ".sbatch"))
TOOLS = Path(sys.executable).parent


def run(tool, *words, text=""):
    done = subprocess.run([TOOLS / tool, *words], input=text, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_clean(path):
    assert run("shellcheck", str(path)) == ""


@pytest.mark.parametrize("path", sorted((CLUSTER / "launcher").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_commands_of_a_launcher_file_are_clean(path):
    config = yaml.safe_load(path.read_text())
    commands = [command for key, value in config.items() if key.endswith("commands") for command in value]
    assert run("shellcheck", "--shell=bash", "-", text="\n".join(commands)) == ""


def test_the_command_of_redis_is_clean():
    (deployment,) = [d for d in documents(CLUSTER / "kubernetes/base/redis.yaml") if d["kind"] == "Deployment"]
    command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    assert run("shellcheck", "--shell=sh", "-", text=command[-1]) == ""


def test_linters_find_something_where_there_is_something():
    assert "SC2086" in run("shellcheck", "--shell=sh", "-", text="rm $1")
    assert "DL3007" in run("hadolint", "-", text="FROM python:latest\n")


def test_the_dockerfile_is_clean_and_runs_as_nobody_special():
    path = CLUSTER / "docker" / "Dockerfile"
    assert run("hadolint", str(path)) == ""
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER 1000:1000"]
    assert lines.index("COPY meqc_marl meqc_marl") > lines.index("COPY pyproject.toml README.md LICENSE ./")


def test_the_build_context_has_what_the_image_is_made_of():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in (CLUSTER / "docker" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            copied |= set(line.split()[1:-1])
    assert kept == copied
    assert all((ROOT / name).exists() for name in kept)
