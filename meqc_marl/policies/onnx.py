"""A trained policy as ONNX, for devices and servers without PyTorch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import torch

from meqc_marl.dqn_ddpg.networks import Decision
from meqc_marl.errors import InputError, how_to_install
from meqc_marl.files import check_output, replacing
from meqc_marl.policies.learned import LearnedPolicy

_CHECKED_ROWS = 4096


def export_onnx(policy: LearnedPolicy, path: Path) -> float:
    """Write a policy as ONNX and check it against PyTorch on random observations.

    The model maps ``observation`` float32 [N, D] to ``mode`` int64 [N] and ``fraction`` float32 [N], for any N; that of
    a policy that sees the others maps [N, M, D] to [N, M], for any number N of slots and M of devices.

    Args:
        policy: The policy.
        path: File to write.

    Returns:
        The largest difference of the fraction, over observations on which both choose the same mode.

    Raises:
        InputError: If the file cannot be written, or the packages of the extra ``export`` are missing.
        RuntimeError: If the exported model does not decide as PyTorch does.
    """
    check_output(path)
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise InputError(f"package '{error.name}' is missing; {how_to_install('export')}.") from None
    # The exporter tells everybody who has no torchvision so.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    decision = Decision(policy.spec, policy.actor, policy.critic).eval()
    axes = {0: torch.export.Dim("rows")} | ({} if policy.spec.context == "none" else {1: torch.export.Dim("devices")})
    example = torch.zeros(*range(2, 2 + len(axes)), policy.spec.observation_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own internals
        program = torch.onnx.export(
            decision,
            (example,),
            input_names=["observation"],
            output_names=["mode", "fraction"],
            dynamic_shapes=(axes,),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto.SerializeToString()
    difference = _check(onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]), policy)
    with replacing(path) as file:
        file.write(model)
    return difference


def _check(session: object, policy: LearnedPolicy) -> float:
    rng = np.random.default_rng(0)
    lead = (_CHECKED_ROWS,) if policy.spec.context == "none" else (_CHECKED_ROWS // 16, 16)
    observation = rng.uniform(-1.0, 1.0, (*lead, policy.spec.observation_size)).astype(np.float32)
    observation[..., -1] = rng.uniform(0.0, 5.0, lead)
    mode, fraction = policy.decide(observation)
    other_mode, other_fraction = session.run(None, {"observation": observation})  # type: ignore[attr-defined]
    same = mode == other_mode
    # Where two modes are worth the same, rounding may choose.
    if same.mean() < 0.999:
        raise RuntimeError(f"the exported model chooses another mode in {1 - same.mean():.2%} of the cases")
    difference = float(np.abs(fraction - other_fraction)[same].max())
    if difference > 1e-4:
        raise RuntimeError(f"the exported model's fraction differs by up to {difference:.2g}")
    return difference
