"""CONFIG on a running server, as tools use it that know nothing of single options."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer

Connect = Callable[..., redis.Redis]
Start = Callable[..., KvorumServer]

# Who this node is, and how it is a member of its group.
OUR_OWN = {
    "node-id", "peers", "raft-bootstrap", "raft-join", "standalone", "cluster-secret", "raft-announce", "announce", "raft-bind",
    "raft-http", "raft-dir", "reads", "raft-heartbeat-ms", "raft-election-ms",
}  # fmt: skip


def refused(client: redis.Redis, name: str, value: str) -> bool:
    """Whether the server refuses to have this option set to the value that it says it has."""
    try:
        client.config_set(name, value)
    except redis.ResponseError:
        return True
    return False


def test_what_config_get_shows_can_be_set(start_kvorum: Start, redis_server: RedisServer, connect: Connect) -> None:
    """Only options that redis-server, too, fixes at start refuse even the value that they have, and some of our own."""
    ours = connect(start_kvorum("--enable-protected-configs", "yes"))
    theirs = connect(redis_server)
    shown: dict[str, str] = ours.config_get("*")  # type: ignore[assignment]
    fixed = [name for name, value in shown.items() if name not in OUR_OWN and refused(ours, name, value)]
    known = {name: str(value) for name in fixed for value in theirs.config_get(name).values()}
    assert [name for name in fixed if name not in known or not refused(theirs, name, known[name])] == []
    assert ours.config_get("*") == shown


@pytest.mark.parametrize("name", ["http-port", "text-port"])
def test_what_is_not_there_yet_cannot_be_switched_on(start_kvorum: Start, connect: Connect, name: str) -> None:
    client = connect(start_kvorum())
    assert client.config_set(name, 0)
    with pytest.raises(redis.ResponseError, match=f"'{name}'.*not supported yet"):
        client.config_set(name, 8080)
