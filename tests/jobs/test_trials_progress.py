"""How far trials are, told by Tune's callbacks in the order in which Tune calls them."""

from types import SimpleNamespace

from ray.tune.experiment import Trial

from meqc_marl.jobs.trials_progress import TellTrials


class Stand(SimpleNamespace):
    """What the callback reads of a trial."""

    def __str__(self):
        return self.name


def trial(name, status, steps, budget=100):
    config = {"trial": {"run": {"env_steps": budget}}}
    return Stand(name=name, status=status, last_result={"timesteps_total": steps}, config=config)


def counts(said):
    return said.finished, said.running, said.failed, said.env_steps, said.total_env_steps


def test_trials_of_before_those_at_work_and_those_that_are_stopped_early():
    told = []
    tell = TellTrials(told.append, 4, 400, finished=1, env_steps=100, begun={"a": 30})
    assert counts(told[-1]) == (1, 0, 0, 130, 400)
    a, b, c = trial("a", Trial.RUNNING, 0), trial("b", Trial.RUNNING, 0), trial("c", Trial.PENDING, 0)
    tell.on_trial_start(1, [a, b, c], b)
    assert counts(told[-1]) == (1, 2, 0, 130, 400)
    a.last_result, b.last_result = {"timesteps_total": 60}, {"timesteps_total": 50}
    tell.on_trial_result(2, [a, b, c], a, a.last_result)
    assert len(told) == 2  # within a second of the last
    tell.on_trial_complete(3, [a, b, c], b)  # stopped early; Tune changes its state later
    assert counts(told[-1]) == (2, 1, 0, 210, 350)
    b.status, a.status = Trial.TERMINATED, Trial.ERROR
    tell.on_trial_error(4, [a, b, c], a)
    assert counts(told[-1]) == (2, 0, 1, 210, 350)


def test_what_is_interrupted_has_not_finished():
    """Tune calls trials terminated that it was made to stop."""
    told = []
    tell = TellTrials(told.append, 2, 200)
    both = [trial("a", Trial.RUNNING, 10), trial("b", Trial.RUNNING, 10)]
    tell.on_trial_start(1, both, both[0])
    for each in both:
        each.status = Trial.TERMINATED
    tell.on_experiment_end(both)
    assert counts(told[-1]) == (0, 0, 0, 20, 200)


def test_members_that_tune_knows_to_have_finished():
    told = []
    tell = TellTrials(told.append, 2, 200)
    both = [trial("a", Trial.TERMINATED, 100), trial("b", Trial.RUNNING, 40)]
    tell.on_trial_start(1, both, both[1])
    assert counts(told[-1]) == (1, 1, 0, 140, 200)


def test_trials_that_train_nothing_are_counted_by_themselves():
    told = []
    tell = TellTrials(told.append, 2, 0)
    both = [trial("a", Trial.TERMINATED, 1, 1), trial("b", Trial.RUNNING, 0, 1)]
    tell.on_trial_complete(1, both, both[0])
    assert (told[-1].finished, told[-1].total, told[-1].total_env_steps) == (1, 2, 0)
