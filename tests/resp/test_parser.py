"""The request parser, rule by rule: exact bytes in, exact requests or errors out, the same from both twins."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.resp.twins import NEED_MORE, PARSERS, PROTOCOL_ERROR, REQUEST, both, cut, encode

LINE_LIMIT = 65536

REQUESTS: list[tuple[bytes, list[list[bytes]]]] = [
    (b"*1\r\n$4\r\nPING\r\n", [[b"PING"]]),
    (b"*2\r\n$3\r\nGET\r\n$16\r\n0123456789abcdef\r\n" * 3, [[b"GET", b"0123456789abcdef"]] * 3),
    (b"*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n", [[b"", b"\r\n"]]),
    (b"*12\r\n" + b"$1\r\nx\r\n" * 12, [[b"x"] * 12]),
    (b"*1\r\n$256\r\n" + bytes(range(256)) + b"\r\n", [[bytes(range(256))]]),
    # No requests at all
    (b"*0\r\n*-1\r\n*-7\r\n\r\n\n  \r\n\t\n", []),
    (b"*0\r\n*1\r\n$1\r\na\r\n", [[b"a"]]),
    # The byte behind \r is skipped whatever it is, and so are the two behind an argument.
    (b"*1\rX$4\rYPINGZZ*1\r\n$1\r\na\r\n", [[b"PING"], [b"a"]]),
    # Inline
    (b"PING\r\n", [[b"PING"]]),
    (b"PING\n", [[b"PING"]]),
    (b"  set \t k\v v \r\n", [[b"set", b"k\v", b"v"]]),
    (b"PING\nPING\r\n*1\r\n$1\r\na\r\nPING\n", [[b"PING"], [b"PING"], [b"a"], [b"PING"]]),
    (b'set "a b" "\\x41\\n\\r\\t\\b\\a\\q\\"\\\\"\n', [[b"set", b"a b", b'A\n\r\t\b\aq"\\']]),
    (b'"\\xfF\\xg0\\x4"\n', [[b"\xffxg0x4"]]),
    (b"'it\\'s' '\\n' ''\n", [[b"it's", b"\\n", b""]]),
    (b'pre"fix ed" x\n', [[b"prefix ed", b"x"]]),
    (b"a\0b \xff\xfe\n", [[b"a\0b", b"\xff\xfe"]]),
    (b'""\n', [[b""]]),
    (b"$3\r\n", [[b"$3"]]),
    (b"a\rb\r\n", [[b"a", b"b"]]),
]

ERRORS: list[tuple[bytes, bytes]] = [
    (b"*x\r\n", b"invalid multibulk length"),
    (b"*\r\n", b"invalid multibulk length"),
    (b"*+1\r\n", b"invalid multibulk length"),
    (b"*01\r\n", b"invalid multibulk length"),
    (b"* 1\r\n", b"invalid multibulk length"),
    (b"*1 \r\n", b"invalid multibulk length"),
    (b"*3000000000\r\n", b"invalid multibulk length"),
    (b"*99999999999999999999999\r\n", b"invalid multibulk length"),
    (b"*-\r\n", b"invalid multibulk length"),
    (b"*1\n\r\n", b"invalid multibulk length"),
    (b"*1\r\nfoo\r\n", b"expected '$', got 'f'"),
    (b"*1\r\n*1\r\n", b"expected '$', got '*'"),
    (b"*1\r\n\r\n", b"expected '$', got ' '"),
    (b"*1\r\n\n\r\n", b"expected '$', got ' '"),
    (b"*1\r\n\xff\r\n", b"expected '$', got '\xff'"),
    (b"*1\r\n$\r\n", b"invalid bulk length"),
    (b"*1\r\n$-1\r\n", b"invalid bulk length"),
    (b"*1\r\n$-10\r\n", b"invalid bulk length"),
    (b"*1\r\n$03\r\n", b"invalid bulk length"),
    (b"*1\r\n$00\r\n", b"invalid bulk length"),
    (b"*1\r\n$blabla\r\n", b"invalid bulk length"),
    (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
    (b"*1\r\n$9223372036854775807\r\n", b"invalid bulk length"),
    (b"*1\r\n$9223372036854775808\r\n", b"invalid bulk length"),
    (b'set "unbalanced\r\n', b"unbalanced quotes in request"),
    (b"set 'unbalanced\r\n", b"unbalanced quotes in request"),
    (b'set """test-key""" test-value\r\n', b"unbalanced quotes in request"),
    (b"'a'b\n", b"unbalanced quotes in request"),
    (b'"a\\"\n', b"unbalanced quotes in request"),
    (b'"a\\\n', b"unbalanced quotes in request"),
    (b"*" + b"1" * LINE_LIMIT, b"too big mbulk count string"),
    (b"*1\r\n$" + b"1" * LINE_LIMIT, b"too big bulk count string"),
    (b"x" * (LINE_LIMIT + 1), b"too big inline request"),
    # These Redis never answers, because its search for the end of the line stops at NUL.
    (b"*\0\r\n", b"invalid multibulk length"),
    (b"*1\r\n$\0\r\n", b"invalid bulk length"),
]

CUTS = ([1], [2, 3], [7], [1000000])


def requests_of(parser: object) -> tuple[list[list[bytes]], int]:
    """All requests that the parser has, and the status that ended them."""
    found = []
    while (status := parser.next()) == REQUEST:  # type: ignore[attr-defined]
        found.append(parser.args())  # type: ignore[attr-defined]
        assert parser.raw_request() == encode(found[-1])  # type: ignore[attr-defined]
    return found, status


@both(PARSERS, "module")
@pytest.mark.parametrize("sizes", CUTS)
@pytest.mark.parametrize(("text", "requests"), REQUESTS)
def test_requests(module: ModuleType, text: bytes, requests: list[list[bytes]], sizes: list[int]) -> None:
    parser = module.Parser()
    found = []
    for piece in cut(text, sizes):
        parser.feed(piece)
        some, status = requests_of(parser)
        assert status == NEED_MORE
        found += some
    assert found == requests
    assert parser.buffered() == 0


@both(PARSERS, "module")
@pytest.mark.parametrize("sizes", CUTS[1:])
@pytest.mark.parametrize(("text", "error"), ERRORS)
def test_errors(module: ModuleType, text: bytes, error: bytes, sizes: list[int]) -> None:
    parser = module.Parser()
    before = b"*1\r\n$4\r\nPING\r\nPING\n"
    found = []
    for piece in cut(before + text, sizes):
        parser.feed(piece)
        some, status = requests_of(parser)
        found += some
    assert (found, status, parser.error) == ([[b"PING"]] * 2, PROTOCOL_ERROR, error)
    parser.feed(b"PING\r\n")
    assert parser.next() == PROTOCOL_ERROR
    parser.settle()
    assert parser.buffered() == 0


@both(PARSERS, "module")
def test_a_line_at_the_limit_still_passes(module: ModuleType) -> None:
    parser = module.Parser()
    parser.feed(b"x" * LINE_LIMIT)
    assert parser.next() == NEED_MORE
    parser.feed(b"\n")
    assert parser.next() == REQUEST
    assert parser.args() == [b"x" * LINE_LIMIT]


@both(PARSERS, "module")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"*11\r\n", b"unauthenticated multibulk length"),
        (b"*1\r\n$16385\r\n", b"unauthenticated bulk length"),
    ],
)
def test_limits_before_authentication(module: ModuleType, text: bytes, error: bytes) -> None:
    parser = module.Parser()
    parser.authenticated = False
    largest = [b"x" * 16384] + [b"y"] * 9
    parser.feed(encode(largest) + text)
    assert parser.next() == REQUEST
    assert parser.args() == largest
    assert parser.next() == PROTOCOL_ERROR
    assert parser.error == error


@both(PARSERS, "module")
@pytest.mark.parametrize("limit", [1, 3, 50, 100])
def test_the_limit_of_an_argument_is_its_last_good_size(module: ModuleType, limit: int) -> None:
    for size, status in ((limit, REQUEST), (limit + 1, PROTOCOL_ERROR)):
        parser = module.Parser()
        parser.max_bulk_bytes = limit
        parser.feed(encode([b"x" * size]))
        assert parser.next() == status


@both(PARSERS, "module")
@pytest.mark.parametrize("limit", [1, 9, 10])
def test_the_limit_of_arguments_is_their_last_good_number(module: ModuleType, limit: int) -> None:
    for count, status in ((limit, REQUEST), (limit + 1, PROTOCOL_ERROR)):
        parser = module.Parser()
        parser.max_arguments = limit
        parser.feed(encode([b"x"] * count))
        assert parser.next() == status


@both(PARSERS, "module")
def test_a_held_request_comes_again(module: ModuleType) -> None:
    parser = module.Parser()
    parser.feed(encode([b"BLPOP", b"k", b"0"]) + encode([b"PING"])[:7])
    assert parser.next() == REQUEST
    for _ in range(3):
        parser.hold()
        parser.settle()
        parser.feed(b"")
        assert parser.args() == [b"BLPOP", b"k", b"0"]
        assert parser.next() == REQUEST
        assert parser.args() == [b"BLPOP", b"k", b"0"]
    parser.hold()
    parser.feed(encode([b"PING"])[7:])
    assert parser.next() == REQUEST
    assert parser.raw_request() == encode([b"BLPOP", b"k", b"0"])
    assert parser.next() == REQUEST
    assert parser.args() == [b"PING"]
    assert parser.next() == NEED_MORE
    with pytest.raises(AssertionError):
        parser.hold()


@both(PARSERS, "module")
def test_a_held_inline_request_and_a_held_large_one_come_again(module: ModuleType) -> None:
    parser = module.Parser()
    large = [b"SET", b"k", b"v" * 200000]
    text = b'set "a b" c\n' + encode(large)
    found = []
    for piece in cut(text, [30000]):
        parser.feed(piece)
        while parser.next() == REQUEST:
            parser.hold()
            parser.settle()
            assert parser.next() == REQUEST
            found.append(parser.args())
        parser.settle()
    assert found == [[b"set", b"a b", b"c"], large]


@both(PARSERS, "module")
def test_settling_forgets_the_request_and_keeps_what_follows(module: ModuleType) -> None:
    parser = module.Parser()
    parser.feed(encode([b"GET", b"k"]) + encode([b"PING"])[:9])
    assert parser.next() == REQUEST
    parser.settle()
    assert parser.args() == []
    assert parser.buffered() == 9
    with pytest.raises(IndexError):
        parser.arg(0)
    parser.feed(encode([b"PING"])[9:])
    assert parser.next() == REQUEST
    assert (parser.args(), parser.arg(0), parser.argc) == ([b"PING"], b"PING", 1)
    for index in (-1, 1):
        with pytest.raises(IndexError):
            parser.arg(index)


@both(PARSERS, "module")
def test_a_request_that_dribbles_in_costs_linear_time(module: ModuleType) -> None:
    """At a cost per byte that grew with the request this would take hours, and pytest would end it."""
    arguments = [b"k%d" % number for number in range(30000)]
    parser = module.Parser()
    for position in range(0, len(text := encode(arguments)), 3):
        assert parser.next() == NEED_MORE
        parser.settle()
        parser.feed(text[position : position + 3])
    assert parser.next() == REQUEST
    assert parser.args() == arguments


@both(PARSERS, "module")
def test_parsers_that_share_a_scratch_do_not_disturb_each_other(module: ModuleType) -> None:
    scratch = module.Scratch(4096)
    streams = {
        module.Parser(scratch): [[b"SET", b"%d:%d" % (client, number), b"v" * (number * 997)] for number in range(60)]
        for client in range(4)
    }
    texts = {parser: cut(b"".join(map(encode, requests)), [9, 4096, 1, 333]) for parser, requests in streams.items()}
    found: dict[object, list[list[bytes]]] = {parser: [] for parser in streams}
    while texts:
        for parser, pieces in list(texts.items()):
            piece = next(pieces, None)
            if piece is None:
                del texts[parser]
                continue
            parser.feed(piece)
            found[parser] += requests_of(parser)[0]
            parser.settle()
    assert found == streams


@both(PARSERS, "module")
def test_memory_shrinks_back_after_a_large_request(module: ModuleType) -> None:
    parser = module.Parser()
    for piece in cut(encode([b"MSET"] + [b"v" * 20000] * 100 + [b"w" * 3000000]), [60000]):
        assert parser.next() == NEED_MORE
        parser.settle()
        parser.feed(piece)
    assert parser.buffered() > 5000000
    assert parser.next() == REQUEST
    parser.settle()
    assert parser.buffered() == 0
    assert parser.footprint() < 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@both(PARSERS, "module")
@pytest.mark.parametrize("announcement", [b"*2147483647\r\n", b"*1\r\n$536870912\r\n", b"*2\r\n$30000000\r\nabc"])
def test_an_announcement_alone_takes_no_memory(module: ModuleType, announcement: bytes) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    parsers = [module.Parser(module.Scratch(1024)) for _ in range(200)]
    for parser in parsers:
        parser.feed(announcement)
        assert parser.next() == NEED_MORE
        parser.settle()
        assert parser.buffered() == len(announcement)
    assert resident() - before < 200 * 32768


@both(PARSERS, "module")
def test_a_large_value_is_one_object_from_the_socket_to_the_handler(module: ModuleType) -> None:
    parser = module.Parser()
    value = bytes(1000003) * 40
    for piece in cut(encode([b"SET", b"k", value]), [65536]):
        assert parser.next() == NEED_MORE
        parser.feed(piece)
    assert parser.next() == REQUEST
    assert parser.arg(2) == value
    assert parser.arg(2) is parser.arg(2)
    kept = parser.arg(2)
    assert parser.next() == NEED_MORE
    assert kept == value


@both(PARSERS, "module")
def test_only_bytes_are_accepted(module: ModuleType) -> None:
    parser = module.Parser()
    for wrong in ("PING\r\n", None, 5):
        with pytest.raises(TypeError):
            parser.feed(wrong)
