"""Both twins of each module, and the few helpers that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType

import pytest

from kvorum.resp import numbers, parser, writer
from kvorum.testing.twins import load_plain

PARSERS = (parser, load_plain("kvorum.resp.parser"))
WRITERS = (writer, load_plain("kvorum.resp.writer"))
NUMBERS = (numbers, load_plain("kvorum.resp.numbers"))

NEED_MORE, REQUEST, PROTOCOL_ERROR = 0, 1, 2


def both(modules: Sequence[ModuleType], name: str) -> pytest.MarkDecorator:
    """Runs a test over the compiled and the plain module."""
    return pytest.mark.parametrize(name, modules, ids=("compiled", "plain"))


def encode(arguments: Sequence[bytes]) -> bytes:
    """A request in RESP, written independently of what is tested."""
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%b\r\n" % (len(item), item) for item in arguments)


def cut(text: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """The text in pieces of the given sizes, taken in turn for as long as they last."""
    position, turn = 0, 0
    while position < len(text):
        size = sizes[turn % len(sizes)]
        yield text[position : position + size]
        position += size
        turn += 1
