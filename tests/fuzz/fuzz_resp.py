"""Coverage-guided fuzzing of the protocol: ``python tests/fuzz/fuzz_resp.py [libFuzzer options] [corpus folder]``.

An input is three bytes that say how to go about it, and then what a client sends. Whatever it is: both twins of the
request parser find the same requests and the same error at the same point, requests survive being written and parsed
again, and the client's reply parser ends in a value, in patience, or in its own exception.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris

from kvorum.resp import parser as compiled
from kvorum.resp.replies import INCOMPLETE, ReplyParser, ReplyProtocolError
from kvorum.resp.writer import Writer
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.resp.parser")
CUTS = (1, 2, 3, 7, 16, 100, 1000, 100000)
LARGEST_BULKS = (1, 20, 1000, 100000)


def set_up(module: Any, control: bytes) -> Any:
    parser = module.Parser(module.Scratch(4096))
    parser.authenticated = control[1] & 1
    parser.max_bulk_bytes = LARGEST_BULKS[control[1] >> 1 & 3]
    return parser


def see(parser: Any, control: bytes) -> list[Any]:
    """Go on as far as it goes, holding and settling as the control bytes say."""
    seen: list[Any] = []
    while True:
        status = int(parser.next())
        seen.append((status, parser.args(), parser.argc, parser.buffered(), parser.error))
        if status != 1:
            return seen
        if control[2] & 1:
            parser.hold()
            if control[2] & 2:
                parser.settle()
            assert parser.next() == 1
            assert parser.args() == seen[-1][1]
        check_round_trip(parser.args())


def check_round_trip(arguments: list[bytes]) -> None:
    writer = Writer()
    writer.value(arguments)
    again = compiled.Parser()
    again.feed(writer.take())
    assert again.next() == 1
    assert again.args() == arguments


def check_requests(control: bytes, text: bytes) -> None:
    parsers = [set_up(module, control) for module in (compiled, plain)]
    size = CUTS[control[0] & 7]
    for position in range(0, len(text), size):
        piece = text[position : position + size]
        for parser in parsers:
            parser.feed(piece)
        one, two = (see(parser, control) for parser in parsers)
        assert one == two, (one, two)
        if control[2] & 4:
            for parser in parsers:
                parser.settle()


def check_replies(control: bytes, text: bytes) -> None:
    parser = ReplyParser()
    size = CUTS[control[0] & 7]
    for position in range(0, len(text), size):
        parser.feed(text[position : position + size])
        try:
            while parser.next() is not INCOMPLETE:
                pass
        except ReplyProtocolError:
            return


def check(data: bytes) -> None:
    """One input."""
    if len(data) > 3:
        check_requests(data[:3], data[3:])
        check_replies(data[:3], data[3:])


def main() -> None:
    """Fuzz until an option of libFuzzer ends it."""
    for module in (plain, sys.modules["kvorum.resp.replies"]):
        for thing in list(vars(module).values()):
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                for name, function in list(vars(thing).items()):
                    if callable(function) and hasattr(function, "__code__"):
                        setattr(thing, name, atheris.instrument_func(function))
            elif hasattr(thing, "__code__") and thing.__module__ == module.__name__:
                setattr(module, thing.__name__, atheris.instrument_func(thing))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
