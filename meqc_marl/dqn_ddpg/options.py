"""Every parameter of the learner, once: name, type, bounds, meaning, source and default.

What :class:`DQNDDPGConfig` holds and checks, what its modules and networks are told, the sentences of errors and the
documentation's table all follow from the classes here. No Ray and no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from .errors import ConfigurationError
from .option_types import (
    MOST_WEIGHTS,
    Count,
    Discount,
    Index,
    Number,
    Positive,
    Schedule,
    Share,
    ShareSchedule,
    Steps,
    Switch,
)
from .words import did_you_mean, in_words, plain


def _option(default: Any, meaning: str, source: str = "", **extra: Any) -> Any:
    """A parameter.

    Args:
        default: Value unless another is given.
        meaning: What it is.
        source: Where it comes from.
        extra: ``allowed`` (in words), ``needs_discount``, ``of_environment``, ``of_weights`` (goes with them: what the
            heads are shown depends on it), ``mid_run`` (a population may change it, and modules may differ in it),
            ``by_module`` (modules may differ in it).
    """
    return Field(default, description=meaning, json_schema_extra={"source": source} | extra)


class Options(BaseModel):
    """Base of all groups: immutable, no unknown names, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Check values by name.

        Raises:
            ConfigurationError: If a name is unknown or a value not allowed.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        if not first["loc"]:  # several parameters together: the validator has made the sentence
            raise ConfigurationError(first["msg"].removeprefix("Value error, "))
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise ConfigurationError(f"'{name}' is unknown{did_you_mean(name, cls.model_fields)}")
        if first["type"] == "missing" and name not in values:
            raise ConfigurationError(f"{name} is missing.")
        raise ConfigurationError(f"{name} is {values[name]!r}; it must be {cls.allowed(name)}.")

    @classmethod
    def allowed(cls, name: str) -> str:
        """What a parameter may be, in words."""
        return in_words(cls.model_json_schema()["properties"][name])


