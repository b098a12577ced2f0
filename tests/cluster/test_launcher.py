"""The files for ``ray up``: Ray takes them, drivers are safe, nothing is open to the world."""

import copy
import os
import re
import stat
import subprocess

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.manifests import CLUSTER

FILES = sorted((CLUSTER / "launcher").glob("*.yaml"))
CLOUDS = [path for path in FILES if path.stem != "local"]


def read(path):
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ray_takes_the_file(path):
    assert len(FILES) == 3
    config = read(path)
    validate_config(prepare_config(copy.deepcopy(config)))
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config | {"max_worker": 1}))


@pytest.mark.parametrize("path", CLOUDS, ids=lambda path: path.stem)
def test_the_head_is_idle_drivers_stay_and_trials_are_spot(path):
    config = read(path)
    types = config["available_node_types"]
    head, driver, trials = types["head"], types["driver"], types["trials"]
    assert config["head_node_type"] == "head"
    assert head["resources"]["CPU"] == 0
    assert driver["resources"]["driver"] == 1
    assert driver["min_workers"] == driver["max_workers"] >= 1
    assert trials["min_workers"] == 0 < trials["max_workers"]
    assert config["max_workers"] == driver["max_workers"] + trials["max_workers"]
    spot = {name for name, kind in types.items() if re.search("(?i)spot|preemptible", yaml.safe_dump(kind))}
    assert spot == {"trials"}
    assert [name for name, kind in types.items() if "driver" in kind["resources"]] == ["driver"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_who_has_no_token_stays_outside(path):
    config = read(path)
    assert "0.0.0.0" not in path.read_text()
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [
        command
        for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"])
        for command in commands
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command and "OMP_NUM_THREADS=1" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert not re.search("RAY_AUTH_TOKEN=", path.read_text())


def test_aws_uses_a_security_group_of_the_users():
    for kind in read(CLUSTER / "launcher" / "aws.yaml")["available_node_types"].values():
        assert kind["node_config"]["SecurityGroupIds"], "Ray would make one that opens ssh to the world"


def test_gcp_uses_a_network_of_the_users():
    for kind in read(CLUSTER / "launcher" / "gcp.yaml")["available_node_types"].values():
        assert kind["node_config"]["networkInterfaces"][0]["subnetwork"], "the default network opens ssh to the world"


@pytest.mark.parametrize(
    ("addresses", "cores", "given", "resources"),
    [
        ("10.0.0.1 192.0.2.11", 8, 6, '{"driver":1}'),
        ("192.0.2.11", 2, 0, '{"driver":1}'),
        ("192.0.2.12", 8, 8, "{}"),
    ],
)
def test_one_of_the_fixed_machines_is_for_drivers(tmp_path, addresses, cores, given, resources):
    config = read(CLUSTER / "launcher" / "local.yaml")
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])
    assert "--num-cpus=0" in config["head_start_ray_commands"][-1]
    tools = tmp_path / "venv" / "bin"
    tools.mkdir(parents=True)
    stand_ins = {"hostname": f"echo '{addresses} '", "nproc": f"echo {cores}", "ray": 'printf "%s\\n" "$@"'}
    for name, body in stand_ins.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(stat.S_IRWXU)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAY_HEAD_IP": "192.0.2.10"}
    command = config["worker_start_ray_commands"][-1].replace("ulimit -n 65536;", "")
    done = subprocess.run(["bash", "-euc", command], env=env, capture_output=True, text=True, check=True, timeout=60)
    options = ["--address=192.0.2.10:6379", f"--num-cpus={given}", f"--resources={resources}"]
    assert done.stdout.splitlines() == ["start", *options]
