"""The part on data types, with the least sizes; redis-server stands for both servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench import types
from bench.__main__ import arguments_from, plan_from
from bench.contenders import Contender, Cores
from bench.loader import Audience, send_all
from bench.parts import QUICK, Bench, one_run
from bench.resp import ReplyError, request
from kvorum.testing.redis_server import RedisPrograms, RedisServer

TINY = dataclasses.replace(QUICK, rounds=1, seconds=0.01, collections=100, subscribers=3)
OWN = {test.name: (test, load) for test, load in types.OWN_TESTS}


@pytest.fixture(scope="module")
def target(any_redis_programs: RedisPrograms) -> Iterator[Contender]:
    with Contender("redis", RedisServer(programs=any_redis_programs)) as server:
        yield server


@pytest.fixture
def bench(target: Contender, any_redis_programs: RedisPrograms) -> Bench:
    def start(stack: ExitStack) -> tuple[Contender, Contender]:
        target.call("FLUSHALL")
        return target, stack.enter_context(Contender("other", RedisServer(programs=any_redis_programs)))

    return Bench(TINY, Cores(None, None), any_redis_programs, start, lambda _: None)


@pytest.mark.parametrize("name", OWN)
def test_every_command_line_finds_what_it_asks_for(name: str, bench: Bench, target: Contender) -> None:
    test, load = OWN[name]
    target.call("CONFIG", "RESETSTAT")
    outcome, cpu_us = one_run(bench, target, test, dataclasses.replace(load, clients=2), 32, flush=True)
    assert outcome.requests_per_s > 0
    assert cpu_us > 0
    told = target.call("INFO", "stats", "errorstats")
    assert isinstance(told, bytes)
    assert b"errorstat_" not in told
    assert b"keyspace_misses:0\r\n" in told


def test_what_is_prepared(target: Contender) -> None:
    target.call("FLUSHALL")
    for requests in (types.sorted_set, types.hash_of_fields, types.two_sets):
        send_all(target, requests())
    assert target.call("ZSCORE", "scores", "member:000000000099") == b"99"
    assert [target.call(command, key) for command, key in (("ZCARD", "scores"), ("HLEN", "hash"), ("SCARD", "one"))] == [
        types.SORTED_SET_MEMBERS, 100, types.SET_MEMBERS
    ]  # fmt: skip
    assert target.call("SINTERCARD", "2", "one", "other") == types.SET_MEMBERS // 2


def test_an_error_while_preparing_is_not_overlooked(target: Contender) -> None:
    target.call("SET", "text", "x")
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        send_all(target, iter([request("LPUSH", "text", "y")]))


def test_jobs_go_to_blocked_clients(bench: Bench, target: Contender) -> None:
    done = types.hand_over(bench, target, 400)
    assert done.per_s > 0
    assert done.cpu_us > 0
    assert target.call("EXISTS", "jobs") == 0
    assert types.mean_handover_us(target, 0.01) > 0


def test_subscribers_hear_what_is_published(target: Contender) -> None:
    with Audience(target, 3, None):
        assert target.call("PUBLISH", "channel", "message") == 3


def test_the_whole_part(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = ("lpop", "zadd_random", types.HANDOVER, types.HANDOVER_ONE, types.PUBLISH)
    monkeypatch.setattr(types, "TYPE_TESTS", chosen)
    monkeypatch.setattr(Contender, "settled_rss_bytes", lambda _: 1 << 20)
    figures = {figure.name: figure for figure in types.types(bench)}
    assert list(figures) == [
        "lpop P16", "zadd_random P16", "blpop_handover", "blpop_one_by_one", "publish_100 P16",
        *types.COLLECTIONS,
    ]  # fmt: skip
    assert all(figure.reference is not None for figure in figures.values())
    client = figures["blpop_handover"].client
    assert client is not None
    assert client.capacity is not None


@pytest.mark.parametrize("name", types.COLLECTIONS)
def test_collections_have_the_size_that_is_said(name: str, target: Contender) -> None:
    target.call("FLUSHALL")
    send_all(target, iter([types.COLLECTIONS[name]("key:000000000000")]))
    count = next(int(word) for word in name.split() if word.isdigit())
    kind = target.call("TYPE", "key:000000000000")
    command = {b"hash": "HLEN", b"set": "SCARD", b"zset": "ZCARD", b"list": "LLEN"}[kind]  # type: ignore[index]
    assert target.call(command, "key:000000000000") == count
    encoding = target.call("OBJECT", "ENCODING", "key:000000000000")
    assert encoding in (b"listpack", b"intset", b"quicklist")


def test_tests_are_chosen_by_name() -> None:
    plan = plan_from(arguments_from(["--tests", "get,lpush,sinter_10000"]))
    assert sorted(plan.tests) == ["get", "lpush"]
    assert sorted(plan.type_tests or ()) == ["lpush", "sinter_10000"]
