"""cython-lint over the Cython sources, less one complaint that does not hold for Cython.

In ``for i in range(n)`` a typed ``i`` that is not used is the C way to do something n times; ``_`` is no C variable.

    python tools/lint_cython.py src
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

DROPPED = re.compile(r"Loop control variable '\w+' not used within the loop body")


def main(paths: Sequence[str]) -> int:
    """Print what is wrong; the exit status tells whether anything is."""
    folder = Path(sys.executable).parent
    sources = [
        str(path) for root in paths for suffix in ("pyx", "pxd") for path in sorted(Path(root).rglob(f"*.{suffix}"))
    ]
    done = subprocess.run(
        [str(folder / "cython-lint"), *sources],
        # It calls pycodestyle by its name.
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [line for line in done.stdout.splitlines() if not DROPPED.search(line)]
    print("\n".join(wrong) if wrong else f"{len(sources)} Cython files: nothing wrong")
    if done.returncode not in (0, 1) or done.stderr:
        print(done.stderr, file=sys.stderr)
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
