"""A disk that is slow or full, under a server that runs already: strace stands between the server and its system calls.

Only on Linux, and only where this user may trace the process. All system calls of the server become slower meanwhile.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import kvorum
from kvorum.testing.process import ServerProcess

BRING_TIMEOUT_S = 600
ATTACHED = re.compile(r"Process \d+ attached")
SYNCS = "fdatasync,fsync"
WRITES = "write,writev,pwrite64,pwritev"
# Neither of them is a file of the log.
NO_DATA = (".pid", ".log")


class StraceUnavailableError(Exception):
    """There is no strace on this machine and none can be brought; the text is one line."""


def find_strace() -> str:
    """The program, brought into the cache of the source tree first if need be; raises StraceUnavailableError."""
    tool = Path(kvorum.__file__).resolve().parents[2] / "tools" / "debian_packages.py"
    trouble = "strace is not installed"
    if tool.exists():
        brought = subprocess.run(
            [sys.executable, str(tool), "strace"], capture_output=True, text=True, timeout=BRING_TIMEOUT_S, check=False
        )
        if brought.returncode == 0:
            return str(Path(brought.stdout.strip()) / "strace")
        trouble = brought.stderr.strip()
    installed = shutil.which("strace")
    if installed is None:
        raise StraceUnavailableError(trouble)
    return installed


def slow_disk(pid: int, seconds: float) -> ServerProcess:
    """Every fsync of the process takes so much longer, from now until the result's ``stop``."""
    return _attach(pid, SYNCS, f"delay_enter={int(seconds * 1e6)}", ())


def full_disk(pid: int, directory: Path) -> ServerProcess:
    """Nothing can be written to the files that are below the directory now, until the result's ``stop``."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix not in NO_DATA)
    return _attach(pid, WRITES, "error=ENOSPC", files)


def _attach(pid: int, calls: str, injected: str, paths: Sequence[Path]) -> ServerProcess:
    command = [find_strace(), "-f", "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{injected}"]
    for path in paths:
        command += ["-P", str(path)]
    return ServerProcess(command, ATTACHED).start()


def detach(tracer: ServerProcess) -> None:
    """End it; the traced process goes on as if nothing had been."""
    with suppress(ProcessLookupError):
        tracer.stop()
