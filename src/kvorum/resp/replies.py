"""The reply parser: the client's end of RESP2 and RESP3. It knows no socket (sans-IO).

Replies become the same Python values that handlers return (see ``resp/types.py``), so that what one end writes the
other reads back: errors as ``CommandError`` instances, simple strings as ``Status``, both nulls as None, maps as dict,
sets as frozenset, and as ``Pairs`` and ``Members`` where fields repeat or are not hashable. Big numbers become int.

It is strict, as a judge of our own writer has to be: every line ends in CRLF, sizes and counts are canonical, streamed
types (RESP3's ``?``) are not known, nesting and sizes are limited. Anything else is a ``ReplyProtocolError``, and the
only exception that parsing raises; after it the stream is unusable.

Parsing keeps a stack of unfinished aggregates instead of recursing, so it resumes anywhere at no cost.
"""

from __future__ import annotations

import math
from typing import Any

from kvorum.errors import CommandError
from kvorum.resp.numbers import parse_float, parse_integer
from kvorum.resp.types import Attribute, Members, Pairs, Push, Status, Verbatim

LINE_LIMIT = 65536
MAX_DEPTH = 1024
MAX_BULK_BYTES = 2**40
MAX_ITEMS = 2**31 - 1
MAX_BIG_NUMBER_DIGITS = 4000

_AGGREGATES = b"*%~>|"
_BULKS = b"$=!"


class ReplyProtocolError(Exception):
    """These bytes are no RESP reply."""


class Incomplete:
    """The type of ``INCOMPLETE``."""

    def __repr__(self) -> str:
        return "INCOMPLETE"


INCOMPLETE = Incomplete()
"""What ``ReplyParser.next`` returns when the bytes so far end within a reply."""


class _Frame:
    """An aggregate of which ``missing`` items have not come yet."""

    __slots__ = ("items", "kind", "missing")

    def __init__(self, kind: int, missing: int) -> None:
        self.kind = kind
        self.missing = missing
        self.items: list[Any] = []


class ReplyParser:
    """Replies from one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0
        self._searched = 0
        self._stack: list[_Frame] = []
        self._bulk: tuple[int, int] | None = None  # kind and size of the bulk whose bytes are awaited

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._position:
            del self._buffer[: self._position]
            self._searched = max(0, self._searched - self._position)
            self._position = 0
        self._buffer += data

    def next(self) -> Any:
        """The next whole reply, or ``INCOMPLETE``. Raises ReplyProtocolError."""
        while True:
            value = self._scalar()
            if value is INCOMPLETE:
                return INCOMPLETE
            if isinstance(value, _Frame):
                if value.missing:
                    if len(self._stack) == MAX_DEPTH:
                        raise ReplyProtocolError("a reply is nested too deeply")
                    self._stack.append(value)
                    continue
                value = _finish(value)
            while self._stack:
                frame = self._stack[-1]
                frame.items.append(value)
                frame.missing -= 1
                if frame.missing:
                    break
                self._stack.pop()
                value = _finish(frame)
            else:
                return value

    def buffered(self) -> int:
        """Bytes that are not consumed yet."""
        return len(self._buffer) - self._position

    def _scalar(self) -> Any:
        """A value without parts, the frame of one with parts, or INCOMPLETE."""
        if self._bulk is None:
            line = self._line()
            if line is None:
                return INCOMPLETE
            if not line:
                raise ReplyProtocolError("an empty line")
            kind, text = line[0], line[1:]
            if kind in _BULKS:
                if text == b"-1" and kind == 0x24:
                    return None
                self._bulk = kind, _size(text, MAX_BULK_BYTES)
            elif kind in _AGGREGATES:
                if text == b"-1" and kind == 0x2A:
                    return None
                count = _size(text, MAX_ITEMS)
                if kind == 0x7C:
                    return _Frame(kind, count * 2 + 1)
                return _Frame(kind, count * 2 if kind == 0x25 else count)
            else:
                return _simple(kind, text)
        return self._payload()

    def _line(self) -> bytes | None:
        start = self._position
        end = self._buffer.find(b"\n", max(start, self._searched), start + LINE_LIMIT + 2)
        if end < 0:
            if len(self._buffer) - start > LINE_LIMIT + 1:
                raise ReplyProtocolError("a line is too long")
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[start : end + 1])
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise ReplyProtocolError("a line does not end in CRLF")
        self._position = end + 1
        return line[:-2]

    def _payload(self) -> Any:
        assert self._bulk is not None
        kind, size = self._bulk
        start = self._position
        if len(self._buffer) - start < size + 2:
            return INCOMPLETE
        data = bytes(self._buffer[start : start + size])
        if self._buffer[start + size : start + size + 2] != b"\r\n":
            raise ReplyProtocolError("a bulk string does not end in CRLF")
        self._position = start + size + 2
        self._bulk = None
        if kind == 0x21:
            return CommandError(data)
        if kind == 0x3D:
            if data[3:4] != b":":
                raise ReplyProtocolError("a verbatim string without a format")
            return Verbatim(data[:3], data[4:])
        return data


def _size(text: bytes, limit: int) -> int:
    size = parse_integer(text)
    if size is None or not 0 <= size <= limit:
        raise ReplyProtocolError("an invalid size or count")
    return size


def _simple(kind: int, text: bytes) -> Any:
    """A value that is one line."""
    match bytes((kind,)):
        case b"+":
            return Status(text)
        case b"-":
            return CommandError(text)
        case b":":
            number = parse_integer(text)
            if number is None:
                raise ReplyProtocolError("an invalid integer")
            return number
        case b"_" if not text:
            return None
        case b"#" if text in (b"t", b"f"):
            return text == b"t"
        case b",":
            return _double(text)
        case b"(":
            digits = text.removeprefix(b"-")
            if not digits.isdigit() or len(digits) > MAX_BIG_NUMBER_DIGITS:
                raise ReplyProtocolError("an invalid big number")
            return int(text)
    raise ReplyProtocolError("an unknown type of reply")


def _double(text: bytes) -> float:
    if text == b"nan":
        return math.nan
    number = parse_float(text)
    if number is None:
        raise ReplyProtocolError("an invalid double")
    return number


def _finish(frame: _Frame) -> Any:
    """The value of an aggregate whose items are all there."""
    items = frame.items
    match bytes((frame.kind,)):
        case b"%":
            return _mapping(items)
        case b"~":
            return _members(items)
        case b">":
            return Push(items)
        case b"|":
            return Attribute(_mapping(items[:-1]), items[-1])
    return items


def _mapping(flat: list[Any]) -> Any:
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    try:
        mapping = dict(pairs)
    except TypeError:
        return Pairs(pairs)
    return mapping if len(mapping) == len(pairs) else Pairs(pairs)


def _members(items: list[Any]) -> Any:
    try:
        unique = frozenset(items)
    except TypeError:
        return Members(items)
    return unique if len(unique) == len(items) else Members(items)
