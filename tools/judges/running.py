"""What the suites share: a server to run against, programs that must end, an environment with what redis-py's tests import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, Protocol

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "judges"
REQUIREMENTS = ROOT / "requirements" / "judges.txt"


class Server(Protocol):
    """A running server."""

    host: str

    @property
    def port(self) -> int: ...


Start = Callable[[], AbstractContextManager[Server]]


class SuiteError(Exception):
    """A suite cannot be run; one line for the user."""


def run_group(
    command: Sequence[str], folder: Path, environment: dict[str, str], output: IO[str], limit_s: float
) -> bool:
    """Run a command that starts processes of its own; they all end with it, or when the time is over (False)."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(limit_s)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def python_with_packages() -> Path:
    """A Python with what redis-py's tests import, in an environment of its own: their plugins of pytest shall not meet the
    project's tests."""
    environment = CACHE / "python"
    python, stamp = environment / "bin" / "python", environment / "complete"
    wanted = REQUIREMENTS.read_text(encoding="utf-8") + sys.version
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print("kvorum: installing requirements/judges.txt", file=sys.stderr, flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)],
            [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "-r", str(REQUIREMENTS)],
        ):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise SuiteError(f"cannot install what the suite imports: {last_line(done.stderr)}")
        stamp.write_text(wanted, encoding="utf-8")
    return python


def last_line(text: str) -> str:
    """The last line with something on it."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
