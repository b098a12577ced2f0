"""A policy's two files: from a folder or a bucket, checked by sizes, checksums and numbers, or refused by name."""

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from meqc_marl.cli import main
from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.networks import Actor, Critic
from meqc_marl.env.sufficient import SUFFICIENT_COLUMNS
from meqc_marl.errors import InputError
from meqc_marl.policies.learned import LearnedPolicy, load_policy
from meqc_marl.registry import find
from tests.cluster.test_bucket import BUCKET, server, uri  # noqa: F401 (a fixture)
from tests.sentences import is_one_sentence

OBSERVATION = np.random.default_rng(0).uniform(-1, 1, (64, len(SUFFICIENT_COLUMNS))).astype(np.float32)


def make_policy(seed=0, critic="multi-pass"):
    torch.manual_seed(seed)
    size = len(SUFFICIENT_COLUMNS)
    spec = NetworkSpec(
        observation_size=size,
        parameter_slots=((0, 0), (0, 1), (1, 2)),
        hidden=(8, 8),
        critic=critic,
        activation="relu",
        mask_columns=((2, size - 2),),
    )
    actor, heads = Actor(spec), Critic(spec)
    for part in (actor.head, heads.head):
        torch.nn.init.normal_(part.weight)
    return LearnedPolicy(spec, actor.eval(), heads.eval(), scenario=load_scenario("small", ["horizon=5"]))


@pytest.fixture
def folder(tmp_path):
    """Of a checkpoint, with a policy in it."""
    (tmp_path / "run" / "checkpoint_000003" / "policy").mkdir(parents=True)
    make_policy().save(tmp_path / "run" / "checkpoint_000003" / "policy")
    return tmp_path / "run" / "checkpoint_000003" / "policy"


def refusal(where):
    with pytest.raises(InputError) as told:
        load_policy(where)
    assert is_one_sentence(str(told.value)), told.value
    assert len(str(told.value)) < 600
    assert str(told.value).isprintable()
    return str(told.value)


def edit(folder, work, checksum=False):
    """Change policy.json, and its checksum too or not at all."""
    path = folder / "policy.json"
    description = json.loads(path.read_text())
    if not checksum:
        description.pop("sha256", None)
    text = work(description)
    path.write_text(json.dumps(description) if text is None else text)


def set_weight(folder, name, value):
    weights = load_file(folder / "policy.safetensors")
    weights[name].view(-1)[0] = value
    save_file(weights, folder / "policy.safetensors")


def without_checksum(folder):
    edit(folder, lambda description: None)


@pytest.mark.parametrize("critic", ["multi-pass", "joint", "separate"])
def test_what_is_saved_comes_back(tmp_path, critic):
    policy = make_policy(critic=critic)
    policy.save(tmp_path)
    for _ in range(2):
        for mine, theirs in zip(policy.decide(OBSERVATION), load_policy(tmp_path).decide(OBSERVATION), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert load_policy(tmp_path).drawn == policy.drawn == ()
        without_checksum(tmp_path)  # a folder from before there were checksums


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["critic.head.weight", "critic.head.bias", "actor.trunk.0.weight"])
def test_weights_that_are_no_numbers(folder, name, value):
    set_weight(folder, name, value)
    for _ in range(2):
        assert f"policy.safetensors cannot be read ({name} holds a weight that is not a finite number)" in refusal(
            folder
        )
        without_checksum(folder)


def test_finite_weights_whose_sums_are_not(folder):
    without_checksum(folder)
    for name in ("critic.trunk.0.weight", "critic.head.weight"):
        weights = load_file(folder / "policy.safetensors")
        weights[name].fill_(3e38)
        save_file(weights, folder / "policy.safetensors")
    assert "its weights are so large that its outputs are not finite numbers" in refusal(folder)


def test_a_weight_that_was_changed(folder):
    set_weight(folder, "critic.head.bias", 0.5)
    assert "the checksum of policy.safetensors is another" in refusal(folder)


