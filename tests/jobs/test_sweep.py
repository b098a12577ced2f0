"""The sweep by Tune: nothing is repeated, nothing is mixed, a failure sinks nothing but its trial."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from failing_trial import FAILS_AT_V, DivergingTrial
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.capacity.trials import StandIn
from meqc_marl.cli.sweep import SweepCommand
from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.algorithm import DQNDDPG
from meqc_marl.errors import InputError
from meqc_marl.evaluation.held_out import HELD_OUT_SEED, NUM_TRACES
from meqc_marl.evaluation.metrics import measure
from meqc_marl.evaluation.rollout import rollout
from meqc_marl.jobs.configuration import configuration
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.study import run_study
from meqc_marl.jobs.sweep import sweep_study
from meqc_marl.nature.trace import generate_trace
from meqc_marl.policies.learned import load_policy
from meqc_marl.rl.evaluation import mode_map
from meqc_marl.rl.tensorboard import HPARAMS, OUTCOMES, SCALARS
from tests.sentences import is_one_sentence

COMMAND = [
    *(sys.executable, "-m", "meqc_marl.cli", "sweep", "--scenario", "small", "--set", "horizon=20", "--v", "0.1", "1"),
    *("--delta", "0.3", "0.7", "--num-seeds", "2", "--learner", "hidden=[16,16]", "--out", "sweep"),
]


def make(**changes):
    given = {"v": (0.1, 1.0), "delta": (0.5,), "seeds": (0,), "env_steps": 1_600, "learner": {"hidden": [16, 16]}}
    given |= changes
    base = Run(
        scenario=load_scenario("small", ["horizon=20"]),
        env_steps=given["env_steps"],
        learner=given["learner"],
        num_env_runners=given.get("num_env_runners", 0),
    )
    return sweep_study(base, given["v"], given["delta"], given["seeds"])


def finished_trials(folder: Path) -> dict[str, list[dict]]:
    """What every trial wrote, by its name."""
    return {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line[-1:] == "\n"]
        for path in (folder / "trials").glob("*/result.json")
    }


@pytest.mark.timeout(300)
def test_trials_are_complete_and_not_repeated(ray_session, tmp_path):
    told, ctrl_c = [], signal.getsignal(signal.SIGINT)
    records = run_study(make(), tmp_path, told.append)
    assert signal.getsignal(signal.SIGINT) is ctrl_c
    assert [(r.labels["v"], r.labels["delta"], r.seed, r.error) for r in records] == [
        (0.1, 0.5, 0, None),
        (1.0, 0.5, 0, None),
    ]
    for record in records:
        assert record.curve[-1] == (record.env_steps, record.metrics)
        assert [steps for steps, _ in record.curve] == sorted({steps for steps, _ in record.curve})
        policy = load_policy(record.policy)
        assert policy.scenario.lyapunov.v == record.labels["v"]
        trace = generate_trace(policy.scenario, range(HELD_OUT_SEED, HELD_OUT_SEED + NUM_TRACES))
        cost = measure(rollout(policy, policy.scenario, trace), policy.scenario)["cost"].mean()
        assert cost == pytest.approx(record.metrics["cost"], rel=1e-6)
        assert record.env_steps >= 1_600
        assert record.metrics["cost"] > 0
        assert record.metrics["regret"] is not None
    last = told[-1]
    assert (last.finished, last.running, last.failed, last.total) == (2, 0, 0, 2)
    assert last.env_steps == last.total_env_steps == sum(record.env_steps for record in records)
    before = finished_trials(tmp_path)
    again = run_study(make(), tmp_path)
    assert again == records
    assert finished_trials(tmp_path) == before
    # A line that was torn by a kill or a full disk spoils nothing.
    log = next((tmp_path / "trials").glob("v=1.0*/result.json"))
    log.write_text('{"evaluation": {"co' + "\n" + log.read_text())
    assert run_study(make(), tmp_path) == records
    accumulator = EventAccumulator(str(next((tmp_path / "trials").glob("v=1.0*"))))
    accumulator.Reload()
    assert accumulator.SummaryMetadata("custom_scalars__config__").plugin_data.plugin_name == "custom_scalars"
    tags = set(accumulator.Tags()["scalars"])
    assert {"system/cost", "evaluation/cost", "queue/backlog_mean"} <= tags <= set(SCALARS)
    assert accumulator.Scalars("system/cost")[-1].step >= 1_600
    assert_tensorboard_compares(records, tmp_path)
    assert_one_map_of_modes(records)


def assert_tensorboard_compares(records, folder):
    """Serve the folder as README.md does, and ask for what the parallel coordinates show."""
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(folder),
        "--port",
        "0",
        "--reload_interval",
        "1",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = next(found[0] for line in process.stderr if (found := re.search(r"http://localhost:\d+/", line)))
            threading.Thread(target=process.stderr.read, daemon=True).start()

            def ask(what, **body):
                answer = requests.post(f"{address}data/plugin/hparams/{what}", json={"experimentName": ""} | body)
                return answer.json() if answer.ok else {}

            deadline = time.monotonic() + 30
            groups = []
            while len(groups) < len(records) and time.monotonic() < deadline:
                time.sleep(0.2)
                experiment = ask("experiment")
                columns = [{"hparam": info["name"]} for info in experiment.get("hparamInfos", ())]
                columns += [{"metric": info["name"]} for info in experiment.get("metricInfos", ())]
                given = {"allowedStatuses": ["STATUS_SUCCESS"], "colParams": columns, "startIndex": 0, "sliceSize": 100}
                groups = ask("session_groups", **given).get("sessionGroups", [])
        finally:
            process.terminate()
    assert {info["name"] for info in experiment["hparamInfos"]} == set(HPARAMS)
    assert {info["name"]["tag"] for info in experiment["metricInfos"]} == set(OUTCOMES)
    assert len({info["displayName"] for info in experiment["metricInfos"]}) == len(OUTCOMES)
    shown = {group["name"]: group for group in groups}
    assert set(shown) == {f"trials/{record.name}" for record in records}
    for record in records:
        group = shown[f"trials/{record.name}"]
        assert {name: group["hparams"][name] for name in record.labels} == record.labels
        assert (group["hparams"]["job"], group["hparams"]["hidden"]) == ("sweep", "16, 16")
        values = {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
        assert set(values) == set(OUTCOMES)
        assert values["evaluation/cost"] == pytest.approx(record.metrics["cost"], rel=1e-6)


def assert_one_map_of_modes(records):
    """The picture is that of the trial's own policy."""
    for record in records:
        accumulator = EventAccumulator(str(Path(record.policy).parents[1]))
        accumulator.Reload()
        (shown,) = accumulator.Images("modes/map")
        assert shown.step == record.env_steps
        picture = np.asarray(Image.open(io.BytesIO(shown.encoded_image_string)))
        np.testing.assert_array_equal(picture, mode_map(load_policy(record.policy)))


