"""A real redis-server, the oracle of the differential tests and the measure of the benchmarks.

The programs come from the cache that ``tools/debian_packages.py`` fills (``make test`` and ``make bench`` call it), or
from the folder named by ``KVORUM_REDIS_PROGRAMS``, or from ``PATH``, in the order: environment, cache, ``PATH``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import kvorum
from kvorum.testing.process import START_TIMEOUT_S, ServerProcess, start_on_free_port

HOST = "127.0.0.1"
READY = re.compile(r"Ready to accept connections")
BRING_TIMEOUT_S = 600
# The release whose replies, errors and effects kvorum has.
ORACLE_RELEASE = "7.0"
NO_PERSISTENCE = ("--save", "", "--appendonly", "no")


class RedisUnavailableError(Exception):
    """There is no redis-server on this machine and none can be brought; the text is one line for the user."""


@dataclass(frozen=True, slots=True)
class RedisPrograms:
    """Where Redis' own programs are."""

    server: Path
    cli: Path
    benchmark: Path

    @property
    def version(self) -> str:
        """Version of redis-server, such as ``7.0.15``."""
        words = subprocess.run([self.server, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"v=(\S+)", words)
        assert found is not None, words
        return found[1]


def unlike_oracle(version: str) -> str | None:
    """Why a redis-server of this version cannot tell what kvorum should reply; None if it can."""
    if version.startswith(ORACLE_RELEASE + "."):
        return None
    return f"kvorum is compared with redis-server {ORACLE_RELEASE}.x, and this one is {version}"


def find_programs() -> RedisPrograms:
    """Redis' programs, brought into the cache of the source tree first if need be; raises RedisUnavailableError."""
    folder = os.environ.get("KVORUM_REDIS_PROGRAMS")
    if folder:
        return _programs_in(Path(folder), f"KVORUM_REDIS_PROGRAMS={folder}")
    tool = Path(kvorum.__file__).resolve().parents[2] / "tools" / "debian_packages.py"
    trouble = "redis-server is not installed"
    if tool.exists():
        brought = subprocess.run(
            [sys.executable, str(tool), "redis"], capture_output=True, text=True, timeout=BRING_TIMEOUT_S, check=False
        )
        if brought.returncode == 0:
            return _programs_in(Path(brought.stdout.strip()), str(tool))
        trouble = brought.stderr.strip()
    installed = shutil.which("redis-server")
    if installed is None:
        raise RedisUnavailableError(trouble)
    return _programs_in(Path(installed).parent, "PATH")


def _programs_in(folder: Path, origin: str) -> RedisPrograms:
    programs = RedisPrograms(folder / "redis-server", folder / "redis-cli", folder / "redis-benchmark")
    for program in (programs.server, programs.cli, programs.benchmark):
        if not program.exists():
            raise RedisUnavailableError(f"there is no {program.name} in {folder} ({origin})")
    return programs


class RedisServer:
    """A redis-server on a free port of the loopback interface, without persistence; a context manager.

    ``options`` are further command line options (``"--maxmemory", "1mb"``), which override those given here.
    """

    host = HOST

    def __init__(
        self,
        *options: str,
        programs: RedisPrograms | None = None,
        cores: Sequence[int] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self.programs = programs if programs is not None else find_programs()
        self.port = 0
        self._options = options
        self._cores = cores
        self._start_timeout_s = start_timeout_s
        self._process: ServerProcess | None = None

    @property
    def process(self) -> ServerProcess:
        """The running process: its id, output and working directory."""
        assert self._process is not None, "the server has not been started"
        return self._process

    @property
    def pid(self) -> int:
        """Process id of redis-server."""
        return self.process.pid

    @property
    def directory(self) -> Path:
        """Where it writes its files."""
        return self.process.directory

    def start(self) -> RedisServer:
        """Start it and wait until it accepts connections."""

        def make(port: int) -> ServerProcess:
            self.port = port
            command = [str(self.programs.server), "--bind", HOST, "--port", str(port), *NO_PERSISTENCE, *self._options]
            return ServerProcess(command, READY, cores=self._cores, start_timeout_s=self._start_timeout_s)

        self._process = start_on_free_port(make)
        return self

    def stop(self) -> None:
        """Stop it; twice is harmless."""
        if self._process is not None:
            self._process.stop()

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
