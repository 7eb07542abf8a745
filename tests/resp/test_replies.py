"""The client's reply parser: what it reads, and that it accepts nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.errors import CommandError
from kvorum.resp.replies import INCOMPLETE, ReplyParser, ReplyProtocolError
from kvorum.resp.types import Attribute, Members, Pairs, Push, Status, Verbatim
from tests.resp.twins import cut

REPLIES: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", Status(b"OK")),
    (b":-5\r\n", -5),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"_\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"#t\r\n", True),
    (b",1.5\r\n", 1.5),
    (b",-inf\r\n", float("-inf")),
    (b"(-18446744073709551616\r\n", -(2**64)),
    (b"=6\r\ntxt:hi\r\n", Verbatim(b"txt", b"hi")),
    (b"*0\r\n", []),
    (b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n", [[1], b"a"]),
    (b"%1\r\n$1\r\na\r\n%0\r\n", {b"a": {}}),
    (b"%2\r\n:1\r\n:2\r\n:1\r\n:3\r\n", Pairs([(1, 2), (1, 3)])),
    (b"%1\r\n*0\r\n:1\r\n", Pairs([([], 1)])),
    (b"~2\r\n:1\r\n:2\r\n", frozenset((1, 2))),
    (b"~2\r\n*0\r\n*0\r\n", Members([[], []])),
    (b">2\r\n+a\r\n:1\r\n", Push([Status(b"a"), 1])),
    (b"|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", Attribute({Status(b"ttl"): 9}, b"v")),
    (b"|0\r\n:1\r\n", Attribute({}, 1)),
    (b"*1\r\n" * 1000 + b"*0\r\n", None),
]


@pytest.mark.parametrize("size", [1, 3, 100000])
@pytest.mark.parametrize(("text", "reply"), REPLIES)
def test_replies(text: bytes, reply: Any, size: int) -> None:
    parser = ReplyParser()
    found = []
    for piece in cut(text * 2, [size]):
        parser.feed(piece)
        while (value := parser.next()) is not INCOMPLETE:
            found.append(value)
    if text.startswith(b"*1\r\n*1"):
        assert len(found) == 2  # too deep to compare
    else:
        assert found == [reply, reply]
        assert repr(found[0]) == repr(reply)
    assert parser.buffered() == 0


@pytest.mark.parametrize("text", [b"-ERR no\r\n", b"!6\r\nERR no\r\n"])
def test_errors_are_values(text: bytes) -> None:
    parser = ReplyParser()
    parser.feed(text)
    error = parser.next()
    assert isinstance(error, CommandError)
    assert error.message == b"ERR no"


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n", b"OK\r\n", b"+OK\n", b"+O\rK\r\n", b":\r\n", b":01\r\n", b":1 \r\n", b":9223372036854775808\r\n",
        b"$x\r\n", b"$-2\r\n", b"$1\r\nab\r\n", b"$99999999999999\r\n", b"*-2\r\n", b"*x\r\n", b"*?\r\n",
        b"%-1\r\n", b"~-1\r\n", b"#x\r\n", b"_x\r\n", b",\r\n", b",1.x\r\n", b"(\r\n", b"(1a\r\n", b"(--1\r\n",
        b"(" + b"1" * 5000 + b"\r\n", b"=3\r\ntxt\r\n", b"=-1\r\n", b"*1\r\n" * 1100, b"+" + b"x" * 70000,
    ],
)  # fmt: skip
def test_nothing_else_is_accepted(text: bytes) -> None:
    parser = ReplyParser()
    parser.feed(text)
    with pytest.raises(ReplyProtocolError):
        parser.next()


GARBAGE = st.lists(
    st.one_of(
        st.sampled_from([b"+", b"-", b":", b"$", b"*", b"%", b"~", b">", b"|", b"\r\n", b"1", b"2"]),
        st.binary(max_size=3),
    )
).map(b"".join)


@given(GARBAGE, st.lists(st.integers(1, 10), min_size=1, max_size=4))
def test_garbage_ends_in_a_protocol_error_or_waits(text: bytes, sizes: list[int]) -> None:
    parser = ReplyParser()
    for piece in cut(text, sizes):
        parser.feed(piece)
        try:
            while parser.next() is not INCOMPLETE:
                pass
        except ReplyProtocolError:
            return
    assert parser.buffered() <= len(text)
