"""What waits to be sent to one peer: bounded, in order, and with a way past what is big.

Messages leave in the order in which they came, except that small ones which order does not matter to (heartbeats, votes,
answers) go between the parts of a big one, and past what the socket did not take. Without that a value of 100 MB would
keep heartbeats back for longer than an election timeout. So no more than ``BURST_BYTES`` are given out ahead of the socket.

The queue holds ``MAX_QUEUED_BYTES``, softly by one message, since otherwise a single one that is larger could never be
sent, and ``MAX_QUEUED_MESSAGES``. What does not fit is refused; consensus repeats what matters.

No input or output happens here: ``pieces`` says what to write, ``sent`` how much of it was written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.wire import (
    JOINED_BYTES,
    MAX_PAYLOAD_BYTES,
    PIECE_BYTES,
    Buffer,
    Kind,
    begin_frame,
    encode_message,
    frame_header,
)

MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
MAX_QUEUED_MESSAGES: Final = 8192
BURST_BYTES: Final = 1024 * 1024
MAX_PIECES: Final = 512  # for one system call, which takes 1,024

# They hold data, or what comes after them relies on it.
IN_ORDER: Final = frozenset({MessageType.APPEND, MessageType.SNAPSHOT, MessageType.PROPOSE})

_MESSAGE: Final = int(Kind.MESSAGE)
_PART: Final = int(Kind.PART)

Item = tuple[int, Sequence[Buffer], int]  # kind, payload in pieces, its size


class Outgoing:
    """The queue of one connection."""

    __slots__ = ("_big", "_ordinary", "_ready", "_ready_bytes", "_unframed_bytes", "_urgent")

    def __init__(self) -> None:
        self._ready: list[Buffer] = []  # frames in the order in which they leave, the first one perhaps cut
        self._ready_bytes = 0
        self._urgent: deque[Item] = deque()
        self._ordinary: deque[Item] = deque()
        self._big: Iterator[tuple[list[Buffer], int]] | None = None  # what is left of the message in parts
        self._unframed_bytes = 0  # of everything that is not ready

    @property
    def queued_bytes(self) -> int:
        """What was accepted and has not been sent."""
        return self._ready_bytes + self._unframed_bytes

    def __bool__(self) -> bool:
        return self._ready_bytes + self._unframed_bytes > 0 or bool(self._urgent or self._ordinary)

    def add_message(self, message: Message) -> bool:
        """Whether there was room for it."""
        if self._is_full():
            return False
        pieces, size = encode_message(message)
        self._add((_MESSAGE, pieces, size), message.type not in IN_ORDER)
        return True

    def add_frame(self, kind: int, pieces: Sequence[Buffer], urgent: bool = False) -> bool:
        """The same for a frame of another kind, whose payload must fit into one."""
        if self._is_full():
            return False
        size = sum(len(piece) for piece in pieces)
        assert size <= MAX_PAYLOAD_BYTES
        self._add((kind, pieces, size), urgent)
        return True

    def _is_full(self) -> bool:
        count = len(self._ordinary) + len(self._urgent)
        return count >= MAX_QUEUED_MESSAGES or self._ready_bytes + self._unframed_bytes >= MAX_QUEUED_BYTES

    def _add(self, item: Item, urgent: bool) -> None:
        if urgent and item[2] <= MAX_PAYLOAD_BYTES:
            self._urgent.append(item)
        else:
            self._ordinary.append(item)
        self._unframed_bytes += item[2]

    def pieces(self) -> list[Buffer]:
        """What is to be written next, in order; none if there is nothing. Not to be changed."""
        while self._ready_bytes < BURST_BYTES and len(self._ready) < MAX_PIECES:
            if self._urgent:
                self._frame(*self._urgent.popleft())
            elif self._big is not None:
                self._next_part(self._big)
            elif self._ordinary:
                kind, pieces, size = self._ordinary.popleft()
                if size <= MAX_PAYLOAD_BYTES:
                    self._frame(kind, pieces, size)
                else:
                    self._append(begin_frame(size))
                    self._big = cut(pieces)
            else:
                break
        return self._ready if len(self._ready) <= MAX_PIECES else self._ready[:MAX_PIECES]

    def _next_part(self, parts: Iterator[tuple[list[Buffer], int]]) -> None:
        part = next(parts, None)
        if part is None:
            self._big = None
        else:
            self._frame(_PART, *part)

    def _frame(self, kind: int, pieces: Sequence[Buffer], size: int) -> None:
        header = frame_header(kind, size)
        first = pieces[0] if pieces else b""
        if len(first) <= JOINED_BYTES:
            self._append(header + first)
            pieces = pieces[1:]
        else:
            self._append(header)
        for piece in pieces:
            self._append(piece)
        self._unframed_bytes -= size

    def _append(self, piece: Buffer) -> None:
        self._ready.append(piece)
        self._ready_bytes += len(piece)

    def sent(self, count: int) -> None:
        """So many bytes of ``pieces`` were written."""
        ready = self._ready
        self._ready_bytes -= count
        if not self._ready_bytes:
            ready.clear()
            return
        done = 0
        while count >= len(ready[done]):
            count -= len(ready[done])
            done += 1
        if count:
            ready[done] = memoryview(ready[done])[count:]
        del ready[:done]


def cut(pieces: Sequence[Buffer]) -> Iterator[tuple[list[Buffer], int]]:
    """The same bytes in parts of ``PIECE_BYTES``, the last one shorter, and their sizes; nothing is copied."""
    part: list[Buffer] = []
    room = PIECE_BYTES
    for piece in pieces:
        rest = memoryview(piece)
        while len(rest) >= room:
            part.append(rest[:room])
            rest = rest[room:]
            yield part, PIECE_BYTES
            part, room = [], PIECE_BYTES
        if len(rest):
            part.append(rest)
            room -= len(rest)
    if part:
        yield part, PIECE_BYTES - room
