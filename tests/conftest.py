"""Fixtures that several test folders share: real servers, their clients, and Redis' own programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from hypothesis import settings

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisPrograms, RedisServer, RedisUnavailableError, find_programs, unlike_oracle

# Examples have no deadline, since other work may share the machine. In CI they are the same in every run.
settings.register_profile("kvorum", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("kvorum")


@pytest.fixture(scope="session")
def any_redis_programs() -> RedisPrograms:
    """redis-server, redis-cli and redis-benchmark of whatever version; the test is skipped, with the reason, where they
    cannot be had."""
    try:
        return find_programs()
    except RedisUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def redis_programs(any_redis_programs: RedisPrograms) -> RedisPrograms:
    """The same, of the release that kvorum's replies are compared with; with another one the test is skipped."""
    reason = unlike_oracle(any_redis_programs.version)
    if reason is not None:
        pytest.skip(reason)
    return any_redis_programs


@pytest.fixture(scope="session")
def redis_cli(any_redis_programs: RedisPrograms) -> str:
    """Path of redis-cli."""
    return str(any_redis_programs.cli)


@pytest.fixture(scope="session")
def redis_benchmark(any_redis_programs: RedisPrograms) -> str:
    """Path of redis-benchmark."""
    return str(any_redis_programs.benchmark)


@pytest.fixture(scope="session")
def redis_server(redis_programs: RedisPrograms) -> Iterator[RedisServer]:
    """One real redis-server for the whole run, with DEBUG allowed; whoever uses it begins with FLUSHALL."""
    with RedisServer("--enable-debug-command", "yes", programs=redis_programs) as server:
        yield server


@pytest.fixture
def start_redis(redis_programs: RedisPrograms) -> Iterator[Callable[..., RedisServer]]:
    """Starts a redis-server of the test's own, with options; it ends with the test."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(RedisServer(*options, programs=redis_programs))


@pytest.fixture(scope="session")
def kvorum_server() -> Iterator[KvorumServer]:
    """One kvorum server process for the whole run; whoever uses it begins with FLUSHALL and leaves CONFIG as it was."""
    with KvorumServer() as server:
        yield server


@pytest.fixture
def start_kvorum() -> Iterator[Callable[..., KvorumServer]]:
    """Starts a kvorum server of the test's own: ``start_kvorum("--maxmemory", "1mb")``; it ends with the test."""
    with ExitStack() as stack:

        def start(*options: str, **arguments: Any) -> KvorumServer:
            return stack.enter_context(KvorumServer(*options, **arguments))

        yield start


@pytest.fixture
def connect() -> Iterator[Callable[..., redis.Redis]]:
    """A redis-py client of a server with a host and a port: ``connect(server, protocol=3)``; closed with the test."""
    with ExitStack() as stack:

        def open_client(server: RedisServer | KvorumServer, **arguments: Any) -> redis.Redis:
            client = redis.Redis(host=server.host, port=server.port, **arguments)
            stack.callback(client.close)
            return client

        yield open_client


@pytest.fixture
def redis_client(redis_server: RedisServer, connect: Callable[..., redis.Redis]) -> redis.Redis:
    """A client of the shared redis-server, which has been emptied."""
    client = connect(redis_server)
    client.flushall()
    return client


@pytest.fixture
def kvorum_client(kvorum_server: KvorumServer, connect: Callable[..., redis.Redis]) -> redis.Redis:
    """A client of the shared kvorum server, which has been emptied."""
    client = connect(kvorum_server)
    client.flushall()
    return client
