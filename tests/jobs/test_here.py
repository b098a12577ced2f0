"""What a job says, shown to whoever watches, or in a log."""

import io

import pytest
from rich.console import Console

from meqc_marl.jobs import here, protocol
from meqc_marl.jobs.protocol import Said, StepsProgress, TrialsProgress, WorkProgress, decode, encode
from meqc_marl.jobs.work_progress import telling
from meqc_marl.report import progress, training_progress


@pytest.fixture
def shown(monkeypatch):
    """Shows messages in a log that takes every line; gives what is in it."""
    log, texts = io.StringIO(), io.StringIO()
    for module in (progress, training_progress):
        monkeypatch.setattr(module, "plain_console", lambda **given: Console(file=log, width=200))
    monkeypatch.setattr(here, "plain_console", lambda **given: Console(file=texts, width=200))
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)

    def show(*messages):
        with here.showing() as tell:
            for message in messages:
                tell(decode(encode(message)))  # as they come back from a cluster
        return log.getvalue().splitlines(), texts.getvalue().splitlines()

    return show


def test_trials_then_what_is_worked_out_with_them(shown):
    messages = [
        TrialsProgress(finished=0, running=2, failed=0, total=2, env_steps=50, total_env_steps=200),
        TrialsProgress(finished=2, running=0, failed=0, total=2, env_steps=200, total_env_steps=200),
    ]
    telling(messages.append)("evaluation", 3, "policies")
    step = telling(messages.append)("C_opt", 2, "Deltas")
    step()
    step()
    messages.append(Said(text="a table"))
    log, texts = shown(*messages)
    assert texts == ["a table"]
    assert [line for line in log if "trials finished" in line] == [
        "0 of 2 trials finished, 2 running, 0 failed",
        "2 of 2 trials finished, 0 running, 0 failed",
    ]
    labels = [line.split(":")[0] for line in log if ": " in line]
    assert list(dict.fromkeys(labels)) == ["trials", "evaluation", "C_opt"]
    assert any(line.startswith("C_opt: 2 of 2 Deltas") for line in log)


def test_a_word_in_between_takes_nothing_away(shown):
    """A cluster's log holds other lines too: what goes on is shown on, and its rate is of what was seen."""
    log, texts = shown(
        WorkProgress(label="oracle", unit="slots", done=100, total=500),
        Said(text="noise"),
        WorkProgress(label="oracle", unit="slots", done=200, total=500),
        StepsProgress(env_steps=10, total_env_steps=10),
    )
    assert texts == ["noise"]
    assert log[0] == "oracle: 100 of 500 slots"
    assert log[1] == "oracle: 200 of 500 slots"
    assert log[-1].startswith("training: 10 of 10 env-steps")


def test_a_log_of_a_cluster_has_every_change_and_little_else(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(protocol.time, "monotonic", lambda: now[0])
    told = []
    tell = protocol.sparing(told.append, every_s=10.0)
    for second in range(40):
        now[0] = float(second)
        tell(TrialsProgress(finished=second // 25, running=1, failed=0, total=2, env_steps=second))
        tell(StepsProgress(env_steps=second, total_env_steps=39))
        tell(WorkProgress(label="a" if second < 5 else "b", unit="slots", done=second, total=39))
        if second == 7:
            tell(Said(text="heard"))
    assert [each.env_steps for each in told if isinstance(each, TrialsProgress)] == [0, 10, 20, 25, 35]
    assert [each.env_steps for each in told if isinstance(each, StepsProgress)] == [0, 10, 20, 30, 39]
    assert [each.done for each in told if isinstance(each, WorkProgress)] == [0, 5, 15, 25, 35, 39]
    assert [each for each in told if isinstance(each, Said)] == [Said(text="heard")]
