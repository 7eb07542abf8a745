"""Filling a server, and watching it meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.contenders import Contender, cpu_ns, cpu_ticks, rss_bytes, settled
from bench.loader import Latencies, Probe, batches, fill
from bench.resp import ReplyError, request
from kvorum.testing.redis_server import RedisPrograms, RedisServer


@pytest.fixture
def redis_contender(any_redis_programs: RedisPrograms) -> Contender:
    return Contender("redis", RedisServer(programs=any_redis_programs))


def test_batches_cover_every_key_once() -> None:
    counts, data = zip(*batches(10, 4), strict=True)
    assert counts == (4, 4, 2)
    whole = b"".join(data)
    assert whole.startswith(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$32\r\n")
    assert all(whole.count(b"key:%012d" % key) == 1 for key in range(10))


def test_requests_are_resp() -> None:
    assert request("GET", b"\x00\xff") == b"*2\r\n$3\r\nGET\r\n$2\r\n\x00\xff\r\n"


def test_a_filled_server_has_the_keys_that_redis_benchmark_asks_for(redis_contender: Contender) -> None:
    with redis_contender as server:
        with Probe(server, core=None) as probe:
            fill(server, 1001, batch=16)
        fill(server, 3, database=1)
        assert server.call("DBSIZE") == 1001
        assert server.call("STRLEN", "key:000000001000") == 32
        assert probe.latencies is not None
        assert 0 < probe.latencies.p50_ms <= probe.latencies.max_ms
        assert server.has_command("get")
        assert not server.has_command("nonsense")
        assert server.cpu_ns() > 0
        assert server.settled_rss_bytes() > 1_000_000


def test_an_error_while_filling_is_not_swallowed(redis_contender: Contender) -> None:
    with redis_contender as server:
        server.call("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(ReplyError, match="OOM"):
            fill(server, 100)


def test_both_ways_of_reading_cpu_time_agree(redis_server: RedisServer) -> None:
    ticks_ns = cpu_ticks(redis_server.pid) * 10_000_000
    assert abs(cpu_ns(redis_server.pid) - ticks_ns) < 5_000_000_000
    assert rss_bytes(redis_server.pid) > 1_000_000


def test_memory_is_read_until_it_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contenders.SETTLE_STEP_S", 0)
    readings = iter([1000, 5000, 9000, 9001])
    read: Callable[[], int] = lambda: next(readings)  # noqa: E731
    assert settled(read) == 9001


def test_percentiles_of_latencies() -> None:
    assert Latencies.of([float(value) for value in range(1, 1001)]) == Latencies(1000, 500.0, 990.0, 999.0, 1000.0)
