"""``python -m meqc_marl.cli``."""

import sys

from meqc_marl.cli import main

sys.exit(main())
