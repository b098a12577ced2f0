"""Latency and energy of a task of which a share is sent away, in every latency form."""

from __future__ import annotations

import numpy as np


def blend_latency(
    form: str, fraction: np.ndarray, local: np.ndarray, remote: np.ndarray, ack: np.ndarray
) -> np.ndarray:
    """Latency of a task of which a share phi is sent away; local at phi = 0, without ack.

    Args:
        form: ``parallel``: max((1-phi) T_L, phi T_X + t_a); ``sequential``: their sum; ``literal``: as (11) prints
            with (1)-(6), (1-phi)^2 T_L + phi (phi T_X + t_a).
        fraction: phi [..., M].
        local, remote, ack: T_L, T_X, t_a [..., M].
    """
    latency_s: np.ndarray
    kept = 1.0 - fraction
    if form == "literal":
        latency_s = kept * kept * local + fraction * (fraction * remote + ack)
        return latency_s
    here, away = kept * local, fraction * remote + ack * (fraction > 0.0)
    latency_s = np.maximum(here, away) if form == "parallel" else here + away
    return latency_s


def blend_energy(form: str, fraction: np.ndarray, local: np.ndarray, remote: np.ndarray, ack: np.ndarray) -> np.ndarray:
    """Energy of a task of which a share phi is sent away: (1-phi) E_L + phi E_X + e_a, or squared as printed."""
    return blend_latency("sequential" if form == "parallel" else form, fraction, local, remote, ack)
