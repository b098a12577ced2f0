"""The Ray of a job: what cannot be reached or started is one sentence, in time, before anything is written."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import ray

import meqc_marl.jobs.reach as reach_module
import meqc_marl.jobs.session as module
from meqc_marl.cli import main
from meqc_marl.cli.sweep import SweepCommand
from meqc_marl.cli.train import Train
from meqc_marl.errors import InputError
from meqc_marl.jobs.reach import problem_of, reach
from meqc_marl.jobs.session import local_ray
from tests.busy import slowdown
from tests.cluster.hosts import OWN, available
from tests.sentences import is_one_sentence


def refusal(work, *args):
    begun, slower = time.monotonic(), slowdown(0.02)
    with pytest.raises(InputError) as told:
        work(*args)
    assert is_one_sentence(str(told.value)), told.value
    assert time.monotonic() - begun < 30 * max(slower, slowdown(0.02))
    return str(told.value)


def enter():
    with local_ray():
        pass


@pytest.fixture
def no_ray(monkeypatch):
    """As in a new process; a Ray of other tests is not seen."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


@contextlib.contextmanager
def listener(answer=b""):
    """Somebody who listens and does not speak Ray."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://127.0.0.1:10001", "begins with ray://; RAY_ADDRESS must be HOST:PORT"),
        ("http://127.0.0.1:8265", "begins with http://"),
        ("ray://me:hidden@host:1", "begins with ray://"),
        ("me:hidden@host:6379", "RAY_ADDRESS is '...@host:6379'"),
        ("host", "RAY_ADDRESS is 'host'"),
        ("host:", "RAY_ADDRESS is 'host:'"),
        (":6379", "RAY_ADDRESS is ':6379'"),
        ("host:port", "RAY_ADDRESS is 'host:port'"),
        ("127.0.0.1:0", "RAY_ADDRESS is '127.0.0.1:0'"),
        ("127.0.0.1:99999999999", "RAY_ADDRESS is '127.0.0.1:999"),
        ("no such host.invalid:6379", "cannot be reached"),
        ("a" * 80 + ".invalid:6379", "cannot be reached"),
    ],
)
def test_addresses_that_are_none(no_ray, monkeypatch, address, message):
    monkeypatch.setenv("RAY_ADDRESS", address)
    told = refusal(enter)
    assert message in told
    assert "hidden" not in told


def test_a_dead_head_and_one_that_is_no_ray(no_ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    assert "cannot be reached (Connection refused)" in refusal(enter)
    monkeypatch.setattr(reach_module, "ANSWER_S", 3.0)
    with listener() as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert f"what listens at {address} does not answer as a Ray cluster" in refusal(enter)


@pytest.mark.long
def test_who_listens_and_says_nothing_is_given_up_within_half_a_minute(no_ray, monkeypatch):
    with listener() as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert "does not answer as a Ray cluster" in refusal(enter)


def test_auto_without_a_cluster(no_ray, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)
    assert "RAY_ADDRESS is auto, and no Ray cluster runs on this machine" in refusal(enter)
    # The one that was started last, and is gone.
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    assert "cannot be reached (Connection refused)" in refusal(enter)


def test_a_cluster_that_is_there(ray_session, monkeypatch):
    address = ray.get_runtime_context().gcs_address
    assert reach(address).rpartition(":")[2] == address.rpartition(":")[2]
    monkeypatch.setattr("ray._private.services.find_node_ids", lambda: ["00"])
    assert "has no node on this machine" in problem_of(address)
    monkeypatch.setattr(ray, "__version__", "1.0")
    assert "and this is Ray 1.0; both must be the same" in problem_of(address)


SMALL = ["--scenario", "small", "--env-steps", "100", "--out", "out/run"]
OF_EACH_KIND = [
    ["train", *SMALL],
    ["train", *SMALL, "--storage", "stored/run", "--resume"],
    ["sweep", "--v", "1", "--delta", "0.5", *SMALL],
    ["search", *SMALL],
    ["search", "--scheduler", "pbt", *SMALL],
    ["figure", "5a", "--scale", "smoke", "--out", "out"],
    ["benchmark", "quality", "--out", "out"],
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("address", ["dead", "auto", "auto, with one that is gone"])
def test_nothing_is_written_before_ray_is_reached(no_ray, monkeypatch, tmp_path, capsys, address):
    message, dead = "cannot be reached (Connection refused)", f"127.0.0.1:{free_port()}"
    (ray_folder := tmp_path / "of-ray" / "ray").mkdir(parents=True)
    if address == "auto":
        message = "RAY_ADDRESS is auto, and no Ray cluster runs on this machine"
    elif address != "dead":
        (ray_folder / "ray_current_cluster").write_text(dead)
    monkeypatch.setenv("RAY_ADDRESS", address.partition(",")[0] if address != "dead" else dead)
    monkeypatch.setenv("RAY_TMPDIR", str(ray_folder.parent))
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)  # others may have Rays on this machine
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    for words in OF_EACH_KIND:
        assert main(words) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert is_one_sentence(told)
        assert message in told, words
        assert not list(here.iterdir()), words


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(not available(), reason="needs root and iproute2")
@pytest.mark.parametrize("words", OF_EACH_KIND, ids=lambda words: " ".join(words[:3]))
def test_auto_on_a_machine_without_a_cluster(tmp_path, words):
    """The command itself, where it sees no processes and no network but its own."""
    (tmp_path / "tmp").mkdir()
    (here := tmp_path / "here").mkdir()
    command = shlex.join([sys.executable, "-m", "meqc_marl.cli", *words])
    env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    begun, slower = time.monotonic(), slowdown()
    done = subprocess.run(
        ["unshare", *OWN, "--net", "sh", "-c", f"ip link set lo up; exec {command}"],
        cwd=here,
        env=env | {"RAY_ADDRESS": "auto", "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    (told,) = done.stderr.splitlines()
    assert is_one_sentence(told)
    assert "RAY_ADDRESS is auto, and no Ray cluster runs on this machine" in told
    assert not list(here.iterdir())
    assert time.monotonic() - begun < 30 * max(slower, slowdown())


def test_nothing_is_written_where_ray_does_not_start(no_ray, monkeypatch, tmp_path):
    def fail(**options):
        raise Exception("The raylet\nfell over.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    for command in (
        Train(scenario="small", env_steps=100, out=tmp_path / "run"),
        SweepCommand(scenario="small", v=(1.0,), delta=(0.5,), env_steps=100, out=tmp_path / "run"),
    ):
        assert refusal(command.run) == "Ray does not start: The raylet fell over."
    assert not list(tmp_path.iterdir())


def long_folder(tmp_path, length=88):
    folder = tmp_path / ("x" * max(1, length - len(str(tmp_path)) - 1))
    folder.mkdir()
    return folder


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_short_session_folder_is_chosen(monkeypatch, tmp_path, variable):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, "/tmp")
    assert module._session_folder() == {}
    monkeypatch.setenv(variable, str(long_folder(tmp_path)))
    assert module._session_folder() == {"_temp_dir": "/tmp/ray"}


def test_the_session_folder_has_room_and_may_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", "/proc/x")
    assert module._session_folder() == {"_temp_dir": "/tmp/ray"}
    monkeypatch.setattr(module, "_OTHER_FOLDERS", ("/proc/y",))
    told = refusal(module._session_folder)
    assert "Ray's session folder '/proc/x/ray' cannot be used (No such file or directory), nor /proc/y" in told
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    usage = shutil.disk_usage("/tmp")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    assert "it has 1 MiB of room" in refusal(module._session_folder)


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_run_with_a_long_folder_for_temporary_files(tmp_path):
    folder = long_folder(tmp_path)
    command = [sys.executable, "-m", "meqc_marl.cli", "train", "--scenario", "small", "--set", "horizon=20"]
    env = {key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "RAY_TMPDIR")}
    done = subprocess.run(
        [*command, "--env-steps", "400", "--num-traces", "1", "--out", "run"],
        cwd=tmp_path,
        env=env | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "run").glob("owner.*"))


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_cluster_that_asks_for_a_token(tmp_path, monkeypatch):
    port, mine = free_port(), {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    command = ["ray", "start", "--head", "--block", f"--port={port}", "--num-cpus=1", "--include-dashboard=false"]
    cluster = subprocess.Popen(
        [*command, "--temp-dir=/tmp/ray-token-test"],
        env=os.environ | mine,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for name, value in mine.items():
            monkeypatch.setenv(name, value)
        deadline, address = time.monotonic() + 100, None
        while address is None and time.monotonic() < deadline:
            with contextlib.suppress(InputError):  # until it is up
                address = reach(f"127.0.0.1:{port}")
        assert address is not None
        for changes in ({"RAY_AUTH_TOKEN": "b" * 64}, {"RAY_AUTH_MODE": "disabled"}):
            for name, value in changes.items():
                monkeypatch.setenv(name, value)
            told = refusal(reach, f"127.0.0.1:{port}")
            assert "refuses the token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in told
            assert "aaaa" not in told
            assert "bbbb" not in told
    finally:
        os.killpg(cluster.pid, signal.SIGTERM)
        cluster.wait(timeout=60)
        shutil.rmtree("/tmp/ray-token-test", ignore_errors=True)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_a_ray_of_our_own_has_the_cores_that_the_process_may_use(no_ray, monkeypatch):
    """As ``taskset`` and batch systems tell; more only where every EnvRunner needs one."""
    started = []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(module, "start_ray", lambda **options: started.append(options["num_cpus"]))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        enter()
        with local_ray(num_env_runners=3):
            pass
    finally:
        os.sched_setaffinity(0, allowed)
    enter()
    assert started == [1, 4, len(allowed)]
