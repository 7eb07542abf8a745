"""Payloads go both ways between these codecs and a real redis-server, and DEBUG DIGEST-VALUE is the same on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvorum.journal.rdb.payload import check_footer, dump_payload, load_payload
from kvorum.keyspace.table import Database, Keyspace
from kvorum.observe.digest import digest_of_value
from kvorum.testing.redis_server import RedisServer

LIMITS = {
    "hash-max-listpack-entries": "128",
    "zset-max-listpack-entries": "128",
    "set-max-intset-entries": "512",
    "list-max-listpack-size": "-2",
    "list-compress-depth": "0",
    "rdbcompression": "yes",
}
SMALL_LIMITS = {**LIMITS, **dict.fromkeys(list(LIMITS)[:4], "2"), "list-compress-depth": "1", "rdbcompression": "no"}


@pytest.fixture(params=[LIMITS, SMALL_LIMITS], ids=["default limits", "small limits"])
def oracle(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[redis.Redis]:
    """redis-server with limits for its encodings."""
    client = redis.Redis(host=redis_server.host, port=redis_server.port)
    client.flushall()
    for name, limit in request.param.items():
        client.config_set(name, limit)
    yield client
    for name, limit in LIMITS.items():
        client.config_set(name, limit)
    client.close()


@pytest.fixture
def database(oracle: redis.Redis) -> Database:
    """A database with the same limits."""
    return database_like(oracle)


def database_like(oracle: redis.Redis) -> Database:
    keyspace = Keyspace(1)
    commons = keyspace.commons
    limits = oracle.config_get("*max*")
    commons.hash_max_entries = int(limits["hash-max-listpack-entries"] or 0)
    commons.zset_max_entries = int(limits["zset-max-listpack-entries"] or 0)
    commons.set_max_intset_entries = int(limits["set-max-intset-entries"] or 0)
    commons.list_max_size = int(limits["list-max-listpack-size"] or 0)
    return keyspace.databases[0]


def exchange(oracle: redis.Redis, database: Database, key: bytes = b"key") -> None:
    """Redis' payload read here and ours read there are the value that Redis has, in the same encoding."""
    theirs = oracle.dump(key)
    assert theirs is not None
    check_footer(theirs)
    value = load_payload(theirs, database.keyspace.commons)
    database.put_value(key, value)
    digest = oracle.execute_command("DEBUG", "DIGEST-VALUE", key)[0]
    assert digest_of_value(database, key).hexadecimal == digest
    assert database.encoding(key) == oracle.object("ENCODING", key)
    for compress in (True, False):
        oracle.delete("back")
        oracle.restore("back", 0, dump_payload(value, compress))
        assert oracle.execute_command("DEBUG", "DIGEST-VALUE", "back")[0] == digest
        assert oracle.object("ENCODING", "back") == oracle.object("ENCODING", key)


SIZES = (1, 2, 3, 128, 129, 513, 3000)
LONG_TEXTS = (b"", b"x" * 64, b"x" * 65, b"ab" * 3000, bytes(range(256)) * 40)


@pytest.mark.parametrize("text", [b"bar", b"12", b"-2147483649", b"9" * 30, *LONG_TEXTS])
def test_strings(oracle: redis.Redis, database: Database, text: bytes) -> None:
    oracle.set("key", text)
    exchange(oracle, database)
    assert dump_payload(text)[-10:-8] == b"\x0a\x00"


@pytest.mark.parametrize("size", SIZES)
def test_hashes(oracle: redis.Redis, database: Database, size: int) -> None:
    oracle.hset("key", mapping={b"field:%d" % number: b"%d" % (number * 1000) for number in range(size)})
    exchange(oracle, database)


@pytest.mark.parametrize("text", LONG_TEXTS)
def test_hashes_of_long_texts(oracle: redis.Redis, database: Database, text: bytes) -> None:
    oracle.hset("key", mapping={text: b"value", b"field": text})
    exchange(oracle, database)


@pytest.mark.parametrize("size", SIZES)
def test_lists(oracle: redis.Redis, database: Database, size: int) -> None:
    oracle.rpush("key", *(b"element:%d" % number if number % 3 else number for number in range(size)))
    exchange(oracle, database)


@pytest.mark.parametrize("text", LONG_TEXTS)
def test_lists_of_long_texts(oracle: redis.Redis, database: Database, text: bytes) -> None:
    oracle.rpush("key", *[text, b"short", text] * 20)
    exchange(oracle, database)


def test_lists_whose_elements_stand_alone(oracle: redis.Redis, database: Database) -> None:
    oracle.execute_command("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "100b")
    try:
        oracle.rpush("key", b"a", b"x" * 200, b"b", b"y" * 100, b"c")
        exchange(oracle, database)
    finally:
        oracle.execute_command("DEBUG", "QUICKLIST-PACKED-THRESHOLD", "0")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", [b"%d", b"member:%d"])
def test_sets(oracle: redis.Redis, database: Database, size: int, form: bytes) -> None:
    oracle.sadd("key", *(form % (number * number * number) for number in range(size)))
    exchange(oracle, database)


@pytest.mark.parametrize("size", SIZES)
def test_sorted_sets(oracle: redis.Redis, database: Database, size: int) -> None:
    oracle.zadd("key", {b"member:%d" % number: number % 17 * 0.1 for number in range(size)})
    exchange(oracle, database)


def test_sorted_sets_with_unusual_scores(oracle: redis.Redis, database: Database) -> None:
    oracle.zadd("key", {"a": float("inf"), "b": float("-inf"), "c": 1e-300, "d": -0.0, "e": 1 << 53, "f": 0.1, "7": 3})
    exchange(oracle, database)


texts = st.one_of(
    st.binary(max_size=70),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: b"%d" % number),
    st.sampled_from([b"x" * 64, b"x" * 65, b"ab" * 5000]),
)
scores = st.floats(allow_nan=False)


@given(
    st.one_of(
        st.tuples(st.just("set"), texts),
        st.tuples(st.just("rpush"), st.lists(texts, min_size=1, max_size=12)),
        st.tuples(st.just("sadd"), st.lists(texts, min_size=1, max_size=12)),
        st.tuples(st.just("hset"), st.dictionaries(texts, texts, min_size=1, max_size=8)),
        st.tuples(st.just("zadd"), st.dictionaries(texts, scores, min_size=1, max_size=8)),
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value(oracle: redis.Redis, made: tuple[str, object]) -> None:
    name, content = made
    oracle.delete("key")
    if name == "hset":
        oracle.hset("key", mapping=content)  # type: ignore[arg-type]
    elif name in ("rpush", "sadd"):
        getattr(oracle, name)("key", *content)  # type: ignore[misc]
    else:
        getattr(oracle, name)("key", content)
    exchange(oracle, database_like(oracle))
