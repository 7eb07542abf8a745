"""What applications do with a Redis: queues, sessions, rate limiters, locks, leader boards, news, caches. With redis-py, in
both protocols.

redis-py's own ``Lock`` is not among them: it releases by a script.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

from kvorum.testing.kvorum_server import KvorumServer

WORKERS = 4


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WORKERS) as pool:
        yield pool


def until_blocked(client: Any, count: int) -> None:
    """Returns as soon as so many clients wait in a blocking command."""
    while client.info("clients")["blocked_clients"] != count:
        pass


def next_message(subscriber: Any) -> Any:
    """The next one that is no confirmation, without its type's name."""
    while True:
        message = subscriber.get_message(ignore_subscribe_messages=True, timeout=1)
        if message is not None:
            return message["channel"], message["data"]


class TestQueue:
    def test_workers_take_turns(self, client: Any, threads: ThreadPoolExecutor) -> None:
        """Each job is done once; who has waited longest gets the next one."""
        done = []
        for number in range(WORKERS):
            done.append(threads.submit(client.blpop, ["urgent", "jobs"], 0))
            until_blocked(client, number + 1)
        client.rpush("jobs", *range(WORKERS + 1))
        assert [tuple(future.result()) for future in done] == [(b"jobs", b"%d" % job) for job in range(WORKERS)]
        client.lpush("urgent", "now")
        assert tuple(client.blpop(["urgent", "jobs"], 0)) == (b"urgent", b"now")
        assert client.lrange("jobs", 0, -1) == [b"%d" % WORKERS]

    def test_a_job_survives_its_worker(self, client: Any, threads: ThreadPoolExecutor) -> None:
        """It lies in a list of the worker's until it is done."""
        job = threads.submit(client.blmove, "jobs", "doing", 0, "LEFT", "RIGHT")
        until_blocked(client, 1)
        assert client.rpush("jobs", "job") == 1
        assert job.result() == b"job"
        assert client.lrange("doing", 0, -1) == [b"job"]
        assert client.lrem("doing", 1, job.result()) == 1
        assert client.exists("jobs", "doing") == 0

    def test_by_priority(self, client: Any, threads: ThreadPoolExecutor) -> None:
        first = threads.submit(client.bzpopmin, "jobs", 0)
        until_blocked(client, 1)
        client.zadd("jobs", {"soon": 1, "later": 9, "at last": 10})
        key, job, priority = first.result()
        assert (key, job, float(priority)) == (b"jobs", b"soon", 1)
        assert client.zmpop(1, ["jobs"], min=True, count=2)[0] == b"jobs"
        assert client.bzpopmin("jobs", 0.01) is None

    def test_a_worker_gives_up(self, client: Any) -> None:
        assert client.blpop("jobs", 0.01) is None
        assert client.brpoplpush("jobs", "doing", 0.01) is None
        assert client.blmpop(0.01, 1, "jobs", direction="LEFT") is None

    def test_a_worker_is_sent_home(self, client: Any, threads: ThreadPoolExecutor) -> None:
        job = threads.submit(client.blpop, "jobs", 0)
        until_blocked(client, 1)
        waiting = [each for each in client.client_list() if each["cmd"] == "blpop" and each["flags"] == "b"]
        assert client.client_unblock(waiting[0]["id"], error=True)
        with pytest.raises(redis.ResponseError, match="UNBLOCKED client unblocked via CLIENT UNBLOCK"):
            job.result()

    def test_asyncio(self, kvorum_server: KvorumServer, client: Any, protocol: int) -> None:
        async def work() -> list[int]:
            many: Any = redis.asyncio.Redis(port=kvorum_server.port, protocol=protocol)
            async with many:
                waiting = [asyncio.ensure_future(many.blpop(["jobs"], timeout=0)) for _ in range(20)]
                await many.rpush("jobs", *range(20))
                return sorted(int(job) for _, job in await asyncio.gather(*waiting))

        assert asyncio.run(work()) == list(range(20))


class TestSessions:
    def test_a_session_is_a_hash_with_a_life(self, client: Any) -> None:
        assert client.hset("session:7", mapping={"user": "ada", "visits": 1}) == 2
        assert client.expire("session:7", 3600)
        assert client.hincrby("session:7", "visits", 2) == 3
        assert client.hgetall("session:7") == {b"user": b"ada", b"visits": b"3"}
        assert client.hmget("session:7", "user", "nothing") == [b"ada", None]
        assert 0 < client.ttl("session:7") <= 3600
        assert client.pexpire("session:7", 1)
        while client.exists("session:7"):
            pass
        assert client.hgetall("session:7") == {}
        assert client.hset("session:7", "user", "bob") == 1
        assert client.ttl("session:7") == -1


