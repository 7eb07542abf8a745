"""The two servers of the differential tests, and connections to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.differential.conversation import Conversation, Side
from tests.differential.machine import Pair
from tests.differential.wire import Wire

PairMaker = Callable[[int], Pair]
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

        def open_side(server: RedisServer | KvorumServer, parties: int) -> Side:
            wires = [stack.enter_context(Wire(server.host, server.port)) for _ in range(parties + 1)]
            return Side(wires[0], wires[1:])

        def open_one(parties: int) -> Conversation:
            conversation = Conversation(*(open_side(server, parties) for server in (redis_server, kvorum_server)))
            stack.callback(conversation.start_over, [2] * parties)
            return conversation

        yield open_one
