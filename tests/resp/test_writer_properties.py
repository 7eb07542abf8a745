"""The reply writer under random replies: the twins write the same bytes, and a client reads what was meant."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kvorum.errors import CommandError
from kvorum.resp.replies import INCOMPLETE, ReplyParser
from kvorum.resp.types import NULL_ARRAY, Attribute, BigNumber, Members, Pairs, Push, Status, Verbatim
from tests.resp.twins import WRITERS, cut

BYTES = st.one_of(st.binary(max_size=20), st.sampled_from([16383, 16384, 70000]).map(bytes))
LINES = st.binary(max_size=20)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    BYTES,
    LINES.map(Status),
    LINES.map(CommandError),
    st.integers(-(2**80), 2**80).map(lambda number: BigNumber(b"%d" % number)),
    st.builds(Verbatim, st.binary(max_size=4), BYTES),
    st.just(NULL_ARRAY),
)


def aggregates(replies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(replies, max_size=5)
    pairs = st.lists(st.tuples(replies, replies), max_size=4)
    return st.one_of(
        some,
        some.map(tuple),
        some.map(Members),
        some.map(Push),
        pairs.map(Pairs),
        st.dictionaries(st.binary(max_size=5), replies, max_size=4),
        st.frozensets(st.integers(), max_size=4),
        st.builds(Attribute, pairs.map(Pairs), replies),
    )


REPLIES = st.recursive(SCALARS, aggregates, max_leaves=25)
CUTS = st.lists(st.one_of(st.integers(1, 30), st.integers(1, 50000)), min_size=1, max_size=6)


@settings(max_examples=300)
@given(st.lists(st.tuples(REPLIES, st.integers(0, 40000)), max_size=8), st.sampled_from([2, 3]))
def test_twins_write_the_same_bytes(steps: list[tuple[Any, int]], protocol: int) -> None:
    """Also while some of it is sent in between, at any byte."""
    compiled, plain = (module.Writer(protocol) for module in WRITERS)
    for reply, sent in steps:
        compiled.value(reply)
        plain.value(reply)
        assert compiled.pending == plain.pending
        assert compiled.take(sent) == plain.take(sent)
        assert compiled.pending == plain.pending
    assert compiled.take() == plain.take()


def meaning(reply: Any) -> Any:
    """What a RESP3 client should understand, in a form that tells 1, 1.0 and True apart and lets NaN equal itself."""
    match reply:
        case bool() | float() | None:
            return repr(reply)
        case int():
            return reply
        case bytes():
            return reply
        case Status():
            return "status", reply.text.translate(bytes.maketrans(b"\r\n", b"  "))
        case CommandError():
            return "error", reply.message.translate(bytes.maketrans(b"\r\n", b"  "))
        case BigNumber():
            return int(reply.digits)
        case Verbatim():
            return "verbatim", (reply.format + b"   ")[:3], reply.data
        case list() | tuple():
            return [meaning(item) for item in reply]
        case Push():
            return "push", [meaning(item) for item in reply.items]
        case Members():
            return "set", sorted(repr(meaning(item)) for item in reply.items)
        case set() | frozenset():
            return "set", sorted(repr(meaning(item)) for item in reply)
        case Pairs():
            return "map", [(meaning(field), meaning(content)) for field, content in reply.items]
        case dict():
            return "map", [(meaning(field), meaning(content)) for field, content in reply.items()]
        case Attribute():
            return "attribute", meaning(reply.attributes), meaning(reply.reply)
    assert reply is NULL_ARRAY
    return "None"


@settings(max_examples=200)
@given(st.lists(REPLIES, min_size=1, max_size=4), CUTS)
def test_a_client_reads_what_was_meant(replies: list[Any], sizes: list[int]) -> None:
    writer = WRITERS[0].Writer(3)
    for reply in replies:
        writer.value(reply)
    parser = ReplyParser()
    found = []
    for piece in cut(writer.take(), sizes):
        parser.feed(piece)
        while (reply := parser.next()) is not INCOMPLETE:
            found.append(meaning(reply))
    assert found == [meaning(reply) for reply in replies]
    assert parser.buffered() == 0
