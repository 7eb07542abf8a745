"""What the options say of a group: the way into it, the addresses of a server, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from kvorum.config import Config
from kvorum.errors import StartupError
from kvorum.replication.raft.settings import GroupSettings, Way


def settings(**options: Any) -> GroupSettings:
    return GroupSettings.of(Config.of(**options))


def test_a_server_that_is_told_nothing_stands_alone() -> None:
    assert settings().way is Way.NONE
    assert settings(standalone=True, peers=["127.0.0.1:1"]).way is Way.NONE


@pytest.mark.parametrize(
    ("options", "way"),
    [
        ({"peers": "127.0.0.1:1, 127.0.0.1:2"}, Way.STATIC),
        ({"raft_bootstrap": True}, Way.BOOTSTRAP),
        ({"raft_join": "localhost:1"}, Way.JOIN),
        ({"raft_join": "far.example:1", "cluster_secret": "s"}, Way.JOIN),
    ],
)
def test_the_way_into_a_group(options: dict[str, object], way: Way) -> None:
    assert settings(**options).way is way


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"peers": "localhost:1", "raft_bootstrap": True}, "peers and raft-bootstrap contradict"),
        ({"peers": "localhost:1", "raft_join": "localhost:1"}, "peers and raft-join contradict"),
        ({"raft_bootstrap": True, "raft_join": "localhost:1"}, "raft-bootstrap and raft-join contradict"),
        ({"raft_bootstrap": True, "appendonly": False}, "appendonly no"),
        ({"peers": "localhost:1", "raft_announce": "localhost:2"}, "not among them"),
        ({"raft_bootstrap": True, "raft_election_ms": 100, "raft_heartbeat_ms": 50}, "raft-election-ms 100"),
        ({"peers": "127.0.0.1:1 10.0.0.1:2"}, "10.0.0.1:2: members on other machines need a cluster-secret"),
        ({"raft_join": "[2001:db8::1]:2"}, "need a cluster-secret"),
    ],
)
def test_contradictions_are_named(options: dict[str, object], reason: str) -> None:
    with pytest.raises(StartupError, match=reason.replace("[", r"\[")):
        settings(**options)


@pytest.mark.parametrize(
    ("options", "found", "local_host", "peer", "client"),
    [
        # What is announced comes first, then where the server has found itself, then where it listens.
        ({"raft_announce": "a:1"}, "b:2", "10.0.0.9", "a:1", "a:1"),
        ({"raft_announce": "a:1", "announce": "c:3"}, "", "", "a:1", "c:3"),
        ({}, "b:2", "10.0.0.9", "b:2", "b:2"),
        ({"bind": "10.0.0.1"}, "", "10.0.0.9", "10.0.0.1:6379", "10.0.0.1:6379"),
        ({"bind": "* -::*"}, "", "10.0.0.9", "10.0.0.9:6379", "10.0.0.9:6379"),
        ({"bind": "*"}, "", "::1", "[::1]:6379", "[::1]:6379"),
        # Without a secret all members are on one machine; with one, the machine's name is the best guess.
        ({"bind": "*"}, "", "", "127.0.0.1:6379", "127.0.0.1:6379"),
        ({"bind": "*", "cluster_secret": "s"}, "", "", "machine:6379", "machine:6379"),
        # A port of its own for members.
        ({"raft_bind": "10.0.0.1:7000"}, "", "", "10.0.0.1:7000", "10.0.0.1:6379"),
        ({"raft_bind": "0.0.0.0:7000"}, "", "10.0.0.9", "10.0.0.9:7000", "10.0.0.9:6379"),
        ({"raft_bind": "0.0.0.0:7000"}, "b:7000", "", "b:7000", "b:6379"),
        ({"raft_bind": "0.0.0.0:7000", "announce": "c:3"}, "b:7000", "", "b:7000", "c:3"),
    ],
)
def test_addresses(options: dict[str, object], found: str, local_host: str, peer: str, client: str) -> None:
    of = settings(**options)
    address = of.peer_address(found, local_host, "machine", 6379)
    assert address == peer
    assert of.client_address(address, 6379) == client
