"""The table of discounts: which runs it asks for, and what it says of their results."""

from experiments.queues import discounts


def test_every_setting_is_run_with_its_discount_where_it_belongs() -> None:
    """In the scenario where work waits, as the learner's own gamma elsewhere; the seeds are outermost."""
    runs = discounts.runs(seeds=2, env_steps=640)
    assert list(runs) == [f"{name}-{seed}" for seed in range(2) for name in discounts.SETTINGS]
    assert runs["queued-0-1"].scenario.lyapunov.discount == 0.0
    assert runs["queued-team-0"].scenario.lyapunov.discount == 0.9
    assert runs["paper-0"].learner["gamma"] == 0.9
    assert runs["pooled-0-0"].learner["gamma"] == 0.0
    assert "gamma" not in runs["queued-0"].learner


def test_the_table_compares_queues_by_cost_and_the_rest_by_regret() -> None:
    queued = {"charged": 18.0, "missed": 0.02, "fraction": 0.5}
    alone = {"regret": 0.014, "deadline_missed": 0.03, "fraction": 0.68}
    results = {
        "myopic": {"charged": 20.0},
        "runs": {"queued-0": queued, "queued-1": queued | {"charged": 22.0}, "pooled-0-0": alone},
    }
    rows = discounts.table(results).splitlines()[2:]
    assert rows == [
        "| queued | difference | 0.9 | 2 | 20.00 | +0.0 % | +10.0 % | 2.0 % | 0.500 |",
        "| pooled | difference | 0 | 1 |  | +1.4 % | +1.4 % | 3.0 % | 0.680 |",
    ]
