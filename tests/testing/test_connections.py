"""The least client, and ports that are kept for servers."""

from __future__ import annotations

import socket

import pytest

from kvorum.testing.cluster import HOST, Cluster, PortsKept
from kvorum.testing.connection import Connection, ReplyError, fields_of
from kvorum.testing.kvorum_server import KvorumServer


def test_a_kept_port_can_be_listened_on_again_and_again() -> None:
    ports = PortsKept(HOST)
    port = ports.keep()
    for _ in range(2):
        with socket.create_server((HOST, port)), socket.create_connection((HOST, port)):
            pass
    ports.close()


def test_nobody_is_given_a_kept_port() -> None:
    ports = PortsKept(HOST)
    kept = {ports.keep() for _ in range(50)}
    others = PortsKept(HOST)
    assert not kept & {others.keep() for _ in range(500)}
    others.close()
    ports.close()


def test_replies_of_all_kinds_are_read(kvorum_server: KvorumServer) -> None:
    with Connection(kvorum_server.host, kvorum_server.port) as connection:
        assert connection.call("FLUSHALL") == b"OK"
        assert connection.call("GET", "key") is None
        assert connection.call("RPUSH", b"list", 1, "two\r\n") == 2
        assert connection.call("LRANGE", "list", 0, -1) == [b"1", b"two\r\n"]
        with pytest.raises(ReplyError) as caught:
            connection.call("GET", "list")
        assert caught.value.prefix == "WRONGTYPE"
        connection.call("MULTI")
        connection.call("LLEN", "list")
        connection.call("GET", "list")
        replies = connection.call("EXEC")
        assert isinstance(replies, list)
        assert replies[0] == 2
        assert isinstance(replies[1], ReplyError)
        assert fields_of(connection.call("INFO", "server"))["tcp_port"] == str(kvorum_server.port)


def test_a_server_that_goes_away_is_an_error_of_the_system(kvorum_server: KvorumServer) -> None:
    with Connection(kvorum_server.host, kvorum_server.port) as connection:
        connection.call("QUIT")
        with pytest.raises(OSError):
            connection.call("PING")


def test_a_direct_network_cannot_be_broken() -> None:
    cluster = Cluster(2)
    with pytest.raises(RuntimeError, match="nothing can be blocked"):
        cluster.partition(cluster.nodes[0])
    cluster.close()
    assert not cluster.directory.exists()
