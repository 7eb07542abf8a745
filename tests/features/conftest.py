"""What the checks of features share: redis-cli as a user calls it, and client libraries of other languages.

The server under test is always a process that was started as a user starts it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import client_libraries
import pytest
from redis.backoff import NoBackoff
from redis.retry import Retry

from kvorum.testing.kvorum_server import KvorumServer

# However slow the machine: this only ends tests that would hang.
PATIENCE_S = 50

Cli = Callable[..., str]


def run_program(
    command: list[str], given: str = "", environment: dict[str, str] | None = None, directory: Path | None = None
) -> str:
    """What a program prints that must succeed, without the last end of line."""
    done = subprocess.run(
        command, input=given, env=environment, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    assert done.stderr == ""
    return done.stdout.removesuffix("\n")


def once() -> Retry:
    """For clients that are not to try again, which redis-py does with pauses."""
    return Retry(NoBackoff(), 0)


@pytest.fixture
def cli(redis_cli: str, kvorum_server: KvorumServer, kvorum_client: Any) -> Cli:
    """``cli("SET", "k", "v")``: what redis-cli prints for a request to the shared server, which has been emptied."""

    def ask(*words: str, given: str = "", server: KvorumServer = kvorum_server) -> str:
        return run_program([redis_cli, "-p", str(server.port), *words], given)

    return ask


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request: pytest.FixtureRequest) -> int:
    version: int = request.param
    return version


@pytest.fixture
def client(protocol: int, kvorum_server: KvorumServer, kvorum_client: Any, connect: Callable[..., Any]) -> Any:
    """A redis-py client of the shared server, which has been emptied; a test that uses it runs in both protocols."""
    return connect(kvorum_server, protocol=protocol)


@pytest.fixture(scope="session")
def javascript_libraries() -> Path:
    """Folder of ioredis and node-redis; the test is skipped, with the reason, where they cannot be had."""
    return library("javascript")


@pytest.fixture(scope="session")
def hiredis_library() -> Path:
    """Folder of redis-py's compiled parser; the test is skipped, with the reason, where it cannot be had."""
    return library("hiredis")


def library(name: str) -> Path:
    try:
        return client_libraries.bring(name)
    except client_libraries.UnavailableError as error:
        pytest.skip(str(error))
