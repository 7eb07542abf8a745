"""The reply writer: replies in, bytes for a socket out. It knows no socket (sans-IO).

Last station on a command's path: the session writes here what the handler returned (``value``), or the handler writes
the parts itself, and ``net`` sends what is ``pending``. Each connection speaks the ``protocol`` that HELLO chose:

==========================  ====================  ===========================
reply                       RESP3                 RESP2
==========================  ====================  ===========================
None, ``NULL_ARRAY``        ``_``                 ``$-1``, ``*-1``
bool                        ``#t`` ``#f``         ``:1`` ``:0``
int (64 bits), beyond       ``:``, ``(``          ``:``, ``$``
float                       ``,`` (17 digits)     ``$``
bytes                       ``$``                 ``$``
``Status``, CommandError    ``+``, ``-``          ``+``, ``-``
list, tuple                 ``*``                 ``*``
dict, ``Pairs``             ``%``                 ``*`` flat
set, frozenset, Members     ``~``                 ``*``
``Push``                    ``>``                 ``*``
``Verbatim``, BigNumber     ``=``, ``(``          ``$``
``Attribute``               ``|`` and the reply   the reply
==========================  ====================  ===========================

Invariants: ``pending`` is exact at any time; ``value`` either appends a whole reply or nothing; newlines inside a
status or an error become spaces, so that no text can break the stream. A bulk string of 16 KiB or more is kept as the
object that it is and not copied. ``writer.pyx`` is the compiled twin.

The methods ``simple``, ``bulk`` and ``raw`` are the C side's (there with pointers and sizes); code that is not compiled
against ``writer.pxd`` uses ``status``, ``string`` and ``append``, which take objects in both twins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from kvorum.errors import CommandError
from kvorum.resp.numbers import format_double
from kvorum.resp.types import (
    NULL_ARRAY,
    WRITTEN,
    Attribute,
    BigNumber,
    Members,
    Pairs,
    Push,
    Status,
    Verbatim,
)

BY_REFERENCE = 16384
CHUNK_BYTES = 65536
MAX_DEPTH = 128

_SIXTY_FOUR_BITS = range(-(2**63), 2**63)
_NEWLINES_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


class Writer:
    """Replies to one connection."""

    __slots__ = ("_queue", "_queued", "_tail", "protocol")

    def __init__(self, protocol: int = 2) -> None:
        self.protocol = protocol
        self._queue: deque[bytes | memoryview] = deque()  # sealed; a view is what is left of a segment sent in part
        self._queued = 0
        self._tail = bytearray()

    # ---- Sending

    @property
    def pending(self) -> int:
        """Bytes not yet consumed."""
        return self._queued + len(self._tail)

    def chunks(self, limit: int = 1024) -> list[bytes | memoryview]:
        """What is pending, in order, as up to ``limit`` pieces; a bulk sent by reference is the very object."""
        found = list(islice(self._queue, limit))
        if self._tail and len(found) < limit:
            found.append(bytes(self._tail))
        return found

    def getvalue(self) -> bytes:
        """All that is pending; nothing is consumed."""
        return b"".join(self.chunks(len(self._queue) + 1))

    def take(self, count: int = -1) -> bytes:
        """Up to ``count`` bytes, all if it is negative, which are consumed."""
        size = self.pending if count < 0 else min(count, self.pending)
        parts: list[bytes | memoryview] = []
        left = size
        for segment in self._queue:
            if not left:
                break
            parts.append(segment if len(segment) <= left else memoryview(segment)[:left])
            left -= len(parts[-1])
        parts.append(bytes(self._tail[:left]))
        self.consume(size)
        return b"".join(parts)

    def consume(self, count: int) -> None:
        """So many bytes were sent."""
        if not 0 <= count <= self.pending:
            raise ValueError("more bytes consumed than were pending")
        while count and self._queue:
            segment = self._queue.popleft()
            if count < len(segment):
                self._queue.appendleft(memoryview(segment)[count:])
                self._queued -= count
                return
            count -= len(segment)
            self._queued -= len(segment)
        del self._tail[:count]

    def rewind(self, pending: int) -> None:
        """Take back all that was written since ``pending`` had this value; nothing may have been consumed since."""
        excess = self.pending - pending
        if pending < 0 or excess < 0:
            raise ValueError("that much was never pending")
        part = min(excess, len(self._tail))
        if part:
            del self._tail[-part:]
            excess -= part
        while excess:
            segment = self._queue.pop()
            kept = segment[: max(0, len(segment) - excess)]
            excess -= len(segment) - len(kept)
            self._queued -= len(segment) - len(kept)
            if kept:
                self._queue.append(kept)

    def trim(self) -> None:
        """The connection is idle: give memory back."""
        if not self.pending:
            self._tail = bytearray()

    def footprint(self) -> int:
        """Bytes of memory held; objects sent by reference count in full."""
        return self.pending

    def _seal(self) -> None:
        if self._tail:
            self._queue.append(bytes(self._tail))
            self._queued += len(self._tail)
            self._tail = bytearray()

    # ---- Parts of replies. Those with a count announce so many items or pairs, which the caller writes next.

    def _header(self, kind: bytes, count: int) -> None:
        if len(self._tail) >= CHUNK_BYTES:
            self._seal()
        self._tail += b"%b%d\r\n" % (kind, count)

    def _line(self, kind: bytes, text: bytes) -> None:
        self._tail += kind + text.translate(_NEWLINES_TO_SPACES) + b"\r\n"

    def _payload(self, data: bytes) -> None:
        if len(data) >= BY_REFERENCE:
            self._seal()
            self._queue.append(data)
            self._queued += len(data)
        else:
            self._tail += data
        self._tail += b"\r\n"

    def simple(self, text: bytes, size: int) -> None:
        """A simple string of ``size`` bytes."""
        self._line(b"+", text[:size])

    def raw(self, data: bytes, size: int) -> None:
        """``size`` bytes of a ready reply."""
        self._tail += data[:size]

    def bulk(self, span: bytes | None) -> None:
        """A bulk string; an absent one is null."""
        if span is None:
            self.null()
        else:
            self._header(b"$", len(span))
            self._payload(span)

    def status(self, text: bytes) -> None:
        """A simple string."""
        self._line(b"+", text)

    def string(self, data: bytes | None) -> None:
        """A bulk string; None is null."""
        self.bulk(data)

    def append(self, data: bytes) -> None:
        """A ready reply."""
        self._tail += data

    def error(self, message: bytes) -> None:
        """``message``: the full text without the leading ``-``."""
        self._line(b"-", message)

    def integer(self, number: int) -> None:
        """A 64-bit integer; OverflowError beyond."""
        if number not in _SIXTY_FOUR_BITS:
            raise OverflowError("an integer reply has 64 bits")
        self._header(b":", number)

    def null(self) -> None:
        self._tail += b"$-1\r\n" if self.protocol == 2 else b"_\r\n"

    def null_array(self) -> None:
        self._tail += b"*-1\r\n" if self.protocol == 2 else b"_\r\n"

    def array(self, count: int) -> None:
        self._header(b"*", count)

    def map(self, count: int) -> None:
        if self.protocol == 2:
            self._header(b"*", count * 2)
        else:
            self._header(b"%", count)

    def set(self, count: int) -> None:
        self._header(b"*" if self.protocol == 2 else b"~", count)

    def push(self, count: int) -> None:
        self._header(b"*" if self.protocol == 2 else b">", count)

    def attribute(self, count: int) -> None:
        """Attributes of the reply that follows them; RESP2 has none."""
        if self.protocol == 2:
            raise ValueError("RESP2 has no attributes")
        self._header(b"|", count)

    def double(self, number: float) -> None:
        if self.protocol == 2:
            self.bulk(format_double(number))
        else:
            self._line(b",", format_double(number))

    def boolean(self, truth: bool) -> None:
        if self.protocol == 2:
            self._tail += b":1\r\n" if truth else b":0\r\n"
        else:
            self._tail += b"#t\r\n" if truth else b"#f\r\n"

    def big_number(self, digits: bytes) -> None:
        """``digits``: decimal text of an integer of any size."""
        if self.protocol == 2:
            self.bulk(digits)
        else:
            self._line(b"(", digits)

    def verbatim(self, format: bytes, data: bytes) -> None:
        """``format``: three letters; fewer are padded with spaces."""
        if self.protocol == 2:
            self.bulk(data)
        else:
            self._header(b"=", len(data) + 4)
            self._tail += (format + b"   ")[:3] + b":"
            self._payload(data)

    # ---- Whole replies

    def value(self, reply: Any) -> None:
        """Write whatever a handler returned. Writes nothing if it raises.

        TypeError for an object of which no reply can be made, ValueError beyond ``MAX_DEPTH`` levels of nesting.
        """
        mark = self.pending
        try:
            self._any(reply, 0)
        except BaseException:
            self.rewind(mark)
            raise

    def _any(self, reply: Any, depth: int) -> None:
        if isinstance(reply, bytes):
            self.bulk(bytes(reply))
        elif reply is None:
            self.null()
        elif isinstance(reply, bool):
            self.boolean(reply)
        elif isinstance(reply, int):
            self._number(int(reply))
        elif isinstance(reply, float):
            self.double(reply)
        elif isinstance(reply, Status):
            self.status(reply.text)
        elif isinstance(reply, CommandError):
            self.error(reply.message)
        elif reply is NULL_ARRAY:
            self.null_array()
        elif reply is not WRITTEN:
            self._aggregate(reply, depth)

    def _number(self, number: int) -> None:
        if number in _SIXTY_FOUR_BITS:
            self._header(b":", number)
        else:
            self.big_number(b"%d" % number)

    def _aggregate(self, reply: Any, depth: int) -> None:
        if isinstance(reply, (list, tuple)):
            self.array(len(reply))
            self._items(reply, depth)
        elif isinstance(reply, dict):
            self.map(len(reply))
            self._pairs(reply.items(), depth)
        elif isinstance(reply, (set, frozenset)):
            self.set(len(reply))
            self._items(reply, depth)
        elif isinstance(reply, Members):
            self.set(len(reply.items))
            self._items(reply.items, depth)
        elif isinstance(reply, Pairs):
            self.map(len(reply.items))
            self._pairs(reply.items, depth)
        elif isinstance(reply, Push):
            self.push(len(reply.items))
            self._items(reply.items, depth)
        elif isinstance(reply, Verbatim):
            self.verbatim(reply.format, reply.data)
        elif isinstance(reply, BigNumber):
            self.big_number(reply.digits)
        elif isinstance(reply, Attribute):
            self._attributed(reply, depth)
        else:
            raise TypeError(f"no reply can be made of {type(reply).__name__}")

    def _items(self, items: Iterable[Any], depth: int) -> None:
        _check_depth(depth)
        for item in items:
            self._any(item, depth + 1)

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> None:
        _check_depth(depth)
        for field, content in pairs:
            self._any(field, depth + 1)
            self._any(content, depth + 1)

    def _attributed(self, reply: Attribute, depth: int) -> None:
        """The attributes, if the protocol has them, and then the reply."""
        _check_depth(depth)
        if self.protocol != 2:
            attributes = reply.attributes
            pairs = attributes.items if isinstance(attributes, Pairs) else attributes.items()
            self.attribute(len(pairs))
            self._pairs(pairs, depth)
        self._any(reply.reply, depth + 1)


def _check_depth(depth: int) -> None:
    if depth == MAX_DEPTH:
        raise ValueError("a reply is nested too deeply")
