"""A server in a process of its own, started and stopped for a test or a measurement.

It is started as a user would start it, is ready when it says so in its own words, and is stopped by its own process
id. What it prints is read all the time, so that it never stalls on a full pipe, and is kept for the error message of a
start that fails.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
KEPT_LINES = 1000


class StartError(RuntimeError):
    """The server ended, or said nothing, before it was ready; the text has its last lines."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """One server process with a working directory of its own; a context manager.

    ``ready`` is searched in every line that the process prints; the first match ends the wait of ``start`` and is kept
    as ``ready_match``, so that a chosen port can be read from it.
    """

    def __init__(
        self,
        command: Sequence[str],
        ready: re.Pattern[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        cores: Sequence[int] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        """``environment`` is added to this process's; without ``directory`` a fresh one is made and removed at the end;
        ``cores`` pins the process to these CPU cores."""
        self.command = list(command)
        self.ready = ready
        self.ready_match: re.Match[str] | None = None
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._environment = {**os.environ, **(environment or {})}
        self._own_directory = directory is None
        self.directory = directory if directory is not None else Path(tempfile.mkdtemp(prefix="kvorum-"))
        self._cores = cores
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._settled = threading.Event()
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None, "the server has not been started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """The last lines that the server printed."""
        return "\n".join(list(self.lines))

    def start(self) -> Self:
        """Start the process and wait until it is ready."""
        assert self._process is None, "a ServerProcess is started once"
        self._process = subprocess.Popen(
            self.command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if self._cores is not None:
            os.sched_setaffinity(self._process.pid, self._cores)
        self._reader = threading.Thread(target=self._read, name=f"output of {self.command[0]}", daemon=True)
        self._reader.start()
        answered = self._settled.wait(self._start_timeout_s)
        if self.ready_match is None:
            trouble = "ended before it was ready" if answered else f"was not ready after {self._start_timeout_s:g} s"
            self.stop()
            raise StartError(f"{' '.join(self.command)} {trouble}:\n{self.output}")
        return self

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if self.ready_match is None:
                self.ready_match = self.ready.search(line)
                if self.ready_match is not None:
                    self._settled.set()
        self._settled.set()

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for the process to end by itself; returns its exit status. All output has been read afterwards."""
        assert self._process is not None
        status = self._process.wait(timeout_s)
        if self._reader is not None:
            self._reader.join(timeout_s)
        return status

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL), and wait for it."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def stop(self) -> None:
        """Ask the process to end (SIGTERM), kill it if it does not, and remove its directory; twice is harmless."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    self._process.kill()
            self.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_on_free_port(make: Callable[[int], ServerProcess], attempts: int = 5) -> ServerProcess:
    """Start a server that cannot choose a port by itself: another process may take the port first, so try again."""
    for attempt in range(attempts):
        server = make(free_port())
        try:
            return server.start()
        except StartError as error:
            if "Address already in use" not in str(error) or attempt == attempts - 1:
                raise
    raise AssertionError("unreachable")
