"""Fixtures for the commands: the declarations of all groups, and a connection to the oracle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvorum.commands import all_groups
from kvorum.commands.registry import Registry
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.observation import Pair
from tests.differential.wire import Wire

# What tests of this folder change by CONFIG SET, as it was.
DEFAULTS = (
    (b"slowlog-log-slower-than", b"10000", b"slowlog-max-len", b"128", b"latency-monitor-threshold", b"0"),
    (b"maxmemory", b"0", b"maxmemory-policy", b"noeviction", b"requirepass", b""),
)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """A registry of everything that is declared."""
    return Registry(all_groups())


@pytest.fixture
def oracle(redis_server: RedisServer) -> Iterator[Wire]:
    """A connection to redis-server that speaks RESP3."""
    with Wire(redis_server.host, redis_server.port) as wire:
        wire.ask(b"HELLO", b"3")
        wire.ask(b"FLUSHALL")
        yield wire


@pytest.fixture(scope="session")
def debuggable_server() -> Iterator[KvorumServer]:
    """A kvorum server that allows DEBUG."""
    with KvorumServer("--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def pair(request: pytest.FixtureRequest, debuggable_server: KvorumServer, redis_server: RedisServer) -> Iterator[Pair]:
    """Both servers, empty, statistics and CONFIG as after a start, asked in both protocols."""
    with (
        Wire(debuggable_server.host, debuggable_server.port) as kvorum,
        Wire(redis_server.host, redis_server.port) as redis,
    ):
        for wire in (kvorum, redis):
            wire.ask(b"HELLO", b"%d" % request.param)
            wire.ask(b"FLUSHALL")
            wire.ask(b"CONFIG", b"RESETSTAT")
            wire.ask(b"SLOWLOG", b"RESET")
            wire.ask(b"LATENCY", b"RESET")
        yield Pair(kvorum, redis)
        for wire in (kvorum, redis):
            wire.ask_all([(b"CONFIG", b"SET", *setting) for setting in DEFAULTS])
