"""LOLWUT: a picture that is different each time.

A maze after "10 PRINT CHR$(205.5+RND(1))", the one-line program of 1982: each cell is one of two diagonals, by chance.
"""

from __future__ import annotations

import random

from kvorum.version import REDIS_VERSION

COLUMNS, ROWS = 66, 12
MAX_COLUMNS, MAX_ROWS = 1000, 200
DIAGONALS = "╱╲"


def picture(randomness: random.Random, columns: int = COLUMNS, rows: int = ROWS) -> str:
    """The maze, in bounds that keep it cheap, and the version below it."""
    columns, rows = min(max(columns, 1), MAX_COLUMNS), min(max(rows, 1), MAX_ROWS)
    lines = ["".join(randomness.choices(DIAGONALS, k=columns)) for _ in range(rows)]
    return "\n".join(lines) + f"\n\nTwo diagonals and a coin, after a line of BASIC. Redis ver. {REDIS_VERSION}\n"
