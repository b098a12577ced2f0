"""All files for clusters name one version of Ray and of PyTorch, and it is one that the package allows."""

import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from ray.runtime_env import RuntimeEnv

from tests.cluster.manifests import CLUSTER, ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = {Requirement(text).name: Requirement(text) for text in PROJECT["dependencies"]}
FILES = {
    "ray": ["runtime_env.yaml", "docker/Dockerfile", "kubernetes/base/raycluster.yaml"],
    "torch": ["runtime_env.yaml", "docker/Dockerfile"],
}
PATTERNS = {
    "ray": r"\bray(?:\[[\w,]+\])?==([\d.]+)|rayVersion: ([\d.]+)|RAY_VERSION=([\d.]+)",
    "torch": r"\btorch==([\d.]+)|TORCH_VERSION=([\d.]+)",
}


def versions(name):
    found = {}
    for path in sorted(path for path in CLUSTER.rglob("*") if path.is_file()):
        for match in re.finditer(PATTERNS[name], path.read_text()):
            found.setdefault(str(path.relative_to(CLUSTER)), set()).add(next(filter(None, match.groups())))
    return found


@pytest.mark.parametrize("name", PATTERNS)
def test_all_files_name_one_version_that_the_package_allows(name):
    found = versions(name)
    for path in (*FILES[name], "launcher/aws.yaml", "launcher/gcp.yaml", "launcher/local.yaml"):
        assert path in found
    (version,) = set().union(*found.values())
    assert REQUIRED[name].specifier.contains(version)
    for extra in PROJECT["optional-dependencies"]["cluster"]:
        assert Requirement(extra).name != name or Requirement(extra).specifier.contains(version)


def test_images_and_manifests_name_this_version_of_the_package():
    for path in sorted((CLUSTER / "kubernetes").rglob("*.yaml")):
        for tag in re.findall(r"image: .*meqc-marl:(\S+)|newTag: (\S+)", path.read_text()):
            assert "".join(tag) == PROJECT["version"]


def test_the_runtime_environment_has_the_dependencies_of_the_package():
    config = yaml.safe_load((CLUSTER / "runtime_env.yaml").read_text())
    RuntimeEnv(**config)
    pins = {Requirement(text).name: Requirement(text) for text in config["pip"]}
    (search,) = map(Requirement, PROJECT["optional-dependencies"]["search"])
    assert set(pins) == {*REQUIRED, search.name}
    assert pins[search.name] == search
    for name in set(REQUIRED) - set(PATTERNS):
        assert pins[name] == REQUIRED[name]
    assert pins["ray"].extras == REQUIRED["ray"].extras
    assert config["env_vars"] == {"OMP_NUM_THREADS": "1"}
