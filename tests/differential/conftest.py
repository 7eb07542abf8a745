"""The two servers of the differential tests, and connections to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

import kvorum
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from kvorum.testing.replication_stream import ReplicationStream
from tests.differential.conversation import Conversation, open_sides
from tests.differential.effects import EffectPair, LoggedEffects
from tests.differential.machine import Pair
from tests.differential.wire import Wire

PairMaker = Callable[[int], Pair]
Server = RedisServer | KvorumServer | kvorum.Server


@pytest.fixture(scope="session")
def kvorum_server() -> Iterator[KvorumServer]:
    """kvorum as the other folders have it, and with DEBUG, which the redis-server of the tests has as well."""
    with KvorumServer("--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture
def open_pair(redis_server: RedisServer, kvorum_server: KvorumServer) -> Iterator[PairMaker]:
    """``open_pair(protocol)``: connections to both servers, which are empty."""
    with ExitStack() as stack:

        def open_one(protocol: int) -> Pair:
            theirs, ours = (
                stack.enter_context(Wire(server.host, server.port)) for server in (redis_server, kvorum_server)
            )
            pair = Pair(theirs, ours, protocol)
            pair.start_over()
            stack.callback(pair.start_over)
            return pair

        yield open_one


@pytest.fixture
def converse(redis_server: RedisServer, kvorum_server: KvorumServer) -> Iterator[Callable[[int], Conversation]]:
    """``converse(parties)``: that many connections to both servers."""
    with ExitStack() as stack:

        def open_one(parties: int) -> Conversation:
            conversation = stack.enter_context(conversation_with((redis_server, kvorum_server), parties))
            stack.callback(conversation.start_over, [2] * parties)
            return conversation

        yield open_one


@pytest.fixture
def primary(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """A redis-server that may have a replica."""
    return start_redis("--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes")


@pytest.fixture
def logging_server() -> Iterator[kvorum.Server]:
    """A server in this process, so that its effects can be seen."""
    with kvorum.Server(port=0, enable_debug_command="yes") as server:
        yield server


@pytest.fixture
def servers(primary: RedisServer, logging_server: kvorum.Server) -> Iterator[EffectPair]:
    """A redis-server with a replica's eyes on it, and a server in this process with a sink."""
    logged = LoggedEffects()
    with (
        ReplicationStream(primary.host, primary.port) as stream,
        Wire(primary.host, primary.port) as theirs,
        Wire(logging_server.host, logging_server.port) as ours,
    ):
        # Until then FLUSHALL would end the snapshot's process, and with it the link.
        while b"state=online" not in (theirs.ask(b"INFO", b"replication").value or b""):
            pass
        logging_server.server.context.effects.sinks.append(logged)
        pair = Pair(theirs, ours, 2)
        pair.send(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0")
        yield EffectPair(pair, stream, logged)


@pytest.fixture
def converse_with_effects(
    servers: EffectPair, primary: RedisServer, logging_server: kvorum.Server
) -> Iterator[Callable[[int], Conversation]]:
    """``converse_with_effects(parties)``: connections to the two servers whose effects are seen."""
    with ExitStack() as stack:
        yield lambda parties: stack.enter_context(conversation_with((primary, logging_server), parties))


@contextmanager
def conversation_with(servers: Sequence[Server], parties: int) -> Iterator[Conversation]:
    with open_sides([(server.host, server.port) for server in servers], parties) as sides:
        yield Conversation(*sides)
