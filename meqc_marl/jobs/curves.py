"""The TensorBoard files of one training run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from meqc_marl.files import unwritable
from meqc_marl.rl.tensorboard import MODE_MAP, hparams_end, layout, write_hparams

Write = Callable[[dict[str, float], int, "np.ndarray | None"], None]


@contextmanager
def curves(folder: Path, first_step: int, session: dict[str, Any]) -> Iterator[tuple[Write, Callable[[], None]]]:
    """Yield what writes scalars and a picture for TensorBoard, and what ends the run there.

    Args:
        folder: Of the files.
        first_step: What is there from this step on is dropped.
        session: The run's values in the hparams tab.
    """

    def write(values: dict[str, float], step: int, picture: np.ndarray | None) -> None:
        try:
            for tag, value in values.items():
                writer.add_scalar(tag, value, step)
            if picture is not None:
                writer.add_image(MODE_MAP, picture, step, dataformats="HWC")
        except OSError as error:
            raise unwritable(folder, error) from error

    def end() -> None:
        try:
            writer.file_writer.add_summary(hparams_end())  # type: ignore[attr-defined]
        except OSError as error:
            raise unwritable(folder, error) from error

    try:
        writer = SummaryWriter(str(folder), purge_step=first_step)
        write_hparams(folder, session)
        writer.add_custom_scalars(layout())
    except OSError as error:
        raise unwritable(folder, error) from error
    hook = threading.excepthook
    # An error of TensorBoard's thread is raised again in ours, which tells it in a sentence.
    threading.excepthook = lambda told: None if type(told.thread).__module__.startswith("tensorboard") else hook(told)
    try:
        yield write, end
    finally:
        threading.excepthook = hook
        with suppress(OSError):
            # It would raise again what stopped training, or lose the last few points; the checkpoint is what counts.
            writer.close()
