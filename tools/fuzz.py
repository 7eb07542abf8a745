"""Runs every coverage-guided fuzz target, ``tests/fuzz/fuzz_*.py``, for some seconds each.

    python tools/fuzz.py [SECONDS]

Inputs that reach new code are kept in ``.cache/fuzz/TARGET``, so that each run goes on where the last one ended; what
crashes a target is written beside them, and belongs into a regression test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_SECONDS = 60


def main(seconds: int) -> int:
    """Run all targets; the exit status is the number of those that found something."""
    targets = sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.py"))
    if not targets:
        sys.exit("kvorum: there are no fuzz targets in tests/fuzz")
    found = 0
    for target in targets:
        corpus = ROOT / ".cache" / "fuzz" / target.stem
        corpus.mkdir(parents=True, exist_ok=True)
        print(f"kvorum: {target.stem} for {seconds} s", flush=True)
        command = [
            sys.executable,
            str(target),
            f"-max_total_time={seconds}",
            f"-artifact_prefix={corpus}-",
            str(corpus),
        ]
        # What targets share with tests stands in ``tests``.
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        found += subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0
    print(f"{len(targets) - found} passed, {found} failed")
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS))
