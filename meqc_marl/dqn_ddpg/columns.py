"""Keys of batches, beside RLlib's own :class:`~ray.rllib.core.columns.Columns`."""

from __future__ import annotations

#: Mode taken, [B].
MODE = "mode"
#: Parameters of all modes in [0, 1], as they were executed, [B, P].
PARAMETERS = "parameters"
#: Whether the action was drawn at random, in place of what the policy does, bool [B].
IS_RANDOM = "is_random"
#: Gamma to the power of the steps summed in a reward, 0 after a termination, [B].
DISCOUNT = "discount"
#: In whole slots of agents that come and go: whether the agent was there, bool [B, m].
PRESENT = "present"
#: Noise on the next parameters, [B, P].
TARGET_NOISE = "target_noise"
#: What prioritised sampling adds: row number (int64) and importance weight (float32, at most 1).
INDEX = "index"
WEIGHT = "weight"

# What the module's passes give.
#: Values [critics, B, C] of the modes taken.
Q_TAKEN = "q_taken"
#: The actor's output [B, P] and what of dQ/dparameters it follows.
RAW_PARAMETERS = "raw_parameters"
ACTOR_GRADIENT = "actor_gradient"
#: Unit of the modes taken, [B]; none where modes have none.
UNIT = "unit"
#: Values [B, C] of the next observation.
NEXT_VALUE = "next_value"

#: In the state of a module: the bounds of the environment's parameters [2, P], in which the actor's outputs were meant.
ACTION_BOUNDS = "action_bounds"