class NetworkOptions(Options):
    """What shapes the two heads and their decision; stored with a trained policy."""

    hidden: Annotated[tuple[Annotated[int, Field(strict=True, ge=1)], ...], Field(min_length=1)] = _option(
        (128, 128), "widths of the hidden layers of both heads", allowed="one or more widths of at least 1"
    )
    critic: Literal["multi-pass", "joint", "separate"] = _option(
        "multi-pass",
        "what Q of a mode sees: its own parameters, all parameters, or none beside a DDPG with a value of its own",
        "Bester et al. 2019; Xiong et al. 2018; the paper's DQN and DDPG",
    )
    activation: Literal["silu", "relu"] = _option(
        "silu", "of the hidden layers; a smooth one gives the actor a smooth dQ/dx"
    )
    context: Literal["none", "mean", "attention"] = _option(
        "none",
        "what an agent sees of all agents of its slot that its module decides for: nothing, the mean of their "
        "embeddings, or one weighed by attention; replay then keeps whole slots, and a row of a minibatch is a slot",
        "Zaheer et al. 2017; Vaswani et al. 2017",
    )
    context_width: Count = _option(64, "width of the embeddings of the context")
    bounds: Literal["clamp", "inverting", "sigmoid"] = _option(
        "clamp",
        "how parameters are kept in their range: gradients that lead out are dropped, scaled by the room left, or "
        "dropped behind a stretched sigmoid",
        "Hausknecht and Stone 2016 (inverting)",
    )
    mask_columns: tuple[tuple[Index, Index], ...] = _option(
        (),
        "the mode is allowed where the observation column is above one half; where every mode is barred, none is",
        allowed="pairs (mode, observation column)",
        of_environment=True,
    )
    bound_columns: tuple[tuple[Index, Index, Index], ...] = _option(
        (),
        "the parameter lies between what the two observation columns hold, both in [0, 1] of its range; the actor's "
        "output is mapped onto the interval in a line",
        allowed="triples (index of the parameter in the vector of all, column of the low end, column of the high end)",
        of_environment=True,
    )
    middle_columns: tuple[tuple[Index, Index], ...] = _option(
        (),
        "what the observation column holds, within the bounds of the parameter, is where the actor's output is one "
        "half, in a line to either end; the critic is then shown the outputs instead of the parameters, so that a kink "
        "which the column tells stands in one place",
        allowed="pairs (index of the parameter in the vector of all, column)",
        of_environment=True,
        of_weights=True,
    )
    mode_columns: tuple[tuple[Index, Index], ...] = _option(
        (),
        "all that the value of the mode and its parameters depend on: its pass through either head sees these columns "
        "of the observation alone, so that what concerns other modes cannot disturb it; a mode that is not named sees "
        "all (needs the multi-pass critic and no discount)",
        allowed="pairs (mode, observation column)",
        of_environment=True,
        of_weights=True,
    )
    price_columns: tuple[tuple[Index, Index, Positive], ...] = _option(
        (),
        "a known part of the reward: the parameter, in [0, 1] of its range, times the x of which the column holds the "
        "signed log, sign(x) ln(1 + abs(x)); the critic learns the rest, for which it does not see the column (needs "
        "the multi-pass critic, no context and no discount)",
        allowed="triples (index of the parameter, column, reward_scale)",
        of_environment=True,
        of_weights=True,
    )
    unit_columns: tuple[tuple[Index, Index, Switch], ...] = _option(
        (),
        "of the columns of a mode (mode_columns) those with signed logs of amounts, in proportion to which, and to its "
        "prices, its value grows: its pass sees all as multiples of the largest of those that are told so, and gives a "
        "multiple of it, as errors count in the loss, so that what is learned at one scale holds at all",
        allowed="triples (mode, observation column, whether it may be the largest)",
        of_environment=True,
        of_weights=True,
    )
    allowed_modes: tuple[Index, ...] = _option((), "the only modes ever taken; all if empty", allowed="a list of modes")
    discrete: Switch = _option(False, "every parameter is at the upper end of its range: only the mode is learned")

    @model_validator(mode="after")
    def _passes_are_apart(self) -> NetworkOptions:
        for name in ("mode_columns", "price_columns"):
            if getattr(self, name) and (self.critic != "multi-pass" or self.context != "none"):
                raise ValueError(
                    f"{name} is {plain(getattr(self, name))}; it needs critic = multi-pass and context = none, not "
                    f"{self.critic} and {self.context}."
                )
        return self


class ModuleOptions(NetworkOptions):
    """What RLlib's RLModule is told beside the spaces, as its ``model_config``."""

    double_q: Switch = _option(
        False,
        "the main critic chooses the next mode, the target critic values it",
        "van Hasselt et al. 2016",
        needs_discount=True,
    )
    twin_critics: Switch = _option(
        False, "bootstrap from the lesser of two critics", "Fujimoto et al. 2018", needs_discount=True
    )
    epsilon: ShareSchedule = _option([[0, 1.0], [10_000, 0.05]], "probability of a random action")
    exploration_noise: Schedule = _option(
        0.1, "standard deviation of the noise on parameters, of their range", mid_run=True
    )
    parameterless_modes: tuple[Index, ...] = _option(
        (), "modes that ignore a shared Box", allowed="a list of modes", of_environment=True
    )


