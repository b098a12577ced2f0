"""The hparams tab, read back with TensorBoard's own backend: all jobs' runs, all columns, last values."""

import json
from types import SimpleNamespace

import pytest
from torch.utils.tensorboard import SummaryWriter

from meqc_marl.config import load_scenario
from meqc_marl.dqn_ddpg.options import settable
from meqc_marl.jobs.population import Member
from meqc_marl.jobs.run import Placement, Run
from meqc_marl.jobs.sweep import sweep_study
from meqc_marl.jobs.training import train
from meqc_marl.jobs.trial import OffloadingTrial, trial_config
from meqc_marl.jobs.tune_callbacks import BoundedTensorBoard
from meqc_marl.rl.config import offloading_config
from meqc_marl.rl.tensorboard import HPARAMS, OUTCOMES, SHOWN, hparams, hparams_end, write_hparams
from tests.hparams_tab import read_hparams_tab


class Trial(SimpleNamespace):
    """What the logger asks of one of Tune's trials."""

    __hash__ = object.__hash__

    def init_local_path(self):
        self.path.mkdir(parents=True, exist_ok=True)
        self.local_path = str(self.path)

    def get_trainable_cls(self):
        return self.trainable


def results(cost, steps):
    return {SHOWN: dict.fromkeys(OUTCOMES, cost), "timesteps_total": steps}


def test_every_run_of_every_job_is_a_row_with_all_cells(tmp_path):
    """One logdir over a training, a sweep and a search; whichever TensorBoard finds first gives the columns."""
    small = load_scenario("small")
    for kind, folder in (("sweep", "b"), ("search", "a")):
        logger = BoundedTensorBoard(kind)
        if kind == "sweep":
            base = Run(scenario=small, env_steps=2_000, learner={"hidden": [16, 16]})
            study = sweep_study(base, (0.1, 1.0), (0.5,), (0, 1))
            trainable = OffloadingTrial
            configs = [trial_config(name, run, Placement()) for name, run in study.items()]
        else:
            trainable = Member
            member = trial_config("member", Run(scenario=small, env_steps=3_000, seed=4), Placement())
            configs = [member | {"critic_lr": lr, "bounds": "sigmoid"} for lr in (0.002, 0.004)]
        for number, config in enumerate(configs):
            trial = Trial(path=tmp_path / folder / "trials" / str(number), trainable=trainable, config=config)
            logger.log_trial_start(trial)
            for steps in (1_000, 2_000):
                logger.log_trial_result(1, trial, results(10.0 * number + steps / 1_000, steps))
            logger.log_trial_end(trial)
    run = tmp_path / "c" / "tensorboard"
    run.mkdir(parents=True)
    write_hparams(run, hparams(offloading_config(small, env_steps=900, seed=7), 900, "train"))
    with SummaryWriter(str(run)) as writer:
        for step, cost in ((1, 3.0), (2, 4.0)):
            for tag in OUTCOMES:
                writer.add_scalar(tag, cost, step)
        writer.file_writer.add_summary(hparams_end())

    for logdir, rows_there in ((tmp_path, 7), (tmp_path / "a", 2), (tmp_path / "b", 4)):
        names, metrics, rows = read_hparams_tab(logdir)
        assert sorted(names) == sorted(HPARAMS)
        assert sorted(metrics) == sorted(OUTCOMES)
        assert len(rows) == rows_there
        for cells, values, status in rows.values():
            assert set(cells) == set(HPARAMS)
            assert "" not in cells.values()
            assert set(values) == set(OUTCOMES)
            assert status == "STATUS_SUCCESS"
    _, _, rows = read_hparams_tab(tmp_path)
    assert {name.split("/")[0]: cells["job"] for name, (cells, *_) in rows.items()} == {
        "a": "search",
        "b": "sweep",
        "c": "train",
    }
    found = {(cells["v"], cells["seed"]) for name, (cells, *_) in rows.items() if name.startswith("b/")}
    assert found == {(0.1, 0), (0.1, 1), (1.0, 0), (1.0, 1)}
    assert {rows[f"a/trials/{n}"][0]["critic_lr"] for n in (0, 1)} == {0.002, 0.004}
    assert rows["a/trials/1"][0]["env_steps"] == 3_000
    assert rows["b/trials/3"][1] == dict.fromkeys(OUTCOMES, 32.0)
    assert rows["c/tensorboard"][1] == dict.fromkeys(OUTCOMES, 4.0)


def test_parameters_that_change_in_mid_run_are_shown_as_they_are_last(tmp_path):
    """Population based training replaces a trial's configuration between two results."""
    member = trial_config("member", Run(scenario=load_scenario("small"), env_steps=3_000), Placement())
    logger = BoundedTensorBoard("search")
    drawn = member | {"critic_lr": 0.001, "bounds": "clamp"}
    trial = Trial(path=tmp_path / "trial", trainable=Member, config=drawn)
    logger.log_trial_start(trial)
    logger.log_trial_result(1, trial, results(9.0, 1_000))
    assert read_hparams_tab(tmp_path)[2]["trial"][0]["critic_lr"] == 0.001
    trial.config = drawn | {"critic_lr": 0.007}
    logger.log_trial_start(trial)
    logger.log_trial_result(2, trial, results(8.0, 2_000))
    trial.config["critic_lr"] = 0.009  # also where it is changed in its place, and without a new start
    logger.log_trial_result(3, trial, results(7.0, 3_000))
    logger.log_trial_end(trial)
    cells, values, status = read_hparams_tab(tmp_path)[2]["trial"]
    assert (cells["critic_lr"], values["evaluation/cost"], status) == (0.009, 7.0, "STATUS_SUCCESS")


def test_cells_are_what_the_run_was_given(tmp_path):
    learner = {"hidden": [16, 8], "double_q": True, "critic": "joint", "actor_lr": 0.005, "gamma": 0.5}
    config = offloading_config(load_scenario("paper", ["lyapunov.v=3"]), env_steps=5_000, seed=2, learner=learner)
    cells = hparams(config, 5_000, "sweep", {"v": 3.0, "variant": "joint", "n": 2})
    assert tuple(cells) == HPARAMS
    assert set(settable()) < set(HPARAMS)
    assert cells["job"] == "sweep variant=joint n=2"
    assert (cells["hidden"], cells["double_q"], cells["critic"]) == ("16, 8", True, "joint")
    assert (cells["actor_lr"], cells["gamma"], cells["v"], cells["num_devices"]) == (0.005, 0.5, 3.0, 15)
    assert cells["critic_lr"] == 0.003  # of the schedule where it begins
    json.dumps(cells)


@pytest.mark.timeout(120)
def test_a_training_run_is_a_row_whether_it_has_ended_or_not(ray_session, tmp_path):
    scenario = load_scenario("small", ["horizon=20"])
    run = Run(scenario=scenario, env_steps=1_600, seed=3, learner={"hidden": [16, 16], "critic_lr": 0.002})
    statuses = []
    train(run, tmp_path / "run", lambda progress: statuses.append(read_hparams_tab(tmp_path)[2]))
    before, after = statuses[0]["run/tensorboard"], read_hparams_tab(tmp_path)[2]["run/tensorboard"]
    assert before[0] == after[0]
    assert (before[2], after[2]) == ("STATUS_UNKNOWN", "STATUS_SUCCESS")
    assert after[0]["critic_lr"] == 0.002
    assert (after[0]["seed"], after[0]["env_steps"], after[0]["job"]) == (3, 1_600, "train")
    assert set(after[1]) == set(OUTCOMES)
