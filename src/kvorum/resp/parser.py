"""The request parser: bytes from a socket in, requests out. It knows no socket (sans-IO).

First station on a command's path: ``net`` feeds it what has arrived, asks ``next()`` until it says NEED_MORE, executes
each REQUEST, and calls ``settle()`` when it turns to another connection. ``parser.pyx`` is the compiled twin, which
says where the bytes live; here are the rules, which are Redis' own:

- A request that begins with ``*`` is an array of bulk strings. Its lines end at the first ``\\r``; the byte behind that
  is skipped whatever it is, and so are the two bytes behind each argument. A count of zero or less is no request at
  all.
- Anything else is an inline request: one line of words, quoted as redis-cli quotes. A line without words is no request.
- Lines are limited to 64 KiB, arguments to ``max_bulk_bytes``, their number to ``max_arguments``; before authentication
  to 10 arguments of 16 KiB. No memory is taken on the mere announcement of a size or a count.
- After PROTOCOL_ERROR ``error`` has what follows ``-ERR Protocol error: `` in Redis, and the parser accepts nothing
  more.

One thing is stricter than in Redis, whose search for the end of a line stops at a NUL byte, so that such a line never
ends: here a NUL in an announcement is refused as an invalid length, and in an inline request it is a byte like any
other. Redis also tolerates a line beyond the limit if it happens to arrive in one piece; here how bytes were cut never
matters.
"""

from __future__ import annotations

from enum import IntEnum

from kvorum.resp.numbers import parse_integer


class Status(IntEnum):
    """What ``Parser.next`` says."""

    NEED_MORE = 0
    REQUEST = 1
    PROTOCOL_ERROR = 2


NEED_MORE = Status.NEED_MORE
REQUEST = Status.REQUEST
PROTOCOL_ERROR = Status.PROTOCOL_ERROR
_CONTINUE = -1

DEFAULT_MAX_BULK_BYTES = 512 * 1024 * 1024
DEFAULT_MAX_ARGUMENTS = 2147483647
LINE_LIMIT = 65536
UNAUTHENTICATED_ARGUMENTS = 10
UNAUTHENTICATED_BULK = 16384

_PARSING, _READY, _HELD, _FAILED = range(4)

_SPACES = b" \t\n\v\f\r"
_WORD_ENDS = b" \t\r\n"
_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


class Scratch:
    """A receive buffer that all parsers of one reactor share. Only the compiled parser makes use of it."""

    __slots__ = ("capacity",)

    def __init__(self, capacity: int = 65536) -> None:
        if capacity < 1:
            raise ValueError("a scratch has at least one byte")
        self.capacity = capacity


def split_line(line: bytes) -> list[bytes] | None:
    """The words of an inline request; None if a quote is not closed, or not followed by space or the end.

    Within double quotes ``\\xHH`` and ``\\n \\r \\t \\b \\a`` mean bytes and any other escaped character itself; within
    single quotes only ``\\'`` is an escape. A quote may open in the middle of a word.
    """
    words: list[bytes] = []
    position, end = 0, len(line)
    while True:
        while position < end and line[position] in _SPACES:
            position += 1
        if position == end:
            return words
        word = bytearray()
        quote = 0
        while True:
            if position == end:
                if quote:
                    return None
                break
            byte = line[position]
            position += 1
            if not quote:
                if byte in _WORD_ENDS:
                    break
                if byte in b"\"'":
                    quote = byte
                    continue
            elif byte == quote:
                if position < end and line[position] not in _SPACES:
                    return None
                break
            elif byte == 0x5C and position < end:
                byte, position = _unescape(line, position, quote)
            word.append(byte)
        words.append(bytes(word))


def _unescape(line: bytes, position: int, quote: int) -> tuple[int, int]:
    """The byte that a backslash and what follows at ``position`` mean, and the position behind it."""
    following = line[position]
    if quote == 0x27:
        return (0x27, position + 1) if following == 0x27 else (0x5C, position)
    digits = line[position + 1 : position + 3]
    if following == 0x78 and len(digits) == 2 and _HEX_DIGITS.issuperset(digits):
        return int(digits, 16), position + 3
    return _ESCAPES.get(following, following), position + 1


