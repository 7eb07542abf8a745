"""The part on persistence, with the least sizes; redis-server stands for both servers where they are only measured."""

from __future__ import annotations

import dataclasses
import os
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bench import disk, persistence
from bench.__main__ import arguments_from, plan_from
from bench.clients import Clients, RoundTrips, Window
from bench.contenders import Contender, Cores, children, own_pss_bytes, pss_bytes
from bench.figures import Verdict
from bench.load import LoadError
from bench.loader import Latencies, fill
from bench.parts import QUICK, Bench
from bench.persistence import SNAPSHOTS, Seen, snapshot
from bench.report import TITLES
from bench.resp import ReplyError
from kvorum.testing.redis_server import RedisPrograms, RedisServer

KEYS = 300
TINY = dataclasses.replace(
    QUICK, rounds=1, seconds=0.01, memory_keys=KEYS, quiet_s=0.2, least_log_s=0.01, elements=8_000
)


@pytest.fixture
def bench(any_redis_programs: RedisPrograms) -> Bench:
    return Bench(TINY, Cores(None, None), any_redis_programs, cast(Any, None), lambda _: None, control=True)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "WARM_UP_S", 0.05)
    monkeypatch.setattr(persistence, "POLL_S", 0.005)
    monkeypatch.setattr(persistence, "requests_for", lambda *_: 800)
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture(scope="module")
def target(any_redis_programs: RedisPrograms) -> Iterator[Contender]:
    with Contender("redis", RedisServer(programs=any_redis_programs)) as server:
        fill(server, KEYS)
        yield server


# The clients


@pytest.mark.parametrize("rate", [0, 2_000])
def test_the_clients_ask_and_note_each_round_trip(target: Contender, rate: float) -> None:
    target.call("CONFIG", "RESETSTAT")
    begun_ns = time.monotonic_ns()
    with Clients(target, None, KEYS, rate, clients=5) as clients, target.connect() as connection:
        while asked(connection.call("INFO", "commandstats")) < 200:
            pass
    told = clients.round_trips
    assert len(told.ended_ns) == len(told.taken_ns) >= 200
    assert list(told.ended_ns) == sorted(told.ended_ns)
    assert begun_ns < told.ended_ns[0]
    assert told.ended_ns[-1] < time.monotonic_ns()
    assert min(told.taken_ns) > 0


def asked(told: object) -> int:
    """How often the least frequent of GET and SET was called; 0 while one of them was not."""
    assert isinstance(told, bytes)
    lines = [
        line.partition(b"calls=")[2] for line in told.splitlines() if line.startswith((b"cmdstat_get", b"cmdstat_set"))
    ]
    return min(int(line.split(b",")[0]) for line in lines) if len(lines) == 2 else 0


def test_at_a_rate_a_pause_of_the_server_delays_all_that_was_due(target: Contender) -> None:
    target.call("CONFIG", "RESETSTAT")
    with Clients(target, None, KEYS, 1_000, clients=2) as clients, target.connect() as connection:
        connection.call("CLIENT", "PAUSE", "200")
        connection.call("PING")
        while asked(connection.call("INFO", "commandstats")) < 150:
            pass
    # One in a thousandth of a second falls due, though only two can be on their way.
    delayed = [taken for taken in clients.round_trips.taken_ns if taken > 50_000_000]
    assert len(delayed) > 50


def test_a_reply_that_was_not_expected_ends_the_clients(any_redis_programs: RedisPrograms) -> None:
    with Contender("redis", RedisServer("--requirepass", "x", programs=any_redis_programs)) as server:
        clients = Clients(server, None, KEYS, clients=1)
        clients.__enter__()
        clients._process.wait()
        with pytest.raises(LoadError, match="ended early"):
            clients.__exit__(None, None, None)


def test_only_round_trips_that_ended_in_a_window_count() -> None:
    told = RoundTrips(array("q", [10, 20, 30, 40, 50]), array("q", [5_000_000, 4_000_000, 3_000_000, 2_000_000, 1]))
    assert told.sorted_ms([Window(20, 40)]) == [3.0, 4.0]
    assert told.sorted_ms([Window(0, 11), Window(35, 45)]) == [2.0, 5.0]
    assert told.sorted_ms([Window(41, 50)]) == []


# The disk and the memory