class TestRateLimiter:
    def test_so_many_in_each_window(self, client: Any) -> None:
        def allowed(limit: int) -> bool:
            with client.pipeline() as pipe:
                count, _ = pipe.incr("rate:ada").expire("rate:ada", 60, nx=True).execute()
            return bool(count <= limit)

        assert [allowed(3) for _ in range(5)] == [True, True, True, False, False]
        assert 0 < client.ttl("rate:ada") <= 60

    def test_so_many_in_the_last_seconds(self, client: Any) -> None:
        def allowed(now: int, limit: int, window: int) -> bool:
            with client.pipeline() as pipe:
                pipe.zremrangebyscore("rate:ada", "-inf", f"({now - window}")
                pipe.zadd("rate:ada", {str(now): now}).zcard("rate:ada").expire("rate:ada", window)
                return bool(pipe.execute()[2] <= limit)

        times = (0, 1, 2, 3, 12, 13, 14, 15)
        assert [allowed(now, 3, 10) for now in times] == [True, True, True, False] * 2


class TestLock:
    def test_one_holder(self, client: Any, threads: ThreadPoolExecutor) -> None:
        won = list(threads.map(lambda name: client.set("lock", name, nx=True, px=60_000), ["a", "b", "c", "d"]))
        assert sorted(map(bool, won)) == [False, False, False, True]
        assert 0 < client.pttl("lock") <= 60_000

    def test_it_opens_after_its_time(self, client: Any) -> None:
        assert client.set("lock", "a", nx=True, px=1)
        while not client.set("lock", "b", nx=True, px=60_000):
            pass
        assert client.get("lock") == b"b"

    def test_only_the_holder_opens_it(self, client: Any) -> None:
        """It may have passed to somebody else between looking and deleting: then nothing is deleted."""
        client.set("lock", "a")
        with client.pipeline() as pipe:
            pipe.watch("lock")
            assert pipe.get("lock") == b"a"
            client.set("lock", "b")
            pipe.multi()
            pipe.delete("lock")
            with pytest.raises(redis.WatchError):
                pipe.execute()
        assert client.get("lock") == b"b"


class TestLeaderBoard:
    def test_ranks_and_scores(self, client: Any) -> None:
        client.zadd("board", {"ada": 30, "bob": 20, "cy": 20, "dee": 10})
        assert client.zincrby("board", 15, "dee") == 25
        best = client.zrange("board", 0, 1, desc=True, withscores=True)
        assert [(name, score) for name, score in best] == [(b"ada", 30.0), (b"dee", 25.0)]
        assert client.zrevrank("board", "bob") == 3
        assert [client.zscore("board", "cy"), client.zscore("board", "nobody")] == [20.0, None]
        assert client.zrangebyscore("board", "(20", "+inf") == [b"dee", b"ada"]
        assert client.zcount("board", 20, 25) == 3
        assert client.zadd("board", {"ada": 5, "bob": 40}, gt=True, ch=True) == 1
        assert client.zrevrange("board", 0, 0) == [b"bob"]

    def test_of_two_weeks(self, client: Any) -> None:
        client.zadd("week:1", {"ada": 1, "bob": 2})
        client.zadd("week:2", {"bob": 3, "cy": 4})
        assert client.zunionstore("all", ["week:1", "week:2"]) == 3
        assert client.zrange("all", 0, -1) == [b"ada", b"cy", b"bob"]
        assert client.zunion({"week:1": 10, "week:2": 1}) == [b"cy", b"ada", b"bob"]
        assert client.zinter(["week:1", "week:2"]) == [b"bob"]

    def test_of_many_players(self, client: Any) -> None:
        players = 10_000
        for start in range(0, players, 1000):
            client.zadd("board", {f"player:{number}": number for number in range(start, start + 1000)})
        assert client.zrevrank("board", "player:0") == players - 1
        assert client.zrange("board", 5000, 5002) == [b"player:5000", b"player:5001", b"player:5002"]
        assert client.zremrangebyrank("board", 0, -101) == players - 100
        assert client.zcard("board") == 100