class LearnerOptions(ModuleOptions):
    """All parameters of the learner."""

    gamma: Discount = _option(0.99, "discount of later rewards")
    critic_lr: Schedule = _option(1e-3, "learning rate of the DQN head", mid_run=True)
    actor_lr: Schedule = _option(1e-4, "learning rate of the DDPG head", mid_run=True)
    tau: Share = _option(
        0.005, "share by which targets move to the main networks at each update", "Lillicrap et al. 2016", mid_run=True
    )
    target_noise: Number = _option(
        0.0,
        "standard deviation of the noise on the next parameters, of their range",
        "Fujimoto et al. 2018",
        needs_discount=True,
    )
    n_step: Count = _option(1, "steps of reward summed before bootstrapping", needs_discount=True)
    n_step_until_random: Switch = _option(
        False,
        "a sum of n_step steps of reward, at least two, ends before an action that was drawn at random, so that it "
        "holds what came of the policy alone",
        "Watkins 1989",
        needs_discount=True,
    )
    reward_scale: Number = _option(1.0, "factor on rewards in the loss", by_module=True)
    huber_delta: Positive = _option(
        1.0,
        "error beyond which the critic's loss is linear: a rare reward far beyond it hardly counts",
        "Huber 1964",
        mid_run=True,
    )
    grad_norm: Positive | None = _option(10.0, "largest gradient norm of each head; none for no clipping", mid_run=True)
    train_batch_size_per_learner: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = _option(
        256, "rows of a minibatch"
    )
    updates_per_training_step: Count = _option(1, "minibatches after each round of sampling")
    num_steps_before_learning: Steps = _option(1_000, "environment steps sampled before the first update")
    replay_capacity: Count = _option(200_000, "transitions kept")
    whole_slots: Switch = _option(
        False,
        "replay keeps the agents of a slot together: a row is a slot [M, ...], and a module is given [B, M, D], so "
        "that one of your own may look at the others; always so with a context",
    )
    replay_alpha: Share = _option(
        0.0, "exponent of the priorities of replay; 0 samples uniformly", "Schaul et al. 2016"
    )
    replay_beta: Share = _option(0.4, "exponent of the importance weights of prioritised replay", "Schaul et al. 2016")
    asynchronous: Switch = _option(
        False,
        "remote EnvRunners sample while the learner learns, with weights one round old; a resumed run then lacks the "
        "rounds that were under way and is not bit-equal to an undisturbed one",
        "Horgan et al. 2018",
    )
    max_empty_sampling_rounds: Count = _option(
        3, "consecutive rounds without a sample after which training stops with an error"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> LearnerOptions:
        usual = type(self).model_fields["context_width"].default
        if self.context == "none" and self.context_width != usual:
            raise ValueError(
                f"context_width is {self.context_width!r}; it has no effect with context = none: leave it {usual!r}."
            )
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if self.gamma == 0 and extra_of(field).get("needs_discount") and value != field.default:
                raise ValueError(f"{name} is {value!r}; it has no effect with gamma = 0: leave it {field.default!r}.")
        if self.n_step_until_random and self.n_step == 1:
            raise ValueError(
                "n_step_until_random is True; it has no effect with n_step = 1: leave it False, or set n_step to at "
                "least 2."
            )
        for name in ("mode_columns", "price_columns"):
            if self.gamma > 0 and getattr(self, name):
                raise ValueError(
                    f"{name} is {plain(getattr(self, name))}; it needs gamma = 0, not {self.gamma:g}: with a discount "
                    "a mode is worth what later slots are, which all columns may tell."
                )
        if any(scale != self.reward_scale for *_, scale in self.price_columns):
            raise ValueError(
                f"reward_scale is {self.reward_scale!r}; the last of each triple of price_columns, "
                f"{plain(self.price_columns)}, must be the same."
            )
        weights = sum(a * b for a, b in pairwise((*self.hidden, 1)))
        if weights > MOST_WEIGHTS:  # decided before memory is taken
            told = str(plain(self.hidden))[:60]
            raise ValueError(f"hidden is {told}, {weights:,} weights; a head may have {MOST_WEIGHTS:,} between layers.")
        return self


def keeps_slots(options: Any) -> bool:
    """Whether the agents of a slot stay together in replay and before the modules, by these attributes."""
    return bool(options.whole_slots or options.context != "none")


def settable() -> tuple[str, ...]:
    """Names of the parameters that are the learner's own and do not describe the environment."""
    fields = LearnerOptions.model_fields.items()
    return tuple(name for name, field in fields if not extra_of(field).get("of_environment"))


def extra_of(field: Any) -> dict[str, Any]:
    """What :func:`_option` keeps of a field beside its type and meaning."""
    return dict(field.json_schema_extra)
