"""What this package says of requests and of numbers, held against a real redis-server."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from typing import Any

import pytest

from kvorum.errors import CommandError
from kvorum.resp.numbers import MANTISSA_BITS, LongDouble, parse_float, parse_integer
from kvorum.resp.parser import Parser
from kvorum.resp.replies import INCOMPLETE, ReplyParser
from kvorum.resp.writer import Writer
from kvorum.testing.redis_server import RedisServer
from tests.resp.test_numbers import NO_FLOATS, NO_INTEGERS, SUMS
from tests.resp.test_parser import ERRORS, REQUESTS
from tests.resp.twins import PROTOCOL_ERROR, REQUEST, encode

TIMEOUT_S = 10
END = b"kvorum-end-of-test"
ECHO_END = b"*2\r\n$4\r\nECHO\r\n$18\r\n" + END + b"\r\n"


def answers(server: RedisServer, text: bytes) -> list[Any]:
    """All replies of redis-server to the text; the last one is ``END`` unless it closed the connection."""
    replies: list[Any] = []
    with socket.create_connection((server.host, server.port), TIMEOUT_S) as connection:
        parser = ReplyParser()
        connection.sendall(text + ECHO_END)
        while END not in replies:
            data = connection.recv(65536)
            if not data:
                break
            parser.feed(data)
            while (reply := parser.next()) is not INCOMPLETE:
                replies.append(reply)
    return replies


def replies_to(server: RedisServer, requests: Iterable[list[bytes]]) -> list[Any]:
    """The replies to some well-formed requests."""
    return answers(server, b"".join(map(encode, requests)))[:-1]


def fate_in_redis(server: RedisServer, text: bytes) -> tuple[int, bytes | None]:
    """How many replies redis-server gave to the text, and its protocol error if there was one."""
    *replies, last = answers(server, text)
    return len(replies), None if last == END else last.message


def fate_here(text: bytes) -> tuple[int, bytes | None]:
    parser = Parser()
    parser.feed(text + ECHO_END)
    count = 0
    while (status := parser.next()) == REQUEST:
        count += 1
    if status == PROTOCOL_ERROR:
        assert parser.error is not None
        return count, b"ERR Protocol error: " + parser.error
    return count - 1, None


# NUL bytes: redis-server waits for ever. Limits of a line: it counts only what it has read so far.
@pytest.mark.parametrize(
    "text", [text for text, _ in REQUESTS + ERRORS if b"\0" not in text and len(text) < 60000], ids=repr
)
def test_same_fate(redis_server: RedisServer, text: bytes) -> None:
    assert fate_here(text) == fate_in_redis(redis_server, text)


@pytest.mark.parametrize("start", [b"*", b"*1\r\n$", b"x"])
def test_same_words_for_lines_that_never_end(redis_server: RedisServer, start: bytes) -> None:
    text = start + b"1" * 100000
    parser = Parser()
    parser.feed(text)
    assert parser.next() == PROTOCOL_ERROR
    with socket.create_connection((redis_server.host, redis_server.port), TIMEOUT_S) as connection:
        connection.sendall(text)
        answer = connection.makefile("rb").readline()
    assert parser.error is not None
    assert answer == b"-ERR Protocol error: " + parser.error + b"\r\n"


def some_number(source: random.Random) -> bytes:
    """Mostly numbers, of many sizes and notations, and some that are none."""
    digits = source.randint(1, 22)
    match source.randrange(6):
        case 0:
            return b"%d" % source.randint(-(10**digits), 10**digits)
        case 1:
            return b"%d.%d" % (source.randint(-(10**digits), 10**digits), source.randint(0, 10**digits))
        case 2:
            return b"%de%d" % (source.randint(-1000, 1000), source.randint(-25, 25))
        case 3:
            return source.uniform(-1e6, 1e6).hex().encode()
        case 4:
            return repr(source.uniform(-1, 1) * 10.0 ** source.randint(-300, 300)).encode()
    return bytes(source.choices(b"0123456789+-.eExX ", k=source.randint(0, 6)))


@pytest.mark.skipif(MANTISSA_BITS != 64, reason="long double is another type on this machine than where this was made")
def test_sums_as_incrbyfloat_makes_them(redis_server: RedisServer) -> None:
    source = random.Random(7)
    pairs = [(some_number(source), some_number(source)) for _ in range(1000)] + [(one, two) for one, two, _ in SUMS]
    replies = replies_to(redis_server, ([b"SET", b"k", a] if b is None else [b"INCRBYFLOAT", b"k", b]
                                        for one, two in pairs for a, b in ((one, None), (b"", two))))  # fmt: skip
    for (one, two), reply in zip(pairs, replies[1::2], strict=True):
        a, b = LongDouble.parse(one), LongDouble.parse(two)
        expected = b"ERR value is not a valid float" if a is None or b is None else (a + b).format()
        assert (reply.message if isinstance(reply, CommandError) else reply) == expected, (one, two)


@pytest.mark.parametrize("protocol", [2, 3])
def test_doubles_as_scores_are_read_and_shown(redis_server: RedisServer, protocol: int) -> None:
    source = random.Random(8)
    texts = [some_number(source) for _ in range(1000)] + [text for text in NO_FLOATS if b"\0" not in text]
    requests = [[b"HELLO", b"%d" % protocol], [b"DEL", b"z"]]
    for text in texts:
        requests += [[b"ZADD", b"z", text, b"m"], [b"ZSCORE", b"z", b"m"], [b"DEL", b"z"]]
    replies = replies_to(redis_server, requests)[2:]
    for text, added, score in zip(texts, replies[::3], replies[1::3], strict=True):
        number = parse_float(text)
        assert isinstance(added, CommandError) == (number is None), text
        if number is not None:
            writer = Writer(protocol)
            writer.value(number)
            parser = ReplyParser()
            parser.feed(writer.take())
            assert score == parser.next(), text


def test_integers_as_incrby_reads_them(redis_server: RedisServer) -> None:
    source = random.Random(9)
    texts = [some_number(source) for _ in range(500)] + list(NO_INTEGERS)
    requests = ([[b"SET", b"i", b"0"], [b"INCRBY", b"i", text]] for text in texts)
    replies = replies_to(redis_server, (request for pair in requests for request in pair))
    for text, reply in zip(texts, replies[1::2], strict=True):
        assert (None if isinstance(reply, CommandError) else reply) == parse_integer(text), text