def test_the_disk_is_tried_where_the_servers_write() -> None:
    before = disk.flushes()
    times = disk.sync_times(writes=5)
    assert 0 < times.p50_ms <= times.p99_ms <= times.max_ms
    after = disk.flushes()
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert after >= before


@pytest.fixture
def slow_to_save(any_redis_programs: RedisPrograms) -> Iterator[Contender]:
    with Contender("redis", RedisServer(programs=any_redis_programs)) as server:
        fill(server, KEYS)
        server.call("CONFIG", "SET", "rdb-key-save-delay", "1000")  # microseconds for each key
        yield server


def test_the_memory_of_a_child_counts(slow_to_save: Contender) -> None:
    pid = slow_to_save.pid
    alone = pss_bytes(pid)
    slow_to_save.call("CONFIG", "SET", "rdb-key-save-delay", "1000000")
    slow_to_save.call("BGSAVE")
    (child,) = children(pid)
    assert own_pss_bytes(pid) < alone
    assert slow_to_save.pss_bytes() > own_pss_bytes(pid) > 0
    assert own_pss_bytes(child) > 0


def test_what_has_ended_takes_no_memory(slow_to_save: Contender) -> None:
    assert own_pss_bytes(2**22 + 1) == 0
    assert children(slow_to_save.pid) == []


# Snapshots


def test_a_snapshot_lasts_until_it_is_written(slow_to_save: Contender) -> None:
    seen: list[dict[str, str]] = []
    with slow_to_save.connect() as connection:
        window = snapshot(connection, SNAPSHOTS["bgsave"], lambda: seen.append(persistence.information(connection)))
        after = persistence.information(connection)
    assert window.seconds > KEYS * 0.001
    assert seen[0]["rdb_bgsave_in_progress"] == "1"
    assert after["rdb_bgsave_in_progress"] == "0"


def test_a_snapshot_that_failed_measures_nothing(slow_to_save: Contender) -> None:
    slow_to_save.directory.rmdir()
    with slow_to_save.connect() as connection, pytest.raises(RuntimeError, match="BGSAVE ended with err"):
        snapshot(connection, SNAPSHOTS["bgsave"])


def test_a_snapshot_that_nobody_asked_for_is_noticed(slow_to_save: Contender) -> None:
    slow_to_save.call("BGSAVE")
    with slow_to_save.connect() as connection, pytest.raises(RuntimeError, match="nobody has asked for"):
        persistence.idle_until(connection, SNAPSHOTS["bgsave"], time.monotonic() + 10)


def test_round_trips_before_and_during_are_told_apart(bench: Bench, slow_to_save: Contender) -> None:
    seen = persistence.watch(bench, slow_to_save, SNAPSHOTS["bgsave"], 1_000)
    assert seen.before.count > 0
    assert seen.during.count > 0
    assert seen.seconds > KEYS * 0.001
    assert min(seen.before_per_s, seen.during_per_s) > 0


def test_clients_that_saw_nothing_are_an_error(
    bench: Bench, target: Contender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoundTrips, "sorted_ms", lambda _, windows: [1.0] if len(windows) > 1 else [])
    with pytest.raises(LoadError, match="no round trip ended before a BGSAVE in redis"):
        persistence.watch(bench, target, SNAPSHOTS["bgsave"], 1_000)


