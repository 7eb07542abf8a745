"""The tool that listens to a redis-server as a replica: it sees what a replica sees, however the snapshot comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvorum.testing.redis_server import RedisServer
from kvorum.testing.replication_stream import Effect, EffectReader, ReplicationError, ReplicationStream
from tests.differential.wire import encode_command

BIG_VALUE = b"x" * 300_000


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_commands_after_the_snapshot_are_seen_with_their_database(
    start_redis: Callable[..., RedisServer], connect: Callable[..., Any], diskless: str
) -> None:
    server = start_redis("--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0")
    client, other = connect(server), connect(server, db=3)
    client.set("before", BIG_VALUE)
    with ReplicationStream(server.host, server.port) as stream:
        client.set("k", "v")
        other.append("j", BIG_VALUE)
        with client.pipeline(transaction=True) as pipe:
            pipe.set("a", 1)
            pipe.append("a", 2)
            pipe.execute()
        client.delete("none")
        effects = stream.read_to(client.info("replication")["master_repl_offset"])
    assert effects == [
        Effect(0, (b"SET", b"k", b"v")),
        Effect(3, (b"APPEND", b"j", BIG_VALUE)),
        Effect(0, (b"SET", b"a", b"1"), 1),
        Effect(0, (b"APPEND", b"a", b"2"), 1),
    ]


def test_a_primary_that_needs_a_password_is_an_error(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis("--requirepass", "secret")
    with pytest.raises(ReplicationError, match="NOAUTH"):
        ReplicationStream(server.host, server.port)


def test_effects_are_the_same_however_the_stream_is_cut() -> None:
    commands = [
        [b"SELECT", b"2"], [b"SET", b"k", b"\r\n*1\r\n"], [b"MULTI"], [b"SELECT", b"0"], [b"DEL", b""], [b"DEL", b"x"],
        [b"EXEC"], [b"PING"], [b"multi"], [b"SET", b"k", b"v"], [b"exec"],
    ]  # fmt: skip
    stream = b"\n".join(map(encode_command, commands))
    expected = [
        Effect(2, (b"SET", b"k", b"\r\n*1\r\n")),
        Effect(0, (b"DEL", b""), 1),
        Effect(0, (b"DEL", b"x"), 1),
        Effect(0, (b"SET", b"k", b"v"), 2),
    ]
    for size in (1, 2, 7, len(stream)):
        reader = EffectReader()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [effect for piece in pieces for effect in reader.feed(piece)] == expected
        assert reader.consumed == len(stream)


def test_what_is_no_command_is_refused() -> None:
    with pytest.raises(ReplicationError, match="expected"):
        list(EffectReader().feed(b"+OK\r\n"))
