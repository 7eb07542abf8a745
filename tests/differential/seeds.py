"""How far the random tests search: a fixed number of seeds, and those that the environment adds.

``DIFFERENTIAL_SEEDS=1000-1999 pytest tests/differential`` runs each random test with these seeds too. What is found
is found again with the same seed.
"""

from __future__ import annotations

import os

VARIABLE = "DIFFERENTIAL_SEEDS"


def seeds(count: int) -> list[int]:
    """0 to ``count - 1``, and the environment's: ``first-last``."""
    first, _, last = os.environ.get(VARIABLE, "").partition("-")
    return [*range(count), *(range(int(first), int(last or first) + 1) if first else ())]