def network(**changes):
    return lambda description: description["network"].update(changes)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (network(allowed_modes="12"), "allowed_modes is '12'"),
        (network(allowed_modes=[1.5]), "allowed_modes[0] is 1.5"),
        (network(allowed_modes=[True]), "allowed_modes[0] is True"),
        (network(allowed_modes=[7]), "allowed_modes is [7]"),
        (network(hidden=[30_000] * 3), "actor.trunk.4.bias is missing"),
        (network(hidden=[30_000] * 2), "actor.trunk.0.weight is F32 [8, 23], where policy.json says F32 [30000, 23]"),
        (network(hidden=[2**63]), f"hidden is [{2**63}]; at most 32 layers of at most 65,536 are read"),
        (network(hidden=[1] * 1_000), "at most 32 layers"),
        (network(hidden="88"), "hidden is '88'"),
        (network(hidden=[8, None]), "hidden[1] is None"),
        (network(hidden=[-8]), "hidden[0] is -8"),
        (network(discrete="no"), "discrete is 'no'"),
        (network(observation_size=2**63), "observes the 23 columns"),
        (network(observation_size=10**400), "observes the 23 columns"),
        (network(parameter_slots=[[0, 2**40]]), "policy.json cannot be read"),
        (network(parameter_slots=[[0, 0], [0, 1], [0, 1]]), "parameter_slots is"),
        (network(parameter_slots=[[0, 1]] * 10_000), "parameter_slots is"),
        (network(mask_columns=[[2, 99]]), "mask_columns is [[2, 99]]"),
        (network(activation="tanh"), "activation is 'tanh'"),
        (network(bounds=None), "bounds is None"),
        (lambda d: d.update(network=[1]), "policy.json cannot be read"),
        (lambda d: d.update(scenario={"num_devices": -3}), "num_devices"),
        (lambda d: d.update(scenario=7), "policy.json cannot be read"),
        (lambda d: d.update(scenario={"quantm": {"qpu": "model"}}), "quantm is not a field (did you mean 'quantum'?)"),
        (lambda d: d["scenario"]["lyapunov"].update(v={"a": [1]}), "lyapunov.v is {'a': [1]}"),
        (lambda d: d.update(observation_columns=["x" * 10_000]), "observes the 1 columns xxx"),
        (lambda d: d.update(observation_columns=None), "policy.json cannot be read"),
        (lambda d: d.update(format=3), "has format 3; this version reads format 2"),
        (lambda d: d.update(format=1), "has format 1: it was trained to pay for missed deadlines"),
        (lambda d: d.update(format="x" * 10_000), "has format xxx"),
        (lambda d: d.update(sha257={}), "'sha257' is unknown"),
        (lambda d: d.update(drawn="slot_s"), "policy.json cannot be read"),
        (lambda d: d.update(drawn=[7]), "policy.json cannot be read"),
        (lambda d: d.update(sha256=3), "the checksum of policy.safetensors is another"),
        (lambda d: json.dumps(d).replace("false", "Infinity"), "Infinity is no number"),
        (lambda d: json.dumps(d).replace("false", "NaN"), "NaN is no number"),
        (lambda d: json.dumps(d).replace("false", "9" * 5_000), "policy.json cannot be read"),
        (lambda d: "[" * 100_000, "it is nested too deeply"),
        (lambda d: json.dumps(d).replace("false", "[" * 100_000), "it is nested too deeply"),
        (lambda d: "[]", "policy.json cannot be read"),
        (lambda d: "7", "policy.json cannot be read"),
        (lambda d: "", "policy.json cannot be read"),
        (lambda d: "\x1b[2J", "policy.json cannot be read"),
        (lambda d: " " * 2**21, "policy.json has 2,097,152 bytes; at most 1,048,576 are read"),
    ],
)
def test_a_description_that_describes_no_policy(folder, work, message):
    edit(folder, work)
    assert message in refusal(folder)


def test_shares_that_meant_others_before(folder):
    """What was drawn in training is kept since a granted interval has a middle; elsewhere its absence says nothing."""
    edit(folder, lambda d: d.update(d.pop("drawn") or {}))
    load_policy(folder)
    literal = load_scenario("pooled", ["resources.fraction=literal"]).model_dump(mode="json")
    edit(folder, lambda d: d.update(scenario=literal))
    load_policy(folder)
    edit(folder, lambda d: d.update(scenario=load_scenario("queued").model_dump(mode="json")))
    assert "is of an earlier version, whose fractions stood for other shares where devices share" in refusal(folder)


