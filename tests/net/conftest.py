"""Servers for tests of the network: everything runs over the compiled server and over its plain twins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.net.raw import Raw

TWINS = {"compiled": {"KVORUM_PLAIN": "0"}, "plain": {"KVORUM_PLAIN": "1"}}

Start = Callable[..., KvorumServer]
Connect = Callable[..., Raw]


@pytest.fixture(scope="session", params=list(TWINS))
def twin(request: pytest.FixtureRequest) -> str:
    """Which form of the server a test runs over."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def server(twin: str) -> Iterator[KvorumServer]:
    """A server that many tests share, with its usual settings."""
    with KvorumServer(environment=TWINS[twin]) as server:
        yield server


@pytest.fixture
def start(twin: str) -> Iterator[Start]:
    """Starts a server of the test's own: ``start("--timeout", "1")``."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(KvorumServer(*options, environment=TWINS[twin]))


@pytest.fixture
def dial() -> Iterator[Connect]:
    """Connects to a server: ``dial(server)``; closed with the test."""
    with ExitStack() as stack:

        def connect(server: KvorumServer | RedisServer) -> Raw:
            return stack.enter_context(Raw((server.host, server.port)))

        yield connect


@pytest.fixture
def client(server: KvorumServer, dial: Connect) -> Raw:
    """A connection to the shared server, whose dataset has been emptied."""
    raw = dial(server)
    assert raw.ask(b"FLUSHALL").value == b"OK"
    return raw


@pytest.fixture
def other(server: KvorumServer, dial: Connect) -> Raw:
    """A second connection to the shared server, which has been accepted."""
    raw = dial(server)
    assert raw.ask(b"PING").value == b"PONG"
    return raw
