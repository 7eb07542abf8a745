"""A server inside a Python program: ``kvorum.Server`` and ``kvorum.AsyncServer``."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import redis
import redis.asyncio

import kvorum
from kvorum.errors import StartupError
from kvorum.net.selector import ReactorLoop
from kvorum.testing.process import free_port


def test_a_free_port_on_loopback_is_the_default() -> None:
    with kvorum.Server() as server:
        assert server.host == "127.0.0.1"
        assert server.port > 0
        with redis.Redis(port=server.port) as client:
            assert client.set("key", "value")
            assert client.get("key") == b"value"


def test_two_servers_are_independent() -> None:
    with kvorum.Server() as one, kvorum.Server(maxmemory="10mb") as two:
        assert one.port != two.port
        with redis.Redis(port=one.port) as first, redis.Redis(port=two.port) as second:
            first.set("key", "first")
            second.set("key", "second")
            first.config_set("maxmemory-samples", 7)
            assert first.get("key") == b"first"
            assert second.get("key") == b"second"
            assert second.config_get("maxmemory-samples") == {"maxmemory-samples": "5"}
            assert second.config_get("maxmemory") == {"maxmemory": str(10 * 1024 * 1024)}
            assert second.info("commandstats")["cmdstat_get"]["calls"] == 1


def test_closing_twice_is_harmless_and_frees_the_port() -> None:
    server = kvorum.Server().start()
    server.close()
    server.close()
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_closing_a_server_that_never_started_is_harmless() -> None:
    kvorum.Server().close()


def test_shutdown_by_a_client_and_then_close() -> None:
    server = kvorum.Server().start()
    with redis.Redis(port=server.port) as client:
        client.shutdown(nosave=True)
    server.close()


def test_a_taken_port_is_reported_to_the_caller() -> None:
    with kvorum.Server() as server, pytest.raises(StartupError, match=str(server.port)):
        kvorum.Server(port=server.port).start()


def test_an_unknown_option_is_reported_by_name() -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        kvorum.Server(no_such_option=1).start()


def test_async_server_lives_in_the_running_loop() -> None:
    async def scenario() -> None:
        async with kvorum.AsyncServer() as server:
            async with redis.asyncio.Redis(port=server.port) as client:
                async with client.pipeline(transaction=False) as pipeline:
                    for number in range(1000):
                        pipeline.incrby("total", number)
                    replies = await pipeline.execute()
                assert replies[-1] == sum(range(1000))
        await server.close()

    asyncio.run(scenario())


def test_async_server_can_be_started_after_another_has_been_closed() -> None:
    async def scenario() -> int:
        async with kvorum.AsyncServer() as first:
            port = first.port
        async with kvorum.AsyncServer(port=port) as second:
            async with redis.asyncio.Redis(port=second.port) as client:
                await client.set("key", "value")
            return second.port - port

    assert asyncio.run(scenario()) == 0


def test_effects_of_a_turn_are_one_batch_with_a_position() -> None:
    async def scenario() -> None:
        async with kvorum.AsyncServer() as server:
            batches: list[bytes] = []
            effects = server.context.effects
            effects.sinks.append(batches.append)
            async with redis.asyncio.Redis(port=server.port) as client:
                await client.set("key", "value")
                await client.get("key")
                await client.set("key", "value", px=100_000, xx=True, get=True)
            assert batches[0] == b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"
            assert len(batches) == 2, "reading has no effect"
            assert b"$4\r\nPXAT\r\n" in batches[1]
            assert b"GET" not in batches[1]
            assert effects.position == sum(map(len, batches))

    asyncio.run(scenario())


def test_a_start_that_fails_gives_its_port_back(tmp_path: Path) -> None:
    taken = tmp_path / "kvorum.sock"
    taken.write_text("somebody's file")
    port = free_port()
    with pytest.raises(StartupError, match=r"kvorum.sock"):
        kvorum.Server(port=port, unixsocket=taken).start()
    with kvorum.Server(port=port) as server:
        assert server.port == port


def test_a_start_that_fails_closes_its_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        with kvorum.Server() as other:
            server = kvorum.AsyncServer(port=other.port, logfile=str(tmp_path / "log"))
            with pytest.raises(StartupError):
                await server.start()
        before = (tmp_path / "log").read_text()
        server.context.log.warning("too late")
        assert (tmp_path / "log").read_text() == before

    asyncio.run(scenario())


def test_where_more_has_expired_than_one_run_deletes_the_next_comes_sooner() -> None:
    async def scenario() -> None:
        async with kvorum.AsyncServer(hz=1) as server:
            database = server.context.keyspace.databases[0]
            for number in range(100_000):
                database.set_string(b"key:%d" % number, b"value", expire_ms=1)
            while len(database):
                await asyncio.sleep(0.01)
            assert server.context.statistics.count("expired_time_cap_reached_count") > 0

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_info_tells_how_many_clients_fit() -> None:
    with kvorum.Server(maxclients=2_000_000_000) as server, redis.Redis(port=server.port) as client:
        assert client.info("clients")["maxclients"] == server.server.reactor.max_clients < 2_000_000_000
        assert client.info("server")["multiplexing_api"] in ("epoll", "asyncio")


def test_two_servers_in_one_loop_of_our_own() -> None:
    async def scenario() -> None:
        async with kvorum.AsyncServer() as one, kvorum.AsyncServer() as two:
            for server in (one, two, one):
                async with redis.asyncio.Redis(port=server.port) as client:
                    assert await client.incr("count") in (1, 2)

    with asyncio.Runner(loop_factory=ReactorLoop) as runner:
        runner.run(scenario())
