"""``meqc-marl export``: a trained policy as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from meqc_marl.cli.options import PolicySource
from meqc_marl.files import check_outputs
from meqc_marl.policies.folders import files_of


@dataclass(frozen=True)
class Export:
    """Write a trained policy as ONNX, checked against PyTorch: observations in, modes and fractions out."""

    checkpoint: tyro.conf.Positional[PolicySource]
    """Folder of the run or of one of its checkpoints, or its URI in a bucket."""
    file: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("policy.onnx")
    """File to write."""

    def run(self) -> None:
        """Export and check."""
        from meqc_marl.policies.learned import load_policy
        from meqc_marl.policies.onnx import export_onnx

        check_outputs({"file": self.file}, files_of(self.checkpoint))
        difference = export_onnx(load_policy(self.checkpoint), self.file)
        print(f"{self.file}: written; fractions agree with PyTorch within {difference:.1e}")
