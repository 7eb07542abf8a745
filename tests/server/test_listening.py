"""CONFIG SET port and bind: clients connect elsewhere, those that are connected stay."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kvorum import AsyncServer
from kvorum.errors import CommandError
from kvorum.testing.process import free_port
from tests.server.conftest import Start

Connect = Callable[..., redis.Redis]

PORT_REFUSED = "'port'.*Unable to listen on this port. Check server logs."
BIND_REFUSED = "'bind'.*Failed to bind to specified addresses."


def answers(host: str, port: int) -> bool:
    """Whether a kvorum server can be reached there."""
    try:
        with redis.Redis(host=host, port=port, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def quiet_port() -> int:
    """A port that is free on every address, outside the range from which clients get theirs: a client's socket on one of
    them would keep a server from having them all."""
    for port in range(20000 + os.getpid() % 5000, 30000):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def test_a_new_port_is_listened_on_at_once(start: Start, connect: Connect) -> None:
    server = start()
    client = connect(server, single_connection_client=True)
    before = client.client_id()
    port = free_port()
    assert client.config_set("port", port)
    assert answers("127.0.0.1", port)
    assert not answers("127.0.0.1", server.port)
    assert client.client_id() == before
    assert client.info("server")["tcp_port"] == port
    assert client.config_set("port", server.port)
    assert answers("127.0.0.1", server.port)
    assert not answers("127.0.0.1", port)


def test_a_taken_port_changes_nothing(start: Start, connect: Connect) -> None:
    server = start()
    client = connect(server)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(redis.ResponseError, match=PORT_REFUSED):
            client.config_set("port", taken.getsockname()[1], "maxclients", 77)
    assert client.config_get("port", "maxclients") == {"port": "0", "maxclients": "10000"}
    assert answers("127.0.0.1", server.port)
    assert "Address already in use" in server.process.output


def test_other_addresses_on_the_same_port(start: Start, connect: Connect) -> None:
    server = start("--port", str(quiet_port()))
    client = connect(server)
    assert client.config_set("bind", "*")
    assert answers("127.0.0.2", server.port)
    assert client.config_set("bind", "127.0.0.2 127.0.0.3")
    assert [host for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3") if answers(host, server.port)] == [
        "127.0.0.2", "127.0.0.3",
    ]  # fmt: skip
    assert client.ping()


def test_addresses_that_cannot_be_had_change_nothing(start: Start, connect: Connect) -> None:
    server = start()
    client = connect(server)
    with pytest.raises(redis.ResponseError, match=BIND_REFUSED):
        client.config_set("bind", "127.0.0.1 192.0.2.1")  # 192.0.2.0/24 is nobody's, it is for documentation
    assert client.config_get("bind") == {"bind": "127.0.0.1"}
    assert answers("127.0.0.1", server.port)


def test_no_address_leaves_the_unix_socket(start: Start, connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "kvorum.sock"
    server = start("--unixsocket", str(path))
    with redis.Redis(unix_socket_path=str(path)) as local:
        assert local.config_set("bind", "")
        assert not answers("127.0.0.1", server.port)
        with redis.Redis(unix_socket_path=str(path)) as newcomer:
            assert newcomer.ping()
        assert local.config_set("bind", "127.0.0.1")
        assert answers("127.0.0.1", local.info("server")["tcp_port"])


def test_a_refusal_elsewhere_takes_the_port_back() -> None:
    async def scenario() -> None:
        async with AsyncServer() as server:
            port = server.port
            with socket.create_server(("127.0.0.1", 0)) as taken:
                pairs = [(b"port", str(taken.getsockname()[1]).encode())]
                with pytest.raises(CommandError):
                    server.config.set(pairs)
            assert server.port == port
            server.config.set([(b"port", str(free_port()).encode())])
            assert server.port != port
            server.config.reset()
            assert server.config.port == 0

    asyncio.run(scenario())
