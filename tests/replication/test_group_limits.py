"""What a leader without its followers does not do: gather more than it may."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from kvorum.testing.cluster import Cluster
from kvorum.testing.connection import Connection, ReplyError

pytestmark = pytest.mark.timeout(120)

VALUE = b"v" * 100_000
ELECTION_MS = 20_000  # it is to go on as the leader for as long as the test lasts


def test_writes_are_refused_when_too_much_waits_for_a_quorum() -> None:
    options = ("--raft-uncommitted-limit", "1mb", "--raft-election-ms", str(ELECTION_MS))
    with Cluster(3, *options) as cluster, ExitStack() as stack:
        leader = cluster.wait_leader()
        followers = [node for node in cluster.nodes if node is not leader]
        clients = [stack.enter_context(leader.connect(60.0)) for _ in range(30)]
        for follower in followers:
            cluster.pause(follower)
        with leader.connect(60.0) as other:
            for number, client in enumerate(clients):
                client.send("SET", f"key{number}", VALUE)
                other.call("PING")  # the limit is looked at between turns
        for follower in followers:
            cluster.resume(follower)
        replies = [receive(client) for client in clients]
        refused = [reply for reply in replies if reply.startswith(b"TRYAGAIN too much waits for a quorum")]
        assert refused
        assert len(refused) + replies.count(b"OK") == len(replies)
        written = sum(leader.call("EXISTS", f"key{number}") == 1 for number in range(len(clients)))
        assert written == replies.count(b"OK")
        assert leader.call("SET", "key", "again") == b"OK"


def receive(client: Connection) -> bytes:
    try:
        reply = client.read()
    except ReplyError as error:
        return str(error).encode()
    assert isinstance(reply, bytes)
    return reply