class TestTransactions:
    def test_all_or_nothing(self, client: Any) -> None:
        with client.pipeline(transaction=True) as pipe:
            assert pipe.incr("n").lpush("l", "a", "b").smembers("s").execute() == [1, 2, set()]
        with client.pipeline() as pipe:
            pipe.incr("n").execute_command("NONSENSE").incr("n")
            with pytest.raises(redis.ResponseError, match="unknown command"):
                pipe.execute()
        assert client.get("n") == b"1"

    def test_a_command_that_fails_does_not_stop_the_others(self, client: Any) -> None:
        with client.pipeline() as pipe:
            replies = pipe.set("s", "text").incr("s").set("t", "text").execute(raise_on_error=False)
        assert [type(reply) for reply in replies] == [bool, redis.ResponseError, bool]

    def test_money_is_neither_made_nor_lost(self, client: Any, threads: ThreadPoolExecutor) -> None:
        """Each transfer is tried again until nobody came between."""
        client.mset({"ada": 100, "bob": 0})

        def transfer(_: int) -> None:
            def move(pipe: Any) -> None:
                ada, bob = map(int, pipe.mget("ada", "bob"))
                pipe.multi()
                pipe.mset({"ada": ada - 1, "bob": bob + 1})

            client.transaction(move, "ada", "bob")

        list(threads.map(transfer, range(100)))
        assert client.mget("ada", "bob") == [b"0", b"100"]


class TestNews:
    def test_channels_and_patterns(self, client: Any) -> None:
        with client.pubsub() as subscriber:
            subscriber.subscribe("news")
            subscriber.psubscribe("weather.*")
            while client.pubsub_numsub("news")[0][1] + client.pubsub_numpat() < 2:
                pass
            assert client.publish("news", "one") == 1
            assert client.publish("weather.today", "rain") == 1
            assert client.publish("sport", "two") == 0
            assert next_message(subscriber) == (b"news", b"one")
            assert next_message(subscriber) == (b"weather.today", b"rain")
            assert client.pubsub_channels() == [b"news"]

    def test_handlers_in_a_thread(self, client: Any) -> None:
        heard: list[bytes] = []
        complete = threading.Event()

        def hear(message: Any) -> None:
            heard.append(message["data"])
            if len(heard) == 100:
                complete.set()

        with client.pubsub() as subscriber:
            subscriber.subscribe(news=hear)
            thread = subscriber.run_in_thread(sleep_time=0.01)
            while client.pubsub_numsub("news")[0][1] == 0:
                pass
            for number in range(100):
                client.publish("news", number)
            assert complete.wait(timeout=50)
            thread.stop()
            thread.join()
        assert heard == [b"%d" % number for number in range(100)]

    def test_keyspace_notifications(self, client: Any) -> None:
        client.config_set("notify-keyspace-events", "KEA")
        try:
            with client.pubsub() as subscriber:
                subscriber.psubscribe("__key*__:*")
                while client.pubsub_numpat() == 0:
                    pass
                client.set("k", "v", px=1)
                client.hset("h", "f", "v")
                heard = [next_message(subscriber) for _ in range(6)]
                heard += [next_message(subscriber) for _ in range(2)]
        finally:
            client.config_set("notify-keyspace-events", "")
        told = [("k", "set"), ("k", "expire"), ("h", "hset"), ("k", "expired")]
        about_keys = [(f"__keyspace@0__:{key}".encode(), event.encode()) for key, event in told]
        about_events = [(f"__keyevent@0__:{event}".encode(), key.encode()) for key, event in told]
        assert sorted(heard) == sorted(about_keys + about_events)


def test_client_side_caching(
    kvorum_server: KvorumServer, kvorum_client: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py answers from its own memory, until somebody else changes the key. It does so for servers that call themselves
    Redis 7.4, although all it needs was there in 6."""
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.0.0")
    client = connect(kvorum_server, protocol=3, cache_config=CacheConfig())
    kvorum_client.set("k", "old")
    assert [client.get("k"), client.get("k")] == [b"old", b"old"]
    assert client.get_cache().size == 1
    kvorum_client.set("k", "new")
    assert client.get("k") == b"new"
    calls = kvorum_client.info("commandstats")["cmdstat_get"]["calls"]
    assert client.get("k") == b"new"
    assert kvorum_client.info("commandstats")["cmdstat_get"]["calls"] == calls
    kvorum_client.flushall()
    assert client.get("k") is None