def test_other_trials_are_not_mixed_in(ray_session, tmp_path):
    other = {name: run.model_dump(mode="json") for name, run in make(env_steps=99).items()}
    (tmp_path / "study.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"holds other trials \(of 'v=.*' env_steps is 99, not 1600\)"):
        run_study(make(), tmp_path)
    for damaged in ('{"v=1.0,delta=0.5,seed=0": {}}', "[]", "{"):
        (tmp_path / "study.json").write_text(damaged)
        with pytest.raises(InputError, match=r"study\.json in .* is damaged"):
            run_study(make(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"v": (1.0, 1.0)}, r"v is \[1.0, 1.0\]; each of one or more values must be given once"),
        ({"delta": ()}, r"delta is \[\]"),
        ({"delta": (1.5,)}, "lyapunov.delta is 1.5"),
        ({"v": (0.0,)}, "lyapunov.v is 0"),
        ({"learner": {"critic": "none"}}, "must be one of multi-pass"),
    ],
)
def test_bad_grids_are_refused_before_any_trial(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run_study(make(**changes), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(300)
def test_a_failing_trial_sinks_nothing_else_and_is_listed(ray_session, tmp_path, capsys, monkeypatch):
    """The trial at V = 2 diverges; the one at V = 1 finishes."""
    monkeypatch.setattr("meqc_marl.jobs.study.OffloadingTrial", DivergingTrial)
    command = SweepCommand(
        scenario="small",
        overrides=("horizon=20",),
        v=(FAILS_AT_V, 1.0),
        delta=(0.5,),
        num_seeds=1,
        env_steps=1_600,
        learner=("hidden=[16,16]",),
        max_failures=0,
        out=tmp_path,
    )
    with pytest.raises(InputError, match="1 of 2 trials failed; the same command tries them again"):
        command.run()
    failed, fine = json.loads((tmp_path / "trials.json").read_text())["trials"]
    assert "not finite" in failed["error"]
    listed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed:")]
    assert listed == [f"failed: v=2.0,delta=0.5,seed=0: {failed['error']}"]
    assert fine["error"] is None
    assert fine["env_steps"] >= 1_600
    assert fine["metrics"]["cost"] > 0
    assert (tmp_path / "sweep.png").exists()
    assert [path.parent.name for path in tmp_path.glob("trials/*/*.modes")] == [fine["name"]]


def kill_in_mid_trial(folder, killed):
    """Kill the process of a trial a moment after its second checkpoint, the newest that may be on its way."""
    deadline = time.monotonic() + 100
    while not list(folder.glob("trials/*/checkpoint_000001")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    for process in psutil.Process().children(recursive=True):
        if "ray::OffloadingTrial" in " ".join(process.cmdline()):
            process.kill()
            killed.append(process.pid)


@pytest.mark.timeout(300)
def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(ray_session, tmp_path):
    """It ends where it should, with the bits of a trial that nothing happened to."""
    study = make(v=(1.0,), env_steps=16_000)
    killed: list[int] = []
    killer = threading.Thread(target=kill_in_mid_trial, args=(tmp_path / "killed", killed))
    killer.start()
    (record,) = run_study(study, tmp_path / "killed")
    killer.join()
    (undisturbed,) = run_study(study, tmp_path / "undisturbed")
    (rows,), (expected,) = (finished_trials(tmp_path / name).values() for name in ("killed", "undisturbed"))
    assert record.error is None
    assert len({row["pid"] for row in expected}) == 1
    before, after = ([row for row in rows if (row["pid"] in killed) is dead] for dead in (True, False))
    assert before[-1]["timesteps_total"] < 16_000
    assert 1 < after[0]["training_iteration"] <= before[-1]["training_iteration"] + 1
    iterations = [row["training_iteration"] for row in after]
    assert iterations == list(range(iterations[0], len(expected) + 1))
    assert rows[-1]["timesteps_total"] == expected[-1]["timesteps_total"] >= 16_000
    assert (record.env_steps, record.metrics) == (undisturbed.env_steps, undisturbed.metrics)
    assert record.curve == undisturbed.curve


def test_learners_can_be_kept_on_machines_with_a_resource(ray_session, tmp_path):
    study, placement = make(v=(1.0,), num_env_runners=1), Placement(learner_resource="driver")
    (run,) = study.values()
    main_process, env_runner = DQNDDPG.default_resource_request(configuration(run, placement)).bundles
    assert main_process == {"CPU": 1.0, "driver": 0.001}
    assert env_runner == {"CPU": 1.0}
    with pytest.raises(InputError, match="needs a machine with the resource 'driver' and the cluster has none") as told:
        run_study(study, tmp_path, placement=placement)
    assert is_one_sentence(str(told.value))


class DiesThrice(StandIn):
    """A trial whose process dies in its first three attempts."""

    marks: str

    def step(self):
        tried = len(os.listdir(self.marks))
        if tried < 3:
            Path(self.marks, str(tried)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step()


@pytest.mark.timeout(300)
def test_failures_are_counted_anew_and_as_many_allowed_as_this_command_says(ray_session, tmp_path):
    (tmp_path / "marks").mkdir()
    base = DiesThrice.of({"scalars": {}, "evaluation": {"cost": 2.0}}, 2, 0.0, 0.0)
    trainable = type(base.__name__, (base,), {"marks": str(tmp_path / "marks"), "__module__": __name__})
    study = make(v=(1.0,))
    (failed,) = run_study(study, tmp_path / "sweep", placement=Placement(max_failures=0), trainable=trainable)
    assert failed.error is not None
    assert len(os.listdir(tmp_path / "marks")) == 1
    (fine,) = run_study(study, tmp_path / "sweep", placement=Placement(max_failures=2), trainable=trainable)
    assert len(os.listdir(tmp_path / "marks")) == 3
    assert (fine.error, fine.metrics) == (None, {"cost": 2.0})


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_a_killed_sweep_goes_on_and_equals_an_undisturbed_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    command = [*COMMAND, "--env-steps", "24000"]
    subprocess.run(command, cwd=tmp_path / "a", check=True, capture_output=True, timeout=1200)
    process = subprocess.Popen(command, cwd=tmp_path / "b", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "b/sweep/trials").glob("*/checkpoint_*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(5)
    at_kill = finished_trials(tmp_path / "b/sweep")
    assert any(rows[-1]["timesteps_total"] < 24_000 for rows in at_kill.values()) or len(at_kill) < 8
    subprocess.run(command, cwd=tmp_path / "b", check=True, capture_output=True, timeout=1200)
    whole, resumed = (json.loads((tmp_path / f"{x}/sweep/trials.json").read_text())["trials"] for x in "ab")
    for trial in (*whole, *resumed):
        trial.pop("policy")
    assert whole == resumed
    assert len(resumed) == 8
