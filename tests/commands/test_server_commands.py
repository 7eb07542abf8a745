"""FLUSHALL, FLUSHDB, SWAPDB, DBSIZE, TIME, ROLE, LASTSAVE, LOLWUT, SHUTDOWN, beside redis-server."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.commands.observation import Pair
from tests.differential.wire import Wire


@pytest.mark.parametrize("mode", ["", " async", " SYNC"])
def test_flushing(pair: Pair, mode: str) -> None:
    for line in (
        "set a 1", "select 3", "set b 1 ex 100", "dbsize", f"flushdb{mode}", "dbsize", "select 0", "dbsize",
        "select 3", "set b 1", f"flushall{mode}", "dbsize", "select 0", "dbsize", f"flushall{mode}", f"flushdb{mode}",
    ):  # fmt: skip
        pair.ask(line)


@pytest.mark.parametrize("wrong", ["flushall now", "flushall async sync", "flushdb x", "flushdb sync sync", "dbsize 1"])
def test_wrong_flushing(pair: Pair, wrong: str) -> None:
    assert pair.ask(wrong).is_error


def test_swapping_databases(pair: Pair) -> None:
    for line in (
        "set a zero ex 100", "select 1", "set a one", "set b one", "swapdb 0 1", "get a", "dbsize", "select 0", "get a",
        "ttl a", "dbsize", "swapdb 5 5", "swapdb 0 16", "swapdb -1 0", "swapdb x 0", "swapdb 0 y", "swapdb 99 y",
        "swapdb 4294967296 0", "swapdb 1", "swapdb 0 1 2",
    ):  # fmt: skip
        pair.ask(line)


def test_swapping_is_seen_by_a_client_of_the_other_database(debuggable_server: KvorumServer, pair: Pair) -> None:
    pair.ask("set key value")
    with Wire(debuggable_server.host, debuggable_server.port) as other:
        other.ask(b"SELECT", b"9")
        pair.ask("swapdb 0 9")
        assert other.ask(b"GET", b"key").value == b"value"


def test_time_and_last_save(pair: Pair) -> None:
    ours, _ = pair.same_shape("time")
    seconds, microseconds = (int(item.value or b"") for item in ours.items)
    assert abs(seconds + microseconds / 1_000_000 - time.time()) < 5
    assert 0 <= microseconds < 1_000_000
    started, _ = pair.same_shape("lastsave")
    assert 0 < (started.integer or 0) <= seconds


def test_time_goes_on(pair: Pair) -> None:
    readings = [tuple(int(item.value or b"") for item in pair.kvorum.ask(b"TIME").items) for _ in range(200)]
    assert readings == sorted(readings)


def test_role(pair: Pair) -> None:
    pair.ask("role")
    pair.ask("role x")


def test_lolwut_ends_with_the_version(pair: Pair) -> None:
    for line in ("lolwut", "lolwut version 7", "lolwut version 5 40 2", "lolwut x", "lolwut 99999999 -1"):
        ours, _ = pair.same_shape(line)
        assert (ours.value or b"").endswith(b"Redis ver. 7.0.15\n")
    pair.ask("lolwut version x")


@pytest.mark.parametrize(
    "wrong",
    ["shutdown abort", "shutdown nosave save", "shutdown abort now", "shutdown abort nosave", "shutdown what"],
)
def test_shutdown_refused(pair: Pair, wrong: str) -> None:
    assert pair.ask(wrong).is_error


@pytest.mark.parametrize("line", [b"SHUTDOWN", b"SHUTDOWN NOSAVE NOW FORCE", b"shutdown save force"])
def test_shutdown(start_kvorum: Callable[..., KvorumServer], line: bytes) -> None:
    server = start_kvorum()
    with Wire(server.host, server.port) as wire:
        with pytest.raises(ConnectionError):
            wire.ask_all([line.split(), (b"PING",)])
        server.process.wait()
    assert server.process.returncode == 0
