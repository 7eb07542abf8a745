"""MONITOR on a running server, beside redis-server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.observation import Pair
from tests.differential.wire import Wire

LINE = re.compile(rb"(\d+)\.(\d{6}) \[(\d+) ([^\]]+|\[[^\]]+\]:\d+)\] (.*)", re.DOTALL)


@pytest.fixture
def monitors(debuggable_server: KvorumServer, redis_server: RedisServer, pair: Pair) -> Iterator[tuple[Wire, Wire]]:
    """A monitor of each server, kvorum's first."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(one.host, one.port)) for one in (debuggable_server, redis_server)]
        for wire in wires:
            assert wire.ask(b"MONITOR").value == b"OK"
        yield wires[0], wires[1]


def shown(monitor: Wire) -> tuple[bytes, bytes]:
    """Database and command of the next line, whose other parts make sense."""
    reply = monitor.read()
    assert reply.kind == b"+"
    found = LINE.fullmatch(reply.value or b"")
    assert found is not None, reply
    assert abs(int(found[1]) - time.time()) < 5
    assert found[4].startswith(b"127.0.0.1:")
    return found[3], found[5]


COMMANDS: list[tuple[bytes, ...]] = [
    (b"SET", b"key", b"value"), (b"select", b"3"), (b"GeT", b'quo"te\\'), (b"SET", b"\x00\xff\r\n\t\a\b", b""),
    (b"GET",), (b"INCR", b"key"), (b"CONFIG", b"GET", b"maxmemory"), (b"ECHO", b"e" * 1000), (b"nonsense",),
    (b"AUTH", b"secret"), (b"AUTH", b"default", b"secret"), (b"HELLO", b"2", b"AUTH", b"default", b"secret"),
    (b"SLOWLOG", b"GET"), (b"DEBUG", b"SLEEP", b"0"), (b"CLIENT", b"SETNAME", b"me"), (b"SWAPDB", b"0", b"1"),
    (b"FLUSHALL",), (b"PING",),
]  # fmt: skip


def test_what_is_shown(pair: Pair, monitors: tuple[Wire, Wire]) -> None:
    for words in COMMANDS:
        pair.kvorum.ask(*words)
        pair.redis.ask(*words)
    while True:
        ours, theirs = (shown(monitor) for monitor in monitors)
        assert ours == theirs
        if ours[1] == b'"PING"':
            break


def test_a_monitor_may_also_ask(pair: Pair, monitors: tuple[Wire, Wire]) -> None:
    for monitor in monitors:
        assert monitor.ask(b"ECHO", b"x").value == b"x"
        assert shown(monitor) == (b"0", b'"ECHO" "x"')


def test_asking_twice_is_not_answered(pair: Pair, monitors: tuple[Wire, Wire]) -> None:
    for monitor in monitors:
        monitor.send(b"MONITOR")
        assert monitor.ask(b"PING").value == b"PONG"


def test_reset_ends_it(pair: Pair, monitors: tuple[Wire, Wire]) -> None:
    for monitor in monitors:
        assert monitor.ask(b"RESET").value == b"RESET"
    pair.ask("ping")
    for monitor in monitors:
        assert monitor.ask(b"ECHO", b"x").value == b"x"


def test_many_monitors_come_and_go(pair: Pair, debuggable_server: KvorumServer) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(debuggable_server.host, debuggable_server.port)) for _ in range(20)]
        for wire in wires:
            wire.ask(b"MONITOR")
        for wire in wires[::2]:
            wire.close()
        pair.ask("set a 1")
        for wire in wires[1::2]:
            assert shown(wire)[1] == b'"set" "a" "1"'
    pair.ask("get a")


def test_on_a_unix_socket(start_kvorum: Callable[..., Any], connect: Any, tmp_path: Path) -> None:
    import redis

    path = tmp_path / "socket"
    server = start_kvorum("--unixsocket", str(path))
    with Wire(server.host, server.port) as monitor, redis.Redis(unix_socket_path=str(path)) as client:
        monitor.ask(b"MONITOR")
        client.echo("x")
        lines = [monitor.read().value or b"" for _ in range(1)]
        while b'"ECHO"' not in lines[-1]:
            lines.append(monitor.read().value or b"")
        assert b"[0 unix:" + str(path).encode() + b"]" in lines[-1]


def test_redis_py_reads_it(kvorum_server: KvorumServer, connect: Any) -> None:
    client = connect(kvorum_server)
    with client.monitor() as monitor:
        client.set("key", 'va"lue')
        while (command := monitor.next_command())["command"].split()[0] != "SET":
            pass
    assert command["command"] == 'SET key va"lue'
    assert command["db"] == 0
    assert command["client_type"] == "tcp"


def test_a_monitor_that_does_not_read_is_closed(start_kvorum: Callable[..., Any], connect: Any) -> None:
    server = start_kvorum("--client-output-buffer-limit", "normal 1mb 0 0")
    client = connect(server)
    with Wire(server.host, server.port) as monitor:
        monitor.ask(b"MONITOR")
        for _ in range(40):
            client.echo("x" * 500_000)
        assert len(client.client_list()) == 1
        assert client.ping()
