"""Fixtures for the commands: the declarations of all groups, and a connection to the oracle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvorum.commands import all_groups
from kvorum.commands.registry import Registry
from kvorum.testing.redis_server import RedisServer
from tests.differential.wire import Wire


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
