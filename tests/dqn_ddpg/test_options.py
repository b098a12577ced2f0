"""Every parameter once, and what follows from it."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meqc_marl.dqn_ddpg import algorithm
from meqc_marl.dqn_ddpg.algorithm import DQNDDPGConfig
from meqc_marl.dqn_ddpg.errors import ConfigurationError
from meqc_marl.dqn_ddpg.network_spec import NetworkSpec
from meqc_marl.dqn_ddpg.option_types import MOST
from meqc_marl.dqn_ddpg.options import LearnerOptions, ModuleOptions, NetworkOptions, extra_of, settable
from meqc_marl.rl.learner_page import learner_page

NAMES = tuple(LearnerOptions.model_fields)
PACKAGE = Path(algorithm.__file__).parents[1]


def test_the_configuration_starts_from_the_defaults_and_is_valid() -> None:
    config = DQNDDPGConfig()
    assert config.options == LearnerOptions()
    config.validate()


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_meaning_and_a_row(name: str) -> None:
    field = LearnerOptions.model_fields[name]
    assert field.description
    assert len(LearnerOptions.allowed(name)) > 5
    assert f"| `{name}` | {field.description}" in learner_page()


@pytest.mark.parametrize("name", NAMES)
def test_what_no_parameter_may_be_is_told_in_one_sentence(name: str) -> None:
    for value in (object(), float("nan"), "unheard of", {"a": 1}, -1):
        config = DQNDDPGConfig().training(**{name: value})
        with pytest.raises(ConfigurationError) as told:
            config.validate()
        assert str(told.value) == f"{name} is {value!r}; it must be {LearnerOptions.allowed(name)}."


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"^parameter 'n_steps' is unknown \(did you mean 'n_step'\?\)\.$"):
        DQNDDPGConfig().training(n_steps=3)


@pytest.mark.parametrize("hidden", [(30_000,) * 3, (10**9,), (10_000,) * 5, (100,) * 100_000])
def test_the_size_of_a_network_is_decided_before_memory_is_taken(hidden: tuple[int, ...]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^hidden .* weights; a head may have 100,000,000 between layers"
    ) as told:
        LearnerOptions.of({"hidden": hidden})
    assert len(str(told.value)) < 200


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_an_upper_end(name: str) -> None:
    schema = LearnerOptions.model_json_schema()["properties"][name]
    if schema.get("type") in ("integer", "number"):
        assert "maximum" in schema or "exclusiveMaximum" in schema
        value = 10**30 if schema["type"] == "integer" else 1e300
        with pytest.raises(ConfigurationError, match=f"^{name} is .*; it must be "):
            LearnerOptions.of({"gamma": 0.5, name: value})


def test_rllibs_own_parameters_and_whole_options_are_taken() -> None:
    options = LearnerOptions(gamma=0.5, n_step=3)
    config = DQNDDPGConfig().training(options, tau=0.1, grad_clip=5.0)
    assert config.options == options.model_copy(update={"tau": 0.1})
    assert config.grad_clip == 5.0


def test_the_module_is_told_all_it_reads_and_nothing_else() -> None:
    model_config = DQNDDPGConfig().training(hidden=(7,)).model_config
    assert ModuleOptions.of(model_config).hidden == (7,)
    assert model_config.keys() == ModuleOptions.model_fields.keys()


def test_a_key_of_the_model_that_nothing_reads_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^'fcnet_hiddens' is unknown"):
        ModuleOptions.of(DQNDDPGConfig().rl_module(model_config={"fcnet_hiddens": [64]}).model_config)


@settings(max_examples=50)
@given(st.floats(allow_nan=True) | st.integers(-10, 10) | st.booleans() | st.none() | st.text(max_size=3))
def test_numbers_are_allowed_exactly_within_their_bounds(value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    for name, inside in (
        ("tau", lambda x: 0 <= x <= 1),
        ("gamma", lambda x: 0 <= x < 1),
        ("huber_delta", lambda x: 0 < x <= MOST),
        ("epsilon", lambda x: 0 <= x <= 1),
        ("replay_capacity", lambda x: isinstance(x, int) and 1 <= x <= MOST),
    ):
        try:
            LearnerOptions.of({name: value})
            accepted = True
        except ConfigurationError:
            accepted = False
        assert accepted == (is_number and inside(value)), (name, value)


def test_a_parameter_stands_in_one_list() -> None:
    """Nowhere else in the package are more than a few of the names side by side."""
    for path in PACKAGE.rglob("*.py"):
        if path.name in ("options.py", "config.py") and path.parent.name in ("dqn_ddpg", "rl"):
            continue  # the list itself; the system's own values
        for block in re.findall(r"[(\[{][^()\[\]{}]*[)\]}]", path.read_text()):
            quoted = {name for name in NAMES if re.search(rf"[\"']{name}[\"']", block)}
            assert len(quoted) <= 3, (path, quoted)


def test_only_the_learners_own_parameters_are_settable() -> None:
    rest = set(NAMES) - set(settable())
    assert rest == {name for name in NAMES if extra_of(LearnerOptions.model_fields[name]).get("of_environment")}
    assert "mask_columns" in rest


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden": []}, r"hidden is \[\]; it must be one or more widths"),
        ({"parameter_slots": [[1, 0]]}, "parameter_slots is"),
        ({"allowed_modes": [3]}, r"allowed_modes is \[3\]; the action space has the modes 0 to 1"),
        ({"mask_columns": [[0, 4]]}, "an observation 4 columns"),
        ({"critic": "none"}, "must be one of multi-pass"),
        ({"depth": 3}, "'depth' is unknown"),
    ],
)
def test_a_damaged_description_of_networks_is_refused(changes: dict, sentence: str) -> None:
    good = NetworkSpec(observation_size=4, parameter_slots=((0, 0), (0, 1))).to_json()
    assert NetworkSpec.from_json(good).to_json() == good
    with pytest.raises(ConfigurationError, match=sentence):
        NetworkSpec.from_json(good | changes)


def test_an_older_description_gets_the_defaults() -> None:
    spec = NetworkSpec.from_json({"observation_size": 4, "parameter_slots": [[0, 1]], "hidden": [8]})
    assert spec == NetworkSpec(observation_size=4, parameter_slots=((0, 1),), hidden=(8,))
    assert set(NetworkSpec.model_fields) == {*NetworkOptions.model_fields, "observation_size", "parameter_slots"}
