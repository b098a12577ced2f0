"""A job on a machine of a cluster: its description comes in the environment, its messages go to stdout.

``meqc-marl submit`` starts it, with the Python that ``--python`` names.
"""

from __future__ import annotations

import os
import sys

from meqc_marl.entry.signals import sigterm_interrupts
from meqc_marl.errors import InputError
from meqc_marl.jobs.kinds import VARIABLE, Description
from meqc_marl.jobs.perform import perform
from meqc_marl.jobs.protocol import Failure, print_line, sparing


def main() -> int:
    """Carry the job out; returns the exit code."""
    try:
        with sigterm_interrupts():  # `ray job stop`
            perform(Description.from_json(os.environ[VARIABLE]), sparing(print_line))
    except InputError as error:
        print_line(Failure(sentence=str(error)))
        return 2
    except KeyboardInterrupt as stop:
        print_line(Failure(sentence=str(stop) or "it was interrupted; the same command goes on."))
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
