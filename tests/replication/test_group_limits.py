"""What a leader without its followers does not do: gather more than it may."""

from __future__ import annotations

import pytest

from kvorum.testing.cluster import Cluster
from kvorum.testing.connection import Connection, ReplyError

pytestmark = pytest.mark.timeout(120)

VALUE = b"v" * 10_000
WRITES = 1000  # ten times the limit: they take many turns
ELECTION_MS = 20_000  # it is to go on as the leader for as long as the test lasts


def test_writes_are_refused_when_too_much_waits_for_a_quorum() -> None:
    options = ("--raft-uncommitted-limit", "1mb", "--raft-election-ms", str(ELECTION_MS))
    with Cluster(3, *options) as cluster:
        leader = cluster.wait_leader()
        followers = [node for node in cluster.nodes if node is not leader]
        for follower in followers:
            cluster.pause(follower)
        with leader.connect(60.0) as client:
            for number in range(WRITES):
                client.send("SET", f"key{number}", VALUE)
            # The last few bytes are read when nearly everything before them has been executed or refused.
            for follower in followers:
                cluster.resume(follower)
            replies = [receive(client) for _ in range(WRITES)]
        refused = [reply for reply in replies if reply.startswith(b"TRYAGAIN too much waits for a quorum")]
        assert refused
        assert len(refused) + replies.count(b"OK") == WRITES
        assert leader.call("DBSIZE") == replies.count(b"OK")
        assert leader.call("SET", "key", "again") == b"OK"


def receive(client: Connection) -> bytes:
    """The reply, or the text of the error."""
    try:
        reply = client.read()
    except ReplyError as error:
        return str(error).encode()
    assert isinstance(reply, bytes)
    return reply


def test_acks_can_be_changed_while_the_group_works() -> None:
    with Cluster(3, "--raft-election-ms", str(ELECTION_MS)) as cluster:
        leader = cluster.wait_leader()
        followers = [node for node in cluster.nodes if node is not leader]
        assert leader.call("CONFIG", "SET", "acks", "leader") == b"OK"
        for follower in followers:
            cluster.pause(follower)
        assert leader.call("SET", "key", "at once", timeout_s=60.0) == b"OK"
        for follower in followers:
            cluster.resume(follower)
        assert leader.call("CONFIG", "SET", "acks", "quorum", timeout_s=60.0) == b"OK"
        for follower in followers:
            cluster.pause(follower)
        with leader.connect(60.0) as client:
            client.send("SET", "key", "by a quorum")
            assert leader.call("INFO", "server") is not None
            client.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.socket.recv(1)
            client.socket.settimeout(60.0)
            for follower in followers:
                cluster.resume(follower)
            assert client.read() == b"OK"
