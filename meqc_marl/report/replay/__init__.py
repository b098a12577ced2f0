"""A replay as one self-contained page: what policies did, slot by slot, on the same trace."""

from meqc_marl.report.replay.page import replay_page, save_replay

__all__ = ["replay_page", "save_replay"]
