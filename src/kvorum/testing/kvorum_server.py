"""A kvorum server in a process of its own, started as a user starts it: ``kvorum server --port 0 …``.

For a server inside the test's own process use ``kvorum.Server``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kvorum.testing.process import START_TIMEOUT_S, ServerProcess

HOST = "127.0.0.1"
READY = re.compile(r"Ready to accept connections.*\bport=(\d+)")


def kvorum_command() -> list[str]:
    """The installed ``kvorum`` program of this Python environment."""
    return [str(Path(sys.executable).with_name("kvorum"))]


class KvorumServer:
    """A kvorum server on a port that it chooses itself, without persistence; a context manager.

    ``options`` are further command line options (``"--maxmemory", "1mb"``), which override those given here. It works
    in ``directory`` where one is given, else in a fresh one that goes with it.
    """

    host = HOST

    def __init__(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        cores: Sequence[int] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        command = [*kvorum_command(), "server", "--host", HOST, "--port", "0", "--save", "", "--appendonly", "no"]
        self.process = ServerProcess(
            [*command, *options], READY, environment=environment, directory=directory, cores=cores,
            start_timeout_s=start_timeout_s,
        )  # fmt: skip

    @property
    def port(self) -> int:
        """The port that it listens on, read from its log."""
        assert self.process.ready_match is not None, "the server has not been started"
        return int(self.process.ready_match[1])

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self.process.pid

    @property
    def directory(self) -> Path:
        """Where it writes its files."""
        return self.process.directory

    def start(self) -> KvorumServer:
        """Start it and wait until it accepts connections."""
        self.process.start()
        return self

    def stop(self) -> None:
        """Stop it; twice is harmless."""
        self.process.stop()

    def __enter__(self) -> KvorumServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