def test_a_description_that_was_changed(folder):
    edit(folder, network(allowed_modes=[1]), checksum=True)
    assert "the checksum of policy.json is another" in refusal(folder)


def test_the_size_is_decided_before_memory_is_taken(folder):
    """A declared network of 30,000 x 2 is 7 GB; the limit here is 1 GiB of addresses."""
    edit(folder, network(hidden=[30_000] * 2))
    code = (
        "import resource, sys\nfrom meqc_marl.errors import InputError\n"
        "from meqc_marl.policies.learned import load_policy\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)\n"
        "try: load_policy(sys.argv[1])\nexcept InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60)
    assert "where policy.json says F32 [30000, 23]" in done.stdout, done.stderr


def test_weights_of_another_type_or_too_many(folder):
    without_checksum(folder)
    weights = load_file(folder / "policy.safetensors")
    save_file(weights | {"extra": torch.zeros(1)}, folder / "policy.safetensors")
    assert "extra is unknown" in refusal(folder)
    half = {name: value.half() for name, value in weights.items()}
    save_file(half, folder / "policy.safetensors")
    assert "is F16 [" in refusal(folder)
    (folder / "policy.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert "policy.safetensors cannot be read" in refusal(folder)


def test_folders_that_are_none(tmp_path, folder):
    assert "does not exist" in refusal(tmp_path / "x")
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))
    assert "does not exist" in refusal("a\0b")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "checkpoint" in refusal(tmp_path / "loop")
    (folder / "policy.safetensors").unlink()
    (folder / "policy.safetensors").mkdir()
    assert "policy.safetensors is no regular file" in refusal(folder)


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "loop", "device"])
def test_files_that_are_none(folder, name, kind):
    """A pipe would be waited for, a device read for ever."""
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(name if kind == "loop" else "/dev/zero")
    assert f"{name} is no regular file" in refusal(folder)


def test_a_key_that_is_there_twice(folder):
    edit(folder, lambda d: json.dumps(d).replace('"format"', '"format": 3, "format"'))
    assert "a key is there twice" in refusal(folder)


def test_its_files_have_the_permissions_of_any_new_file(folder):
    (folder / "other").touch()
    assert {(folder / name).stat().st_mode for name in os.listdir(folder)} == {(folder / "other").stat().st_mode}


STRANGERS = "from pathlib import Path\nPath('ran').touch()\n\n\n"
STRANGERS += "def move(mobility, slot_s, start, innovation, position_m):\n    position_m[...] = 1.0\n"
SHORT = ["--num-traces", "1", "--num-slots", "3"]


