"""Runs the outside judges: ``.venv/bin/python tools/judge.py --help``; everything stands in ``judges``."""

from __future__ import annotations

import sys

from judges.cli import guarded, main

if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
