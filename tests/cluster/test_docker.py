"""The image's build, without Docker: what the steps of its first stage leave of the package."""

import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile

import pytest

from tests.cluster.manifests import CLUSTER

ROOT = CLUSTER.parent
BUILD = "from setuptools import build_meta; build_meta.build_wheel('{folder}')"
#: Builds a wheel in the tree, as pip does for a folder; nothing is fetched or installed.
PIP = f"""#!/bin/sh
case "$*" in
install*.) exec {sys.executable} -c "{BUILD.format(folder="wheels")}" ;;
install*.\\[*) exec {sys.executable} -c "{BUILD.format(folder="empty")}" ;;
esac
"""


def steps():
    """RUN and COPY of the first stage, from where the package comes in."""
    text = (CLUSTER / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
    stage = text.split("WORKDIR /build", 1)[1].split("\nFROM ", 1)[0]
    return re.findall(r"^(RUN|COPY) (.*)$", stage, re.MULTILINE)


@pytest.mark.timeout(120)
def test_the_image_holds_the_package_and_not_the_empty_one(tmp_path):
    tools, build = tmp_path / "tools", tmp_path / "build"
    for folder in (tools, build):
        folder.mkdir()
    (tools / "pip").write_text(PIP)
    (tools / "pip").chmod(stat.S_IRWXU)
    env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "RAY_VERSION": "1", "TORCH_VERSION": "1"}
    ignored = shutil.ignore_patterns("__pycache__")
    for kind, what in steps():
        if kind == "RUN":
            subprocess.run(["sh", "-euc", what], cwd=build, env=env, check=True, capture_output=True, timeout=60)
            continue
        *sources, target = what.split()
        for source in sources:
            if (ROOT / source).is_dir():  # with the times of the files, as COPY does
                shutil.copytree(ROOT / source, build / target, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy2(ROOT / source, build / target)
    (wheel,) = (build / "wheels").glob("*.whl")
    there = zipfile.ZipFile(wheel)
    assert not [name for name in there.namelist() if name.startswith("experiments/results")]
    for path in [*(ROOT / "meqc_marl").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]:
        assert there.read(path.relative_to(ROOT).as_posix()) == path.read_bytes(), path
    assert (build / "empty").is_dir(), "the layer of dependencies was not built"