def test_the_goal_speaks_of_the_ratio_without_a_rate(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def watch(_bench: object, server: Contender, _kind: object, _rate: int) -> Seen:
        factor = 1.4 if server.name == "one" else 2.0
        times = Latencies(9, 0.5, 1.0, 2.0, 3.0)
        return Seen(times, dataclasses.replace(times, p99_ms=factor), 100.0, 50.0, 4.0)

    monkeypatch.setattr(persistence, "watch", watch)
    servers = [cast(Contender, Named(name)) for name in ("one", "other")]
    first, *others = persistence.latency(bench, servers, "bgsave", 0)
    assert (first.name, first.subject.median, first.verdict) == ("bgsave: p99 during over before", 1.4, Verdict.REACHED)
    assert next(persistence.latency(bench, servers[::-1], "bgsave", 0)).verdict is Verdict.MISSED
    assert [figure.verdict for figure in others] == [None] * len(others)
    assert next(persistence.latency(bench, servers, "bgsave", 100)).verdict is None
    told = {figure.name.partition(": ")[2]: figure.subject.median for figure in others}
    assert told["requests during over before"] == 0.5
    assert told["longest during"] == 3.0


class Named:
    """Stands for a server."""

    def __init__(self, name: str) -> None:
        self.name = name


# Loading


def test_loading_waits_until_everything_is_there(any_redis_programs: RedisPrograms) -> None:
    with Contender("redis", RedisServer(programs=any_redis_programs)) as server:
        fill(server, KEYS)
        server.call("SAVE")
        slow = (
            "--dir",
            str(server.directory),
            "--key-load-delay",
            "1000",
            "--loading-process-events-interval-bytes",
            "1024",
        )
        with Contender("redis", RedisServer(*slow, programs=any_redis_programs)) as other:
            persistence.wait_until_loaded(other, time.monotonic() + 10)
            assert other.call("DBSIZE") == KEYS


def test_a_server_that_does_not_get_ready_is_an_error() -> None:
    class Loading:
        def call(self, _command: str) -> object:
            raise ReplyError("LOADING the dataset")

    with pytest.raises(ReplyError, match="LOADING"):
        persistence.wait_until_loaded(cast(Contender, Loading()), time.monotonic())


def test_a_server_that_has_lost_keys_measures_nothing(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="has loaded 0 keys of 5"):
        persistence.load_once(bench, 1, tmp_path, persistence.SNAPSHOT_FILE, 5)


def test_what_loading_is_measured_with_has_the_size_that_is_said(bench: Bench, target: Contender) -> None:
    target.call("FLUSHALL")
    count = persistence.fill_collections(bench, target)
    with target.connect() as connection:
        keys = cast(list[bytes], connection.call("KEYS", "*"))
        kinds = {key: cast(bytes, connection.call("TYPE", key)) for key in keys}
        sizes = {b"hash": "HLEN", b"set": "SCARD", b"zset": "ZCARD", b"list": "LLEN"}
        assert sum(cast(int, connection.call(sizes[kind], key)) for key, kind in kinds.items()) == count
        packed = {connection.call("OBJECT", "ENCODING", key) for key in keys if key.startswith(b"small")}
        assert packed <= {b"listpack", b"intset", b"quicklist"}
        assert connection.call("OBJECT", "ENCODING", "big:ZADD:0") == b"skiplist"
    fill(target, KEYS)


# All of it


WRITERS = ("redis (control)", "redis")
GOALS = {
    "fsync_no": {},
    **{f"fsync_{p}": {f"set P{n}, appendfsync {p}": "≥ 1.1" for n in (1, 16)} for p in ("everysec", "always")},
    **{
        kind: {f"{kind}: p99 during over before": "≤ 1.5", f"{kind} at 10,000/s: peak memory over before": "≤ 1.15"}
        for kind in SNAPSHOTS
    },
    "load_rdb": {f"300 keys, RDB of {writer}": "≥ 0.7" for writer in WRITERS},
    "load_aof": {f"300 keys, log of commands of {writer}": "≥ 1" for writer in WRITERS},
    "load_collections": {},
}


@pytest.mark.parametrize("name", persistence.PERSISTENCE_TESTS)
def test_each_is_measured_and_has_its_goals(bench: Bench, name: str) -> None:
    bench.plan = dataclasses.replace(bench.plan, persistence_tests=frozenset([name]))
    figures = list(persistence.persistence(bench))
    names = [figure.name for figure in figures]
    assert len(set(names)) == len(names) > 0
    assert {figure.part for figure in figures} <= set(TITLES)
    assert {figure.name: str(figure.goal) for figure in figures if figure.goal is not None} == GOALS[name]
    assert all(figure.reference is not None and min(figure.subject.values) >= 0 for figure in figures)
    assert len(bench.notes) == (name == "fsync_always" or name in SNAPSHOTS)


def test_tests_are_chosen_by_name(bench: Bench) -> None:
    plan = plan_from(arguments_from(["--tests", "get,fsync_always,load_rdb"]))
    assert sorted(plan.persistence_tests or ()) == ["fsync_always", "load_rdb"]
    bench.plan = dataclasses.replace(bench.plan, persistence_tests=frozenset())
    assert list(persistence.persistence(bench)) == []
