"""Measures the speed of zoo and of its peers: ``python experiments/speed/measure.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that it runs from any folder

if __name__ == "__main__":
    from experiments.speed.command import main

    main()
