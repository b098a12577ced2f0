"""The environment: the batched simulator and the PettingZoo view of one row."""
