"""What redis-benchmark can do and says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.contenders import Contender, Cores
from bench.load import TESTS, Load, LoadError, Outcome, parse, possible_tests, requests_for, run
from bench.parts import QUICK, Bench, one_run
from kvorum.testing.redis_server import RedisPrograms, RedisServer

HEAD = (
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms",'
    '"p95_latency_ms","p99_latency_ms","max_latency_ms"\n'
)
BY_NAME = {test.name: test for test in TESTS}


def test_the_line_of_the_test_is_found_among_others() -> None:
    printed = (
        HEAD
        + '"LPUSH (needed to benchmark LRANGE)","89285.71","0.289","0.120","0.287","0.391","0.431","0.895"\n'
        + '"LRANGE_100 (first 100 elements)","72727.27","0.357","0.184","0.351","0.391","0.471","1.591"\n'
    )
    assert parse(printed, BY_NAME["lrange_100"]) == Outcome(72727.27, 0.357, 0.351, 0.471)


def test_a_run_that_printed_nothing_is_an_error() -> None:
    with pytest.raises(LoadError, match="nothing for get"):
        parse(HEAD, BY_NAME["get"])


def test_only_tests_whose_commands_exist_are_possible() -> None:
    names = [test.name for test in possible_tests({"ping", "lpop"}.__contains__)]
    assert names == ["ping_inline", "ping_mbulk"]
    assert [test.name for test in possible_tests(lambda _: True, {"get", "set"})] == ["set", "get"]


@pytest.mark.parametrize("multiple", [1, 16, 64])
def test_requests_are_whole_batches_and_never_too_few(multiple: int) -> None:
    assert requests_for(0.0, 1.0, multiple) >= 10_000
    assert requests_for(1_000_000.0, 1.0, multiple) % multiple == 0


@pytest.fixture(scope="module")
def target(any_redis_programs: RedisPrograms) -> Iterator[Contender]:
    with Contender("redis", RedisServer(programs=any_redis_programs)) as server:
        yield server


@pytest.mark.parametrize("name", BY_NAME)
def test_redis_benchmark_runs_every_test(name: str, target: Contender, redis_benchmark: str) -> None:
    outcome = run(Path(redis_benchmark), target, BY_NAME[name], Load(clients=2, pipeline=4), requests=40)
    assert outcome.requests_per_s > 0
    assert 0 <= outcome.client_busy < 1.5


@pytest.mark.parametrize("keys", [None, 5])
def test_get_finds_what_it_asks_for(keys: int | None, target: Contender, any_redis_programs: RedisPrograms) -> None:
    with ExitStack() as stack:
        bench = Bench(QUICK, Cores(None, None), any_redis_programs, lambda _: (target, target), print)
        stack.callback(target.call, "FLUSHALL")
        target.call("CONFIG", "RESETSTAT")
        one_run(bench, target, BY_NAME["get"], Load(clients=2, pipeline=4, keys=keys), requests=400, flush=True)
        told = target.call("INFO", "stats")
    assert isinstance(told, bytes)
    assert b"keyspace_hits:400\r\n" in told
    assert b"keyspace_misses:0\r\n" in told


class Gone:
    """A server that has ended."""

    port = 1
    alive = False


def test_a_server_that_has_ended_is_noticed(redis_benchmark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.load.WATCH_PERIOD_S", 0.05)
    with pytest.raises(LoadError, match="the server on port 1 ended during get"):
        run(Path(redis_benchmark), Gone(), BY_NAME["get"], Load(), requests=10)