@pytest.fixture
def strangers(folder, tmp_path, monkeypatch):
    """A policy whose scenario names a module that tells when it is run."""
    (tmp_path / "strangers_part.py").write_text(STRANGERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    edit(folder, lambda d: d["scenario"]["mobility"].update(kind="strangers_part:move"))
    find.cache_clear()
    yield str(folder)
    find.cache_clear()
    sys.modules.pop("strangers_part", None)


def test_a_strangers_policy_runs_no_code(strangers, tmp_path, capsys):
    assert load_policy(strangers).scenario.mobility.kind == "strangers_part:move"
    for words in (["evaluate", strangers, *SHORT], ["replay", strangers]):
        assert main(words) == 2
        told = capsys.readouterr().err.removeprefix("error: ").strip()
        assert "was trained with mobility.kind = strangers_part:move, code from outside this package" in told
        assert is_one_sentence(told)
    small = ["--scenario", "small", "--num-slots", "3"]
    for words in (
        ["evaluate", strangers, *SHORT, "--set", "mobility.kind=static"],
        ["evaluate", strangers, *SHORT, "--scenario", "small"],
        ["replay", strangers, *small],
        ["compare", *SHORT, "--scenario", "small", "--checkpoints", strangers, "--policies", "oracle"],
        ["vary", "lyapunov.v=1", *SHORT, "--scenario", "small", "--checkpoints", strangers],
    ):
        assert main(words) == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("consent", [["--allow-code"], ["--set", "mobility.kind=strangers_part:move"]])
def test_code_that_is_allowed(strangers, tmp_path, consent):
    assert main(["evaluate", strangers, *SHORT, *consent]) == 0
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_no_output_replaces_a_policy(folder, name, capsys):
    before, path = (folder / name).read_bytes(), str(folder / name)
    run = str(folder.parents[1])
    for words in (
        ["compare", *SHORT, "--scenario", "small", "--checkpoints", run, "--json", path],
        ["evaluate", run, *SHORT, "--json", path],
        ["vary", "lyapunov.v=1", *SHORT, "--scenario", "small", "--checkpoints", run, "--csv", path],
        ["replay", run, "--out", path],
        ["export", run, "--file", path],
    ):
        assert main(words) == 2
        assert f"the same file as {name} of " in capsys.readouterr().err
    assert (folder / name).read_bytes() == before


@pytest.fixture
def bucket(request, tmp_path):
    """URI of a run in a bucket with two checkpoints, and a client."""
    address, client = request.getfixturevalue("server")
    key = f"{tmp_path.name}/run"
    for number, seed in ((9, 1), (10, 0)):
        for path in _saved(make_policy(seed), tmp_path / str(number)):
            client.upload_file(str(path), BUCKET, f"{key}/checkpoint_{number:06d}/policy/{path.name}")
    return uri(address, BUCKET).replace("/sweep?", f"/{key}?"), client, key


def _saved(policy, folder):
    folder.mkdir()
    policy.save(folder)
    return sorted(folder.iterdir())


def inside(where, name):
    return where.replace("?", f"/{name}?")


@pytest.mark.timeout(120)
def test_a_policy_in_a_bucket(bucket, tmp_path, capsys):
    where, client, key = bucket
    newest = make_policy(0).decide(OBSERVATION)
    for place in (
        where,
        inside(where, "checkpoint_000010"),
        inside(where, "checkpoint_000010/policy"),
        inside(where, ""),
    ):
        for mine, theirs in zip(newest, load_policy(place).decide(OBSERVATION), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    older = load_policy(inside(where, "checkpoint_000009")).decide(OBSERVATION)
    assert not np.array_equal(older[1], newest[1])
    assert main(["evaluate", where, "--num-traces", "1"]) == 0
    words = ["--scenario", "small", "--set", "horizon=5", "--num-traces", "1", "--policies", "oracle", "--checkpoints"]
    assert main(["compare", *words, where, inside(where, "checkpoint_000009")]) == 0
    told = capsys.readouterr().out
    assert "checkpoint_000009" in told
    assert "endpoint_override" not in told
    assert main(["export", where, "--file", str(tmp_path / "policy.onnx")]) == 0
    # Damage and absence are told as of a folder.
    assert "/missing' does not exist" in refusal(inside(where, "missing"))
    client.delete_object(Bucket=BUCKET, Key=f"{key}/checkpoint_000010/policy/policy.json")
    assert "/checkpoint_000010' has no policy in it" in refusal(where)
    client.put_object(Bucket=BUCKET, Key=f"{key}/checkpoint_000010/policy/policy.json", Body=b" " * 2**21)
    assert "has 2,097,152 bytes" in refusal(where)


def test_buckets_that_are_none(request):
    address, _ = request.getfixturevalue("server")
    assert "does not exist" in refusal(uri(address, "missing"))
    assert "holds a secret" in refusal("s3://me:secret@bucket/run")
    assert "begins with 'ftp://'" in refusal("ftp://bucket/run")


def test_needs_no_ray(bucket):
    code = (
        "import sys; sys.modules['ray'] = None; from meqc_marl import load_policy; print(load_policy(sys.argv[1]).name)"
    )
    done = subprocess.run([sys.executable, "-c", code, bucket[0]], capture_output=True, text=True, timeout=60)
    assert done.stdout == "learned\n", done.stderr
