"""FAILOVER beside redis-server, and RAFT on a server that belongs to no group."""

from __future__ import annotations

import pytest

from tests.commands.observation import Pair
from tests.differential.wire import Wire


@pytest.mark.parametrize(
    "line",
    [
        "failover",
        "failover abort",
        "failover timeout 1",
        "failover timeout 0",
        "failover timeout -1",
        "failover timeout x",
        "failover timeout",
        "failover timeout 1 timeout 1",
        "failover to 127.0.0.1 1",
        "failover to 127.0.0.1 x",
        "failover to 127.0.0.1",
        "failover to a 1 to b 2",
        "failover force",
        "failover force force",
        "failover to 127.0.0.1 1 force",
        "failover to 127.0.0.1 1 force timeout 1",
        "failover abort abort",
        "failover now",
        "wait 0 0",
        "wait -1 0",
        "wait 1 1",
        "role",
    ],
)
def test_without_replicas_redis_says_the_same(pair: Pair, line: str) -> None:
    pair.ask(line)


@pytest.mark.parametrize(
    "line",
    [
        "raft info",
        f"raft state 1 {'00' * 16}",
        "raft join g 1 n a:1 a:1 proof",
        "raft remove n",
        "raft transfer",
        "raft leave",
        "raft invite a:1",
    ],
)
def test_a_server_alone_has_no_group(pair: Pair, line: str) -> None:
    wire: Wire = pair.kvorum
    reply = wire.ask(*(word.encode() for word in line.split()))
    assert reply.is_error
    assert reply.value == b"ERR this server is no member of a group"


def test_help(pair: Pair) -> None:
    reply = pair.kvorum.ask(b"RAFT", b"HELP")
    lines = b"\n".join(item.value or b"" for item in reply.items)
    for name in (b"INFO", b"REMOVE", b"TRANSFER", b"INVITE", b"LEAVE"):
        assert name in lines
