"""The reply writer: exact bytes for every kind of reply in both protocols, and the queue that leads to the socket."""

from __future__ import annotations

import math
from collections import OrderedDict
from enum import IntEnum
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from kvorum.errors import CommandError, WrongTypeError
from kvorum.resp.types import (
    NULL_ARRAY,
    OK,
    QUEUED,
    WRITTEN,
    Attribute,
    BigNumber,
    Members,
    Pairs,
    Push,
    Status,
    Verbatim,
)
from tests.resp.twins import WRITERS, both, encode

BIG = b"x" * 16384


class Number(IntEnum):
    FIVE = 5


class Row(NamedTuple):
    key: bytes
    number: int


class Text(bytes):
    pass


# reply, RESP2, RESP3 (None: the same)
REPLIES: list[tuple[Any, bytes, bytes | None]] = [
    (None, b"$-1\r\n", b"_\r\n"),
    (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
    (WRITTEN, b"", None),
    (True, b":1\r\n", b"#t\r\n"),
    (False, b":0\r\n", b"#f\r\n"),
    (0, b":0\r\n", None),
    (-1, b":-1\r\n", None),
    (9, b":9\r\n", None),
    (10, b":10\r\n", None),
    (1234567, b":1234567\r\n", None),
    (2**63 - 1, b":9223372036854775807\r\n", None),
    (-(2**63), b":-9223372036854775808\r\n", None),
    (2**63, b"$19\r\n9223372036854775808\r\n", b"(9223372036854775808\r\n"),
    (-(2**64), b"$21\r\n-18446744073709551616\r\n", b"(-18446744073709551616\r\n"),
    (BigNumber(b"123"), b"$3\r\n123\r\n", b"(123\r\n"),
    (Number.FIVE, b":5\r\n", None),
    (0.0, b"$1\r\n0\r\n", b",0\r\n"),
    (-0.0, b"$2\r\n-0\r\n", b",-0\r\n"),
    (3.0, b"$1\r\n3\r\n", b",3\r\n"),
    (3.1, b"$18\r\n3.1000000000000001\r\n", b",3.1000000000000001\r\n"),
    (0.1 + 0.2, b"$19\r\n0.30000000000000004\r\n", b",0.30000000000000004\r\n"),
    (-1.5e-7, b"$23\r\n-1.4999999999999999e-07\r\n", b",-1.4999999999999999e-07\r\n"),
    (1e16, b"$17\r\n10000000000000000\r\n", b",10000000000000000\r\n"),
    (1e17, b"$5\r\n1e+17\r\n", b",1e+17\r\n"),
    (math.inf, b"$3\r\ninf\r\n", b",inf\r\n"),
    (-math.inf, b"$4\r\n-inf\r\n", b",-inf\r\n"),
    (math.nan, b"$3\r\nnan\r\n", b",nan\r\n"),
    (b"", b"$0\r\n\r\n", None),
    (b"a\r\nb\0", b"$5\r\na\r\nb\0\r\n", None),
    (b"0123456789", b"$10\r\n0123456789\r\n", None),
    (b"x" * 100, b"$100\r\n" + b"x" * 100 + b"\r\n", None),
    (BIG, b"$16384\r\n" + BIG + b"\r\n", None),
    (Text(b"ab"), b"$2\r\nab\r\n", None),
    (OK, b"+OK\r\n", None),
    (QUEUED, b"+QUEUED\r\n", None),
    (Status(b"a\r\nb"), b"+a  b\r\n", None),
    (CommandError(b"ERR no\r\n+OK\n"), b"-ERR no  +OK \r\n", None),
    (WrongTypeError(), b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", None),
    ([], b"*0\r\n", None),
    ([1, [b"a", None], ()], b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n*0\r\n", b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n*0\r\n"),
    (Row(b"k", 2), b"*2\r\n$1\r\nk\r\n:2\r\n", None),
    ({b"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
    ({}, b"*0\r\n", b"%0\r\n"),
    (OrderedDict([(2, 1), (1, 2)]), b"*4\r\n:2\r\n:1\r\n:1\r\n:2\r\n", b"%2\r\n:2\r\n:1\r\n:1\r\n:2\r\n"),
    (Pairs([(5, 1), (5, [])]), b"*4\r\n:5\r\n:1\r\n:5\r\n*0\r\n", b"%2\r\n:5\r\n:1\r\n:5\r\n*0\r\n"),
    ({7}, b"*1\r\n:7\r\n", b"~1\r\n:7\r\n"),
    (frozenset((7,)), b"*1\r\n:7\r\n", b"~1\r\n:7\r\n"),
    (Members([2, 1, 2]), b"*3\r\n:2\r\n:1\r\n:2\r\n", b"~3\r\n:2\r\n:1\r\n:2\r\n"),
    (Push([b"message", 1]), b"*2\r\n$7\r\nmessage\r\n:1\r\n", b">2\r\n$7\r\nmessage\r\n:1\r\n"),
    (Verbatim(b"txt", b"hi"), b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n"),
    (Verbatim(b"m", b""), b"$0\r\n\r\n", b"=4\r\nm  :\r\n"),
    (Verbatim(b"text", BIG), b"$16384\r\n" + BIG + b"\r\n", b"=16388\r\ntex:" + BIG + b"\r\n"),
    (Attribute({b"ttl": 3}, b"v"), b"$1\r\nv\r\n", b"|1\r\n$3\r\nttl\r\n:3\r\n$1\r\nv\r\n"),
    ([Attribute(Pairs([(1, 2)]), [])], b"*1\r\n*0\r\n", b"*1\r\n|1\r\n:1\r\n:2\r\n*0\r\n"),
]  # fmt: skip


@both(WRITERS, "module")
@pytest.mark.parametrize(("reply", "resp2", "resp3"), REPLIES)
def test_replies(module: ModuleType, reply: Any, resp2: bytes, resp3: bytes | None) -> None:
    for protocol, expected in ((2, resp2), (3, resp2 if resp3 is None else resp3)):
        writer = module.Writer(protocol)
        writer.value(reply)
        assert writer.getvalue() == expected
        assert writer.pending == len(expected)


@both(WRITERS, "module")
def test_parts(module: ModuleType) -> None:
    """Handlers that write by themselves use the same words as whole replies."""
    parts: list[tuple[str, list[Any], bytes, bytes]] = [
        ("array", [2], b"*2", b"*2"),
        ("map", [2], b"*4", b"%2"),
        ("set", [1], b"*1", b"~1"),
        ("push", [3], b"*3", b">3"),
        ("null", [], b"$-1", b"_"),
        ("null_array", [], b"*-1", b"_"),
        ("integer", [7], b":7", b":7"),
        ("double", [1.5], b"$3\r\n1.5", b",1.5"),
        ("boolean", [True], b":1", b"#t"),
        ("error", [b"ERR x"], b"-ERR x", b"-ERR x"),
        ("status", [b"OK"], b"+OK", b"+OK"),
        ("string", [b"a"], b"$1\r\na", b"$1\r\na"),
        ("string", [None], b"$-1", b"_"),
        ("append", [b":0\r\n"], b":0", b":0"),
        ("big_number", [b"12"], b"$2\r\n12", b"(12"),
        ("verbatim", [b"txt", b"b"], b"$1\r\nb", b"=5\r\ntxt:b"),
    ]
    for protocol in (2, 3):
        writer = module.Writer(protocol)
        for name, arguments, *expected in parts:
            getattr(writer, name)(*arguments)
            assert writer.take() == expected[protocol - 2] + b"\r\n"


@both(WRITERS, "module")
def test_attributes_do_not_exist_in_resp2(module: ModuleType) -> None:
    writer = module.Writer(3)
    writer.attribute(1)
    assert writer.getvalue() == b"|1\r\n"
    writer.protocol = 2
    with pytest.raises(ValueError):
        writer.attribute(1)


@both(WRITERS, "module")
def test_requests_are_written_with_the_same_words(module: ModuleType) -> None:
    arguments = [b"SET", b"key", b"v" * 40, BIG]
    writer = module.Writer()
    writer.array(len(arguments))
    for argument in arguments:
        writer.string(argument)
    assert writer.take() == encode(arguments)
    assert writer.pending == 0


def nested(levels: int) -> list[Any]:
    reply: list[Any] = []
    for _ in range(levels):
        reply = [reply]
    return reply


@both(WRITERS, "module")
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (object(), TypeError),
        ("text", TypeError),
        ([1, BIG, object()], TypeError),
        ({b"a": [b"x" * 70000, {1: object()}]}, TypeError),
        (Pairs([(1,)]), ValueError),  # type: ignore[list-item]
        (nested(128), ValueError),
        (Attribute({1: object()}, 1), TypeError),
    ],
)
def test_what_is_no_reply_leaves_nothing_behind(module: ModuleType, reply: Any, error: type[Exception]) -> None:
    writer = module.Writer(3)
    writer.value([b"before", BIG])
    before = writer.getvalue()
    with pytest.raises(error):
        writer.value(reply)
    assert (writer.getvalue(), writer.pending) == (before, len(before))
    writer.value(OK)
    assert writer.getvalue() == before + b"+OK\r\n"


@both(WRITERS, "module")
def test_nesting_up_to_the_limit(module: ModuleType) -> None:
    writer = module.Writer()
    writer.value(nested(127))
    assert writer.getvalue() == b"*1\r\n" * 127 + b"*0\r\n"


@both(WRITERS, "module")
def test_large_bulks_are_sent_from_the_object_itself(module: ModuleType) -> None:
    large = [bytes([65 + number]) * 20000 for number in range(5)]
    writer = module.Writer()
    writer.value([large[0], b"small", large[1:], Verbatim(b"txt", large[0])])
    assert [any(chunk is owner for chunk in writer.chunks()) for owner in large] == [True] * 5
    assert writer.chunks(0) == []
    assert [len(writer.chunks(limit)) for limit in (1, 2, 1000)] == [1, 2, len(writer.chunks())]
    assert b"".join(writer.chunks()) == writer.getvalue()


@both(WRITERS, "module")
@pytest.mark.parametrize("step", [1, 7, 4096, 16384, 65536, 70001])
def test_partial_writes(module: ModuleType, step: int) -> None:
    writer = module.Writer()
    small = [b"%d" % number for number in range(3000)]
    writer.value([small, BIG, [BIG, BIG], b"y" * 70000, small])
    text = writer.getvalue()
    if step == 1:
        writer.consume(len(text) - 30000)
        text = text[-30000:]
    sent = b""
    while writer.pending:
        assert writer.pending == len(text) - len(sent)
        first = b"".join(writer.chunks(2))[:step]
        sent += first
        writer.consume(len(first))
    assert sent == text
    assert writer.chunks() == []


@both(WRITERS, "module")
def test_writing_goes_on_while_sending(module: ModuleType) -> None:
    writer = module.Writer()
    expected, sent = bytearray(), bytearray()
    for number in range(500):
        value = b"v" * (number * 137 % 20000)
        writer.string(value)
        expected += b"$%d\r\n%b\r\n" % (len(value), value)
        sent += writer.take(number * 153 % 15000)
        assert writer.pending == len(expected) - len(sent)
    assert sent + writer.take() == expected


@both(WRITERS, "module")
def test_taking_back(module: ModuleType) -> None:
    writer = module.Writer()
    marks = []
    for number in range(50):
        marks.append((writer.pending, writer.getvalue()))
        writer.value([BIG, b"z" * number * 100, number])
    for mark, text in reversed(marks):
        writer.rewind(mark)
        assert (writer.pending, writer.getvalue()) == (mark, text)
    with pytest.raises(ValueError):
        writer.rewind(1)


@both(WRITERS, "module")
def test_more_than_is_pending_cannot_be_sent(module: ModuleType) -> None:
    writer = module.Writer()
    writer.value(OK)
    for count in (-1, 6):
        with pytest.raises(ValueError):
            writer.consume(count)
    assert writer.pending == 5


@both(WRITERS, "module")
def test_memory_goes_back(module: ModuleType) -> None:
    writer = module.Writer()
    writer.value([b"v" * 1000] * 5000)
    assert writer.footprint() >= writer.pending
    assert writer.footprint() < 1.2 * writer.pending
    writer.consume(writer.pending - 10)
    assert writer.footprint() < 200000
    writer.consume(10)
    assert writer.footprint() < 100000
    writer.trim()
    assert writer.footprint() == 0
    writer.value(OK)
    writer.trim()
    assert writer.take() == b"+OK\r\n"


@both(WRITERS, "module")
def test_wrong_types_are_refused(module: ModuleType) -> None:
    writer = module.Writer()
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            writer.integer(number)
    for name in ("error", "status", "append"):
        with pytest.raises((TypeError, AttributeError)):
            getattr(writer, name)(None)
    assert writer.pending == 0
