import numpy as np
import pytest

from meqc_marl.dqn_ddpg.algorithm import DQNDDPG, DQNDDPGConfig


def identity_config(own_boxes: bool = False) -> DQNDDPGConfig:
    return (
        DQNDDPGConfig()
        .environment("hybrid_identity", env_config={"own_boxes": own_boxes})
        .env_runners(num_envs_per_env_runner=8, rollout_fragment_length=4)
        .training(
            gamma=0.5,
            hidden=(64, 64),
            actor_lr=1e-3,
            epsilon=[[0, 1.0], [3000, 0.1]],
            updates_per_training_step=8,
            num_steps_before_learning=500,
        )
        .debugging(seed=0, log_level="ERROR")
    )


@pytest.mark.parametrize("own_boxes", [False, True])
@pytest.mark.timeout(240)
def test_solves_the_hybrid_identity_task(ray_session, own_boxes):
    """The best reward a step is 1 and a random action gets 0.17; under 30 s on an idle core."""
    algorithm = identity_config(own_boxes).build_algo()
    for _ in range(10):
        algorithm.train()
    (fragment,) = algorithm.env_runner.sample(num_episodes=40, explore=False)
    algorithm.stop()
    assert np.mean(fragment.reward) > 0.96


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("critic", "mixed", "must be one of multi-pass, joint, separate"),
        ("bounds", "tanh", "must be one of clamp, inverting, sigmoid"),
        ("gamma", 1.5, "below 1"),
        ("replay_capacity", 0, r"within \[1, "),
        ("n_step", 0, r"within \[1, "),
        ("train_batch_size_per_learner", 0.5, r"must be a whole number within \[1, "),
        ("critic_lr", [[0, 1e-3], [5]], "rising from 0"),
        ("critic_lr", True, "critic_lr is True"),
        ("critic_lr", -1e-3, r"critic_lr is -0.001; it must be a number or .* within \[0, 1e\+09\]"),
        ("actor_lr", [[0, 1e-3], [10, float("nan")]], "actor_lr is .* within"),
        ("epsilon", [[0, 1.5], [10, 0.1]], r"within \[0, 1\]"),
        ("epsilon", [[5, 1.0], [10, 0.1]], "rising from 0"),
        ("epsilon", [], "rising from 0"),
        ("grad_norm", -1, "grad_norm is -1; it must be a number above 0 and of at most .*, or none"),
        ("num_steps_before_learning", None, r"must be a whole number within \[0, "),
        ("gamma", None, "below 1"),
        ("tau", "fast", r"tau is 'fast'; it must be a number within \[0, 1\]"),
        ("hidden", (), r"hidden is \(\); it must be one or more widths"),
        ("replay_alpha", -0.5, r"within \[0, "),
        ("mask_columns", (0, 1), r"mask_columns is \(0, 1\); it must be pairs"),
        ("bound_columns", ((0, 1),), r"bound_columns is \(\(0, 1\),\); it must be triples"),
        ("asynchronous", True, "num_env_runners of at least 1"),
    ],
)
def test_bad_configuration_is_refused(field, value, message):
    config = identity_config().training(**{field: value})
    with pytest.raises(ValueError, match=message):
        config.validate()


@pytest.mark.parametrize(
    ("option", "value"), [("double_q", True), ("twin_critics", True), ("target_noise", 0.1), ("n_step", 3)]
)
def test_options_that_need_a_discount_are_refused_without(option, value):
    config = identity_config().training(gamma=0.0, **{option: value})
    with pytest.raises(ValueError, match=f"{option} is {value}; it has no effect with gamma = 0"):
        config.validate()


def test_space_of_another_kind_is_refused(ray_session):
    with pytest.raises(Exception, match="not supported"):
        DQNDDPGConfig().environment("CartPole-v1").build_algo()


def test_default_config_belongs_to_the_algorithm():
    assert isinstance(DQNDDPG.get_default_config(), DQNDDPGConfig)
