"""Generic key commands as a client sees them, where a comparison with redis-server cannot show it.

The bulk of these commands' behaviour is compared with redis-server in ``tests/differential``.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

FAR_MS = 4_000_000_000_000
INT64_MAX = 2**63 - 1


def test_bare_keys_lists_every_key(kvorum_client: Any) -> None:
    kvorum_client.mset({"a": 1, "b": 2, "": 3})
    assert sorted(kvorum_client.execute_command("KEYS")) == [b"", b"a", b"b"]
    assert sorted(kvorum_client.keys("*")) == [b"", b"a", b"b"]
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'keys' command"):
        kvorum_client.execute_command("KEYS", "a", "b")


def test_keys_of_a_big_database_come_once_each_while_some_expire(kvorum_client: Any) -> None:
    names = [f"key:{number}" for number in range(30_000)]
    with kvorum_client.pipeline(transaction=False) as pipe:
        for number, name in enumerate(names):
            pipe.set(name, number, pxat=FAR_MS if number % 3 else 1)
        pipe.execute()
    found = kvorum_client.keys("key:*")
    assert len(found) == len(set(found)) == 20_000


@pytest.mark.parametrize(
    ("condition", "on_persistent", "on_volatile"),
    [("NX", 1, 0), ("XX", 0, 1), ("GT", 0, (0, 1)), ("LT", 1, (1, 0)), ("XX GT", 0, (0, 1)), ("XX LT", 0, (1, 0))],
)
def test_conditions_of_expire_counted_from_now(
    kvorum_client: Any, condition: str, on_persistent: int, on_volatile: Any
) -> None:
    if_earlier, if_later = on_volatile if isinstance(on_volatile, tuple) else (on_volatile, on_volatile)
    for before, seconds, expected in ((None, 100, on_persistent), (1000, 100, if_earlier), (100, 1000, if_later)):
        kvorum_client.set("k", "v", ex=before)
        assert kvorum_client.execute_command("EXPIRE", "k", seconds, *condition.split()) == expected
        left = kvorum_client.ttl("k")
        assert left == (seconds if expected else before or -1)


def test_ttl_rounds_to_the_nearest_second_and_does_not_overflow(kvorum_client: Any) -> None:
    kvorum_client.set("k", "v", pxat=FAR_MS + 499)
    assert kvorum_client.expiretime("k") == FAR_MS // 1000
    kvorum_client.set("k", "v", pxat=FAR_MS + 500)
    assert kvorum_client.expiretime("k") == FAR_MS // 1000 + 1
    kvorum_client.set("k", "v", pxat=INT64_MAX)
    assert kvorum_client.pexpiretime("k") == INT64_MAX
    assert kvorum_client.expiretime("k") == (INT64_MAX + 500) // 1000


def test_wait_of_a_server_without_replicas(kvorum_client: Any) -> None:
    """It lasts as long as the client wants to wait."""
    assert kvorum_client.wait(0, 0) == 0
    assert kvorum_client.wait(3, 20) == 0
    assert kvorum_client.execute_command("WAITAOF", 0, 0, 0) == [0, 0]
    assert kvorum_client.execute_command("WAITAOF", 0, 1, 20) == [0, 0]
    assert kvorum_client.pipeline(transaction=True).wait(3, 0).execute() == [0]
    with pytest.raises(redis.ResponseError, match="appendonly is disabled"):
        kvorum_client.execute_command("WAITAOF", 1, 0, 0)
    with pytest.raises(redis.ResponseError, match="value must between 0 and 1"):
        kvorum_client.execute_command("WAITAOF", 2, 0, 0)
    with pytest.raises(redis.ResponseError, match="timeout is negative"):
        kvorum_client.execute_command("WAIT", 0, -1)


def test_reads_count_as_hits_and_misses_and_writes_do_not(kvorum_client: Any) -> None:
    kvorum_client.set("k", "v")

    def counted(*words: Any) -> tuple[int, int]:
        before = kvorum_client.info("stats")
        kvorum_client.execute_command(*words)
        after = kvorum_client.info("stats")
        return (
            after["keyspace_hits"] - before["keyspace_hits"],
            after["keyspace_misses"] - before["keyspace_misses"],
        )

    assert counted("EXISTS", "k", "none", "k") == (2, 1)
    assert counted("TOUCH", "k", "none") == (1, 1)
    for name in ("TTL", "PEXPIRETIME", "TYPE"):
        assert counted(name, "k") == (1, 0)
        assert counted(name, "none") == (0, 1)
    assert counted("COPY", "k", "copied") == (1, 0)
    for words in (
        ("EXPIRE", "k", 100), ("EXPIRE", "k", 200, "GT"), ("EXPIRE", "none", 5), ("PERSIST", "k"), ("DEL", "none"),
        ("RENAME", "k", "j"), ("RENAMENX", "j", "k"), ("MOVE", "k", 1),
    ):  # fmt: skip
        assert counted(*words) == (0, 0), words


def test_exists_ttl_and_type_leave_the_access_clock_alone_and_touch_does_not(kvorum_client: Any) -> None:
    kvorum_client.set("k", "v")
    deadline = time.monotonic() + 20
    while kvorum_client.object("idletime", "k") < 1:
        assert time.monotonic() < deadline
    kvorum_client.exists("k")
    kvorum_client.ttl("k")
    kvorum_client.type("k")
    assert kvorum_client.object("idletime", "k") >= 1
    assert kvorum_client.touch("k") == 1
    assert kvorum_client.object("idletime", "k") == 0
