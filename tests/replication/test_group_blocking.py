"""Clients that wait for a key at a leader that is one no longer."""

from __future__ import annotations

import pytest

from kvorum.testing.cluster import Cluster
from kvorum.testing.connection import ReplyError

pytestmark = pytest.mark.timeout(120)


def test_who_waits_at_the_leader_is_told_when_another_one_leads() -> None:
    with Cluster(3) as cluster:
        leader = cluster.wait_leader()
        with leader.connect(60.0) as client:
            client.send("BLPOP", "list", 0)
            while leader.info("clients")["blocked_clients"] != "1":
                pass
            leader.call("FAILOVER")
            with pytest.raises(ReplyError, match=r"^UNBLOCKED force unblock"):
                client.read()
            # It is served by the new leader, through this member, when it asks again.
            client.send("BLPOP", "list", 0)
            other = next(node for node in cluster.nodes if node is not leader)
            assert other.call("RPUSH", "list", "value", timeout_s=60.0) == 1
            assert client.read() == [b"list", b"value"]


def test_nobody_is_told_that_there_was_nothing_before_a_quorum_confirms_the_leader() -> None:
    with Cluster(3, "--raft-election-ms", "20000") as cluster:
        leader = cluster.wait_leader()
        followers = [node for node in cluster.nodes if node is not leader]
        with leader.connect(60.0) as client:
            for follower in followers:
                cluster.pause(follower)
            client.send("BLPOP", "list", "0.01")
            while (
                "cmdstat_blpop" not in leader.info("commandstats") or leader.info("clients")["blocked_clients"] != "0"
            ):
                pass
            for _ in range(100):  # turns in which the reply would leave
                leader.info("clients")
            client.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.socket.recv(1)
            client.socket.settimeout(60.0)
            for follower in followers:
                cluster.resume(follower)
            assert client.read() is None
