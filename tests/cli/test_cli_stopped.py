"""Whatever runs stops by Ctrl-C and by SIGTERM alike: one sentence, exit code 130, and nothing left running."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from meqc_marl.entry.signals import handlers_as_before, sigterm_interrupts

COMMANDS = {
    "compare": (["compare", "--scenario", "small", "--num-slots", "60000"], "slots"),
    "sweep": (["sweep", "--scenario", "small", "--v", "1", "--delta", "0.5", "--env-steps", "40000"], "env-steps"),
    "benchmark": (["benchmark", "public", "--seeds", "1"], "running"),
}


@pytest.fixture(autouse=True)
def handlers():
    """Those that a process begins with; other tests of this one may have left others."""
    usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_interrupts_as_ctrl_c_would():
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("ctrl_c", [signal.SIG_IGN, signal.default_int_handler])
def test_sigterm_is_heard_where_ctrl_c_is_not(ctrl_c):
    """As behind ``&`` in a script."""
    signal.signal(signal.SIGINT, ctrl_c)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)


def test_sigterm_does_what_ctrl_c_does_meanwhile():
    """Tune stops trials at Ctrl-C in its own way."""
    heard = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    with sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGINT]


def test_a_handler_stays_where_another_is_put_in_its_place():
    with sigterm_interrupts():
        ours = signal.getsignal(signal.SIGTERM)
        with handlers_as_before(signal.SIGTERM):
            signal.signal(signal.SIGTERM, lambda number, frame: None)
        assert signal.getsignal(signal.SIGTERM) is ours
    with handlers_as_before(signal.SIGTERM):  # where there was none, as in a program that calls us, the other stays
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_other_threads_leave_signals_alone():
    was, inside = signal.getsignal(signal.SIGTERM), []

    def work():
        with sigterm_interrupts(), handlers_as_before(signal.SIGTERM):
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [was]


def processes_below(pid):
    """Numbers of the processes that one has started, and they."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *processes_below(child)]
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are told in another way here")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("command", "sent"),
    [
        pytest.param("compare", signal.SIGTERM, marks=pytest.mark.long),
        ("benchmark", signal.SIGTERM),
        pytest.param("sweep", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("sweep", signal.SIGINT, marks=pytest.mark.long),
        pytest.param("benchmark", signal.SIGINT, marks=pytest.mark.long),
    ],
)
def test_a_command_that_is_stopped_says_so_and_leaves_nothing_running(tmp_path, command, sent):
    words, begun = COMMANDS[command]
    out = [] if command == "compare" else ["--out", "out"]
    errors = tmp_path / "stderr"
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with errors.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "meqc_marl.cli", *words, *out],
            cwd=tmp_path,
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        deadline = time.monotonic() + 120
        while begun not in errors.read_text():
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < deadline, errors.read_text()
            time.sleep(0.1)
        time.sleep(2)
        children = processes_below(process.pid)
        process.send_signal(sent)
        assert process.wait(timeout=100) == 130, errors.read_text()
    finally:
        process.kill()
    said = errors.read_text().splitlines()
    assert said[-1].startswith("interrupted"), said
    assert not any("received" in line or "Traceback" in line for line in said), said
    time.sleep(5)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
