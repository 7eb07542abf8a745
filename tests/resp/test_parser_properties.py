"""The request parser under random input: what goes in comes out, however it is cut, and the twins never differ."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.resp.twins import NEED_MORE, PARSERS, REQUEST, cut, encode

# Sizes around every threshold: digits of the announcement, large arguments, the scratch.
SIZES = st.one_of(
    st.integers(0, 12),
    st.sampled_from([99, 100, 101, 999, 1000, 16384, 32766, 32767, 32768, 32769, 65535, 65536, 70000]),
)
ARGUMENTS = st.one_of(
    st.binary(max_size=20), st.builds(lambda size, byte: byte * size, SIZES, st.binary(min_size=1, max_size=1))
)
REQUESTS = st.lists(st.lists(ARGUMENTS, min_size=1, max_size=12), min_size=1, max_size=5)
CUTS = st.lists(st.one_of(st.integers(1, 40), st.integers(1, 100000)), min_size=1, max_size=8)

SHORT_FRAGMENTS = (
    b"*",
    b"$",
    b"\r\n",
    b"\r",
    b"\n",
    b"0",
    b"1",
    b"2",
    b"3",
    b"-1",
    b"99",
    b" ",
    b'"',
    b"'",
    b"\\",
    b"\0",
)
LONG_FRAGMENTS = (b"*1\r\n", b"*2\r\n", b"*12\r\n", b"$1\r\n", b"$3\r\nabc\r\n", b"$40000\r\n", b"\\x4", b"a" * 70000)
FRAGMENTS = st.sampled_from(SHORT_FRAGMENTS + LONG_FRAGMENTS)
GARBAGE = st.lists(st.one_of(FRAGMENTS, FRAGMENTS, st.binary(max_size=6)), max_size=40).map(b"".join)

OPERATIONS = st.lists(
    st.one_of(
        st.just("next"), st.just("next"), st.just("hold"), st.just("settle"), st.integers(1, 30), st.integers(1, 80000)
    ),
    max_size=120,
)


@settings(max_examples=150)
@given(REQUESTS, CUTS, st.booleans())
@example([[b"x", b"y" * 33000, b"z" * 33000]], [5, 5, 1, 66000], False)
@example([[b"GET", b"k"], [b"GET", b"k"]], [1, 40], True)
def test_requests_come_out_as_they_went_in(requests: list[list[bytes]], sizes: list[int], settle: bool) -> None:
    text = b"".join(map(encode, requests))
    for module in PARSERS:
        parser = module.Parser(module.Scratch(40000))
        found = []
        for piece in cut(text, sizes):
            parser.feed(piece)
            while parser.next() == REQUEST:
                found.append(parser.args())
                assert parser.raw_request() == encode(found[-1])
            if settle:
                parser.settle()
        assert found == requests
        assert parser.buffered() == 0


def events(parser: Any, text: bytes, sizes: list[int]) -> list[Any]:
    """Everything that can be seen of a parser while the text arrives."""
    seen: list[Any] = []
    for piece in cut(text, sizes):
        parser.feed(piece)
        while (status := parser.next()) == REQUEST:
            seen.append((parser.args(), parser.raw_request(), parser.argc))
        seen.append((status, parser.error, parser.buffered(), parser.argc))
        if status != NEED_MORE:
            break
    return seen


@settings(max_examples=400)
@given(GARBAGE, CUTS, st.booleans(), st.sampled_from([0, 2, 100, 50000]), st.sampled_from([1, 2, 20]))
@example(b"*2\r\n$1\r\na\r\n$\r\n", [1], True, 100, 20)
def test_twins_agree_on_garbage(text: bytes, sizes: list[int], authenticated: bool, bulk: int, arguments: int) -> None:
    outcomes = []
    for module in PARSERS:
        parser = module.Parser(module.Scratch(1000))
        parser.authenticated = authenticated
        parser.max_bulk_bytes = bulk
        parser.max_arguments = arguments
        outcomes.append(events(parser, text, sizes))
    assert outcomes[0] == outcomes[1]


@settings(max_examples=200)
@given(GARBAGE, CUTS)
def test_how_the_bytes_were_cut_does_not_matter(text: bytes, sizes: list[int]) -> None:
    for module in PARSERS:
        outcomes = []
        for pieces in (sizes, [len(text) + 1]):
            seen = events(module.Parser(module.Scratch(1000)), text, pieces)
            outcomes.append(([event[:2] for event in seen if event[0] not in (0, 2)], seen[-1][:2] if seen else None))
        assert outcomes[0] == outcomes[1]


@settings(max_examples=200)
@given(st.one_of(REQUESTS.map(lambda requests: b"".join(map(encode, requests))), GARBAGE), OPERATIONS)
def test_twins_agree_on_any_order_of_calls(text: bytes, operations: list[str | int]) -> None:
    """Feeding, going on, holding and settling as they come: the same is seen, and held requests stay whole."""
    parsers = [module.Parser(module.Scratch(5000)) for module in PARSERS]
    position = 0
    held: list[bytes] | None = None
    for operation in operations:
        if isinstance(operation, int):
            for parser in parsers:
                parser.feed(text[position : position + operation])
            position += operation
        elif operation == "next":
            statuses = {int(parser.next()) for parser in parsers}
            assert len(statuses) == 1
            assert held is None or parsers[0].args() == held
            held = None
        elif operation == "settle":
            for parser in parsers:
                parser.settle()
        elif parsers[0].args():
            for parser in parsers:
                parser.hold()
            held = parsers[1].args()
        seen = [(parser.args(), parser.argc, parser.buffered(), parser.error) for parser in parsers]
        assert seen[0] == seen[1]