class Parser:
    """Requests of one connection."""

    __slots__ = (
        "_arguments", "_buffer", "_bulk_size", "_cursor", "_expected", "_searched", "_stage", "_start",
        "authenticated", "error", "max_arguments", "max_bulk_bytes",
    )  # fmt: skip

    def __init__(self, scratch: Scratch | None = None) -> None:
        self.max_bulk_bytes = DEFAULT_MAX_BULK_BYTES
        self.max_arguments = DEFAULT_MAX_ARGUMENTS
        self.authenticated = True
        self.error: bytes | None = None
        self._buffer = bytearray()
        self._start = 0  # of the current or half-parsed request
        self._cursor = 0  # what lies before is parsed
        self._searched = 0  # so many bytes from the cursor on are known to hold no end of line
        self._expected = 0  # announced arguments; 0: no request has begun
        self._bulk_size = -1  # announced size of the next argument; -1: not known yet
        self._arguments: list[bytes] = []
        self._stage = _PARSING

    @property
    def argc(self) -> int:
        """Number of arguments of the current request."""
        return len(self._arguments)

    @property
    def argv(self) -> list[bytes]:
        """The arguments as the compiled twin's C side sees them: one Span each."""
        return self._arguments

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._stage == _FAILED:
            return
        if self._start:
            del self._buffer[: self._start]
            self._cursor -= self._start
            self._start = 0
        self._buffer += data

    def next(self) -> int:
        """Go to the next request. Forgets the current one, unless it is held. Returns a ``Status``."""
        if self._stage == _HELD:
            self._stage = _READY
            return REQUEST
        if self._stage == _FAILED:
            return PROTOCOL_ERROR
        if self._stage == _READY:
            self._release()
        status = _CONTINUE
        while not self._expected and status == _CONTINUE:
            if self._cursor == len(self._buffer):
                return NEED_MORE
            status = self._parse_count() if self._buffer[self._cursor] == 0x2A else self._parse_inline()
        return self._parse_arguments() if status == _CONTINUE else status

    def hold(self) -> None:
        """The current request is to be given again by the following ``next()``; its client is paused or blocked."""
        if self._stage not in (_READY, _HELD):
            raise AssertionError("there is no request to hold")
        self._stage = _HELD

    def settle(self) -> None:
        """The reactor leaves this connection. The current request is forgotten, unless it is held."""
        if self._stage == _READY:
            self._release()
        if self._start == len(self._buffer):
            self._buffer = bytearray()
            self._start = self._cursor = 0

    def args(self) -> list[bytes]:
        """All arguments of the current request; none if there is no current request."""
        return list(self._arguments) if self._stage in (_READY, _HELD) else []

    def arg(self, index: int) -> bytes:
        """One argument of the current request."""
        if self._stage not in (_READY, _HELD) or not 0 <= index < len(self._arguments):
            raise IndexError("no such argument")
        return self._arguments[index]

    def raw_request(self) -> bytes:
        """The current request in RESP, canonical, whatever it came as."""
        arguments = self.args()
        parts = [b"*%d\r\n" % len(arguments)]
        parts += [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments]
        return b"".join(parts)

    def buffered(self) -> int:
        """Bytes that have arrived and are not done with: the current request counts until it is forgotten."""
        return len(self._buffer) - self._start

    def unread(self) -> bytes:
        """What came behind the current request."""
        return bytes(self._buffer[self._cursor :])

    def footprint(self) -> int:
        """Bytes of memory held."""
        return len(self._buffer) + sum(map(len, self._arguments))

    def _release(self) -> None:
        self._arguments = []
        self._expected = 0
        self._start = self._cursor
        self._stage = _PARSING

    def _fail(self, text: bytes) -> int:
        self._release()
        self._buffer = bytearray()
        self._start = self._cursor = 0
        self.error = text
        self._stage = _FAILED
        return PROTOCOL_ERROR

    def _line(self, end: bytes, too_long: bytes, behind: int) -> bytes | Status:
        """The line at the cursor up to ``end``, once ``behind`` more bytes are there; moves the cursor past those."""
        window = min(len(self._buffer) - self._cursor, LINE_LIMIT + 1)
        found = self._buffer.find(end, self._cursor + self._searched, self._cursor + window)
        if found < 0:
            self._searched = window
            if len(self._buffer) - self._cursor > LINE_LIMIT:
                self._fail(too_long)
                return PROTOCOL_ERROR
            return NEED_MORE
        if len(self._buffer) < found + 1 + behind:
            self._searched = found - self._cursor
            return NEED_MORE
        line = bytes(self._buffer[self._cursor : found])
        self._cursor = found + 1 + behind
        self._searched = 0
        return line

    def _parse_count(self) -> int:
        line = self._line(b"\r", b"too big mbulk count string", 1)
        if isinstance(line, Status):
            return line
        count = parse_integer(line[1:])
        if count is None or count > self.max_arguments:
            return self._fail(b"invalid multibulk length")
        if count > UNAUTHENTICATED_ARGUMENTS and not self.authenticated:
            return self._fail(b"unauthenticated multibulk length")
        if count > 0:
            self._expected = count
        else:
            self._start = self._cursor
        return _CONTINUE

    def _parse_bulk_size(self) -> int:
        line = self._line(b"\r", b"too big bulk count string", 1)
        if isinstance(line, Status):
            return line
        if line[:1] != b"$":
            first = (line[:1] or b" ").replace(b"\n", b" ")
            return self._fail(b"expected '$', got '" + first + b"'")
        size = parse_integer(line[1:])
        if size is None or not 0 <= size <= self.max_bulk_bytes:
            return self._fail(b"invalid bulk length")
        if size > UNAUTHENTICATED_BULK and not self.authenticated:
            return self._fail(b"unauthenticated bulk length")
        self._bulk_size = size
        return _CONTINUE

    def _parse_arguments(self) -> int:
        buffer = self._buffer
        while len(self._arguments) < self._expected:
            if self._bulk_size < 0:
                status = self._parse_bulk_size()
                if status != _CONTINUE:
                    return status
            end = self._cursor + self._bulk_size
            if len(buffer) < end + 2:
                return NEED_MORE
            self._arguments.append(bytes(buffer[self._cursor : end]))
            self._cursor = end + 2
            self._bulk_size = -1
        self._stage = _READY
        return REQUEST

    def _parse_inline(self) -> int:
        line = self._line(b"\n", b"too big inline request", 0)
        if isinstance(line, Status):
            return line
        words = split_line(line.removesuffix(b"\r"))
        if words is None:
            return self._fail(b"unbalanced quotes in request")
        if not words:
            self._start = self._cursor
            return _CONTINUE
        self._arguments = words
        self._stage = _READY
        return REQUEST
