"""Three hosts on one machine: network namespaces with addresses of their own, joined by a bridge (Linux, root)."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from tests.busy import slowdown

NETWORK = "10.77.0"
BRIDGE = "meqc-br"
PORT = 6379
DASHBOARD = f"http://{NETWORK}.1:8265"
OWN = ("--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
"""What a host has for itself beside its network: its files' places and its processes."""


def available() -> bool:
    """Whether namespaces can be made here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None and shutil.which("unshare") is not None


def run(*words: str) -> None:
    """A command of the system, that must succeed."""
    subprocess.run(words, check=True, capture_output=True, timeout=60)


class Host:
    """A namespace with an address, a /tmp/ray, processes and a Ray node of its own.

    Args:
        number: 0 is the head.
        work: Folder for its files.
        token: File of the cluster's token.
        num_cpus: What it offers.
        options: More words for ``ray start``.
        variables: More of the environment.
    """

    def __init__(
        self,
        number: int,
        work: Path,
        token: Path,
        num_cpus: int,
        options: tuple[str, ...] = (),
        variables: dict[str, str] | None = None,
    ):
        self.name, self.address = f"meqc-h{number}", f"{NETWORK}.{number + 1}"
        self.number, self.work, self.token, self.num_cpus = number, work / f"host{number}", token, num_cpus
        self.options, self.variables = options, variables or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.work.mkdir(parents=True, exist_ok=True)

    def plug(self) -> None:
        """Make the namespace and join it to the bridge."""
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", f"{self.name}v", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", f"{self.name}v", "master", BRIDGE, "up")
        for words in (
            ("addr", "add", f"{self.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            run("ip", "-n", self.name, *words)

    def unplug(self) -> None:
        """Take the namespace away."""
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, timeout=60)

    def link(self, state: str) -> None:
        """Cut the cable (``down``) or mend it (``up``)."""
        run("ip", "link", "set", f"{self.name}v", state)

    def start(self) -> None:
        """``ray start``, in the foreground of a process of its own."""
        where = f"--address={NETWORK}.1:{PORT}"
        role = ["--head", f"--port={PORT}", f"--dashboard-host={self.address}"] if self.number == 0 else [where]
        ray = str(Path(sys.executable).with_name("ray"))
        words = [ray, "start", "--block", *role, f"--node-ip-address={self.address}", f"--num-cpus={self.num_cpus}"]
        words += ["--disable-usage-stats", "--object-store-memory=100000000", *self.options]
        # Its own processes too: Ray looks for its node among those that it sees, and takes the head's before another's.
        # The shell stays, as a first process should: it reaps what others leave behind.
        own = f"mount --bind {self.work} /tmp/ray && {' '.join(words)} & wait $!"
        Path("/tmp/ray").mkdir(exist_ok=True)
        with (self.work / "start.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, "unshare", *OWN, "sh", "-c", own],
                stdout=log,
                stderr=log,
                env=environment(self.token) | self.variables,
                start_new_session=True,
            )

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Processes of this host whose command line holds a word."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, timeout=60).stdout
        running = []
        for pid in map(int, found.split()):
            try:
                process = psutil.Process(pid)
                if word in " ".join(process.cmdline()):
                    running.append(process)
            except psutil.NoSuchProcess:
                continue
        return running

    def kill(self, word: str = "") -> int:
        """``kill -9`` of processes by a word of their command line, of all without one; how many there were."""
        killed = 0
        for process in self.processes(word):
            try:
                process.send_signal(signal.SIGKILL)
                killed += 1
            except psutil.NoSuchProcess:
                continue
        return killed

    def is_up(self) -> bool:
        """Whether its Ray node runs."""
        return self.process is not None and self.process.poll() is None


def environment(token: Path | None) -> dict[str, str]:
    """Of a process that knows the token, or of a stranger."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    env["OMP_NUM_THREADS"] = "1"
    env["RAY_worker_niceness"] = "0"  # Ray's own 15 leaves trials nothing where others are at work on the machine
    if token is None:
        env["HOME"] = "/nonexistent"
        return env | {"RAY_AUTH_MODE": "disabled"}
    return env | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}


def new_token(work: Path) -> Path:
    """A file with a random token that only its owner reads."""
    token = work / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    return token


def alive_nodes(token: Path) -> int:
    """Nodes of the cluster as its dashboard counts them; 0 while it does not answer."""
    headers = {"Authorization": f"Bearer {token.read_text()}"}
    try:
        answer = requests.get(f"{DASHBOARD}/nodes?view=summary", headers=headers, timeout=5)
        return sum(node["raylet"].get("state") == "ALIVE" for node in answer.json()["data"]["summary"])
    except (requests.RequestException, ValueError, KeyError):
        return 0


def wait_until(holds: Callable[[], bool], patience_s: float, what: str) -> None:
    """Wait, and fail if it takes longer than on a machine that has nothing else to do."""
    begun, slower = time.monotonic(), 1.0
    while not holds():
        waited = time.monotonic() - begun
        if waited > patience_s * slower:
            slower = max(slower, slowdown())
            assert waited < patience_s * slower, f"no {what} within {waited:.0f} s"
        time.sleep(0.5)


@contextmanager
def network(hosts: list[Host]) -> Iterator[list[Host]]:
    """Join hosts to a bridge and start their nodes; nothing of them is left afterwards.

    Names and addresses are fixed, so one network at a time: another test's is waited for.
    """
    with open("/tmp/meqc-hosts.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from _network(hosts)


def _network(hosts: list[Host]) -> Iterator[list[Host]]:
    for host in hosts:
        host.unplug()
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, timeout=60)
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{NETWORK}.254/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    try:
        for host in hosts:
            host.plug()
            host.start()
        yield hosts
    finally:
        for host in hosts:
            host.kill()
        deadline = time.monotonic() + 20
        while any(host.processes() for host in hosts) and time.monotonic() < deadline:
            time.sleep(0.2)
        for host in hosts:
            host.unplug()
        run("ip", "link", "del", BRIDGE)
