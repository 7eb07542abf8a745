"""``min-replicas-to-write`` without a group: there are no replicas, and redis-server says the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer


@pytest.mark.parametrize("given_at_start", [True, False])
def test_writes_are_refused_and_reads_are_not(
    start_kvorum: Callable[..., KvorumServer],
    redis_server: RedisServer,
    connect: Callable[..., redis.Redis],
    given_at_start: bool,
) -> None:
    ours = connect(start_kvorum(*(["--min-replicas-to-write", "1"] if given_at_start else [])))
    theirs = connect(redis_server)
    theirs.flushall()
    for client in (ours, theirs):
        client.config_set("min-replicas-to-write", 1)
        with pytest.raises(redis.ResponseError, match="NOREPLICAS Not enough good replicas to write"):
            client.set("key", "value")
        assert client.get("key") is None
        assert client.info("replication")["min_slaves_good_slaves"] == 0
        client.config_set("min-replicas-max-lag", 0)
        assert client.set("key", "value")
        client.config_set("min-replicas-max-lag", 10)
        with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
            client.execute_command("SETNX", "key", "value")
        client.config_set("min-replicas-to-write", 0)
        assert client.delete("key")
