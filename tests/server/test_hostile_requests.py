"""Requests of a size that nobody sends who means well: they are answered as any other, and the others are served meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import pytest

from kvorum import errors
from kvorum.testing.kvorum_server import KvorumServer
from tests.differential.wire import encode_command
from tests.net.raw import Raw

MILLION = 1_000_000
NUMBERS = [b"%d" % number for number in range(MILLION)]
NAMES = [b"m%d" % number for number in range(MILLION)]
HALF = MILLION // 2
PAIRS = list(chain.from_iterable(zip(NUMBERS[:HALF], NAMES[:HALF], strict=True)))
ABSENT = [b"none"] * (MILLION - 10)
# What is sent and what is answered, by type; each line finds what those before it have left.
REQUESTS: dict[str, list[tuple[list[bytes], bytes]]] = {
    "strings": [
        ([b"MSET", *PAIRS], b"+OK\r\n"),
        ([b"EXISTS", *NUMBERS], b":500000\r\n"),
        ([b"MGET", *NUMBERS], b"*1000000\r\n$2\r\nm0\r\n"),
        ([b"UNLINK", *NUMBERS], b":500000\r\n"),
    ],
    "hashes": [
        ([b"HSET", b"h", *PAIRS], b":500000\r\n"),
        ([b"HMGET", b"h", *NUMBERS], b"*1000000\r\n$2\r\nm0\r\n"),
        ([b"HDEL", b"h", *NUMBERS], b":500000\r\n"),
    ],
    "lists": [
        ([b"RPUSH", b"l", *NUMBERS], b":1000000\r\n"),
        ([b"LPUSH", b"l", *NUMBERS], b":2000000\r\n"),
        ([b"LMPOP", b"%d" % len(ABSENT), *ABSENT, b"LEFT"], b"*-1\r\n"),
        ([b"LRANGE", b"l", b"-9223372036854775808", b"9223372036854775807"], b"*2000000\r\n"),
        ([b"SORT", b"l", b"BY", b"nosort", b"LIMIT", b"0", b"1", *[b"GET", b"#"] * 400_000], b"*400000\r\n"),
    ],
    "sets of numbers": [
        ([b"SADD", b"s", *NUMBERS], b":1000000\r\n"),
        ([b"SMISMEMBER", b"s", *NUMBERS], b"*1000000\r\n:1\r\n"),
        ([b"SREM", b"s", *NUMBERS], b":1000000\r\n"),
    ],
    "sets of names": [
        ([b"SADD", b"s", *NAMES], b":1000000\r\n"),
        ([b"SUNIONSTORE", b"t", *ABSENT, b"s"], b":1000000\r\n"),
        ([b"SINTER", *ABSENT], b"*0\r\n"),
        ([b"SREM", b"s", *NAMES], b":1000000\r\n"),
    ],
    "sorted sets": [
        ([b"ZADD", b"z", *PAIRS], b":500000\r\n"),
        ([b"ZMSCORE", b"z", *NAMES], b"*1000000\r\n$1\r\n0\r\n"),
        ([b"ZUNIONSTORE", b"y", b"%d" % len(ABSENT), *ABSENT], b":0\r\n"),
        ([b"ZREM", b"z", *NAMES], b":500000\r\n"),
    ],
    "bitmaps": [
        ([b"BITFIELD", b"b", *[b"INCRBY", b"u8", b"#0", b"1"] * 250_000], b"*250000\r\n:1\r\n:2\r\n"),
        ([b"BITOP", b"OR", b"b", *ABSENT], b":0\r\n"),
    ],
    "connections": [
        ([b"WATCH", *NUMBERS], b"+OK\r\n"),
        ([b"UNWATCH"], b"+OK\r\n"),
        ([b"BLPOP", *NUMBERS[:100_000], b"0.001"], b"*-1\r\n"),
        ([b"NOSUCH", *NUMBERS], b"-ERR unknown command 'NOSUCH', with args beginning with: '0' '1' "),
        ([b"SET", *NUMBERS], b"-ERR syntax error\r\n"),
        ([b"GET", *NUMBERS], b"-ERR wrong number of arguments for 'get' command\r\n"),
    ],
}


@pytest.fixture
def server(start_kvorum: Callable[..., KvorumServer]) -> KvorumServer:
    return start_kvorum()


@pytest.fixture
def client(server: KvorumServer) -> Iterator[Raw]:
    with Raw((server.host, server.port)) as client:
        yield client


@pytest.fixture
def other(server: KvorumServer) -> Iterator[Raw]:
    with Raw((server.host, server.port)) as client:
        yield client


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_million_arguments(client: Raw, other: Raw, kind: str) -> None:
    for words, answer in REQUESTS[kind]:
        data = encode_command(words)
        client.send(data[: len(data) // 2])
        other.ask(b"SET", b"of another", b"v")
        assert other.ask(b"GET", b"of another").value == b"v"
        client.send(data[len(data) // 2 :])
        client.expect_start(answer)
        client.skip_replies()
        assert other.ask(b"DEL", b"of another").integer == 1


@pytest.mark.parametrize("count", [b"-9223372036854775807", b"-4611686018427387903", b"-100000000"])
@pytest.mark.parametrize("command", ["SRANDMEMBER s", "HRANDFIELD h", "ZRANDMEMBER z"])
def test_random_members_without_end(client: Raw, other: Raw, command: str, count: bytes) -> None:
    """redis-server begins to answer, serves nobody any more, and takes memory until there is none left."""
    client.ask(b"SADD", b"s", b"a")
    client.ask(b"HSET", b"h", b"a", b"1")
    client.ask(b"ZADD", b"z", b"1", b"a")
    assert client.ask(*command.encode().split(), count).value == errors.REPLY_TOO_LONG
    assert other.ask(b"PING").value == b"PONG"


@pytest.mark.parametrize("count", [b"9223372036854775807", b"4611686018427387904", b"1000000000"])
def test_counts_beyond_what_there_is(client: Raw, count: bytes) -> None:
    """No more is reserved, or gone through, than there is."""
    client.ask(b"RPUSH", b"l", b"a", b"b")
    client.ask(b"SADD", b"s", b"a", b"b")
    client.ask(b"ZADD", b"z", b"1", b"a", b"2", b"b")
    client.ask(b"HSET", b"h", b"a", b"1")
    for request, size in [
        (f"LPOS l a COUNT {count.decode()} MAXLEN {count.decode()}", 1),
        (f"LRANGE l 0 {count.decode()}", 2),
        (f"SRANDMEMBER s {count.decode()}", 2),
        (f"HRANDFIELD h {count.decode()}", 1),
        (f"ZRANDMEMBER z {count.decode()}", 2),
        (f"ZRANGE z 0 {count.decode()}", 2),
        (f"ZRANGEBYSCORE z -inf +inf LIMIT 0 {count.decode()}", 2),
        (f"SORT l ALPHA LIMIT 0 {count.decode()}", 2),
        (f"SSCAN s 0 COUNT {count.decode()}", 2),
        (f"LMPOP 1 l LEFT COUNT {count.decode()}", 2),
        (f"ZPOPMIN z {count.decode()}", 4),
        (f"SPOP s {count.decode()}", 2),
        (f"LPOP l {count.decode()}", 0),
    ]:
        assert len(client.ask(*request.encode().split()).items) == size, request
