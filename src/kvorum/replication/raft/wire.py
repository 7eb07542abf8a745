"""What members of a group send each other: frames, and the messages of the core in a fixed binary layout.

It begins where the handshake ends (``handshake``). All numbers are big-endian, and none is larger than 2**63 - 1::

    frame       payload size: 4 bytes, kind: 1 byte, payload
    message     type 1, flags 1, to 8, from 8, term 8, log term 8, index 8, commit 8, reject hint 8,
                size of the context 4, number of entries 4; context; the snapshot if the flags say so; entries
    entry       term 8, index 8, type 1, size 4; data
    snapshot    index 8, term 8, flags 1, numbers of voters, learners, outgoing voters, next learners 2 each,
                size 4; these ids 8 each; data

A payload has at most ``MAX_PAYLOAD_BYTES``. A larger message travels as ``BEGIN`` (its size: 8 bytes) and as many ``PART``
as it takes, so that heartbeats go in between and nobody has to hold more of a message than has arrived. One at a time
is under way on a connection.

Nothing here reads sockets or clocks. Whatever bytes come in, only ``WireError`` leaves this module; the connection is of
no use after that, because nobody knows where the next frame begins.

Rejected: numbers of variable length (a message would be some 40 bytes shorter and take longer to read than to send);
a checksum for each frame (TCP has one, what goes to disk gets one there, and a peer has proved who it is).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import Final

from kvorum.replication.raft.core.entries import ConfState, Entry, EntryType, Snapshot
from kvorum.replication.raft.core.messages import LOCAL_MESSAGES, Message, MessageType

VERSION: Final = 1
PIECE_BYTES: Final = 256 * 1024  # of a message or a snapshot that travels in pieces
MAX_PAYLOAD_BYTES: Final = PIECE_BYTES + 1024
MAX_MESSAGE_BYTES: Final = 1 << 32  # an entry holds a whole transaction, and values may have 512 MiB
MAX_MESSAGE_ENTRIES: Final = 1 << 20
MAX_CONTEXT_BYTES: Final = 64 * 1024
JOINED_BYTES: Final = 16 * 1024  # data up to here is copied behind its header: cheaper than another piece to send
READ_BYTES: Final = 512 * 1024

Buffer = bytes | bytearray | memoryview


class WireError(Exception):
    """The peer sent what no member sends: the text says what. The connection is to be closed."""


class Kind(IntEnum):
    """What a frame holds. Those of snapshots are explained in ``snapshot_channel``."""

    MESSAGE = 1  # a whole message
    BEGIN = 2  # of a message in parts
    PART = 3
    PING = 4  # nothing: the sender lives
    PUBLISH = 5  # for the subscribers of the receiver
    APPLICATION = 6  # for whoever uses the transport
    OFFER = 7
    WANT = 8
    PIECE = 9
    RECEIVED = 10
    ABORT = 11


_FRAME: Final = Struct(">IB")
FRAME_HEADER_BYTES: Final = _FRAME.size
_MESSAGE: Final = Struct(">BBqqqqqqqII")
_ENTRY: Final = Struct(">qqBI")
_SNAPSHOT: Final = Struct(">qqBHHHHI")
_SIZE: Final = Struct(">q")

_REJECT: Final = 1
_HAS_SNAPSHOT: Final = 2
_AUTO_LEAVE: Final = 1

_TYPES: Final[dict[int, MessageType]] = {int(one): one for one in MessageType if one not in LOCAL_MESSAGES}
_ENTRY_TYPES: Final[dict[int, EntryType]] = {int(one): one for one in EntryType}
_KINDS: Final[frozenset[int]] = frozenset(int(one) for one in Kind)
_MESSAGE_KIND: Final = int(Kind.MESSAGE)
_BEGIN: Final = int(Kind.BEGIN)
_PART: Final = int(Kind.PART)


def frame(kind: int, payload: Buffer = b"") -> bytes:
    """A frame in one piece."""
    assert len(payload) <= MAX_PAYLOAD_BYTES
    return _FRAME.pack(len(payload), kind) + payload


def frame_header(kind: int, payload_bytes: int) -> bytes:
    """The head of a frame whose payload is sent from where it lies."""
    assert payload_bytes <= MAX_PAYLOAD_BYTES
    return _FRAME.pack(payload_bytes, kind)


# Encoding


def encode_message(message: Message) -> tuple[list[Buffer], int]:
    """The message in pieces, and how many bytes these are. Big data is not copied; the message must not change any more.

    Local messages and those whose numbers are out of range are the caller's mistake.
    """
    assert message.type not in LOCAL_MESSAGES
    snapshot = message.snapshot
    entries = message.entries
    context = message.context
    assert len(context) <= MAX_CONTEXT_BYTES
    head = _MESSAGE.pack(
        message.type,
        (_REJECT if message.reject else 0) | (_HAS_SNAPSHOT if snapshot is not None else 0),
        message.to,
        message.from_,
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.reject_hint,
        len(context),
        len(entries),
    )
    if context:
        head += context
    if snapshot is None and not entries:
        return [head], len(head)
    pieces = _Pieces(head)
    if snapshot is not None:
        _add_snapshot(pieces, snapshot)
    _add_entries(pieces, entries)
    return pieces.finish()


class _Pieces:
    """Small pieces are joined, big ones stand for themselves."""

    __slots__ = ("done", "open", "open_bytes", "size")

    def __init__(self, head: bytes) -> None:
        self.done: list[Buffer] = []
        self.open: list[Buffer] = [head]
        self.open_bytes = len(head)
        self.size = 0

    def add(self, data: Buffer) -> None:
        if len(data) > JOINED_BYTES:
            self._join()
            self.done.append(data)
            self.size += len(data)
            return
        self.open.append(data)
        self.open_bytes += len(data)
        if self.open_bytes > PIECE_BYTES:
            self._join()

    def _join(self) -> None:
        if self.open:
            self.done.append(b"".join(self.open))
            self.size += self.open_bytes
            self.open = []
            self.open_bytes = 0

    def finish(self) -> tuple[list[Buffer], int]:
        self._join()
        return self.done, self.size


def _add_entries(pieces: _Pieces, entries: Sequence[Entry]) -> None:
    for entry in entries:
        data = entry.data
        header = _ENTRY.pack(entry.term, entry.index, entry.type, len(data))
        if len(data) <= JOINED_BYTES:
            pieces.add(header + data)
        else:
            pieces.add(header)
            pieces.add(data)


def _add_snapshot(pieces: _Pieces, snapshot: Snapshot) -> None:
    state = snapshot.conf_state
    lists = (state.voters, state.learners, state.voters_outgoing, state.learners_next)
    counts = [len(one) for one in lists]
    pieces.add(
        _SNAPSHOT.pack(
            snapshot.index, snapshot.term, _AUTO_LEAVE if state.auto_leave else 0, *counts, len(snapshot.data)
        )
    )
    for one in lists:
        pieces.add(b"".join(_SIZE.pack(node) for node in one))
    pieces.add(snapshot.data)


# Decoding


def decode_message(data: memoryview, start: int, end: int) -> Message:
    """The message that lies there. Raises WireError."""
    try:
        return _read_message(data, start, end)
    except struct.error:
        raise WireError("a message ends in the middle of a field") from None


def _read_message(data: memoryview, start: int, end: int) -> Message:
    at = start + _MESSAGE.size
    if at > end:
        raise WireError("a message is shorter than its head")
    number, flags, to, from_, term, log_term, index, commit, hint, context_size, count = _MESSAGE.unpack_from(
        data, start
    )
    kind = _TYPES.get(number)
    if kind is None:
        raise WireError(f"a message has the unknown or forbidden type {number}")
    if to | from_ | term | log_term | index | commit | hint < 0:
        raise WireError("a number in a message is out of range")
    if flags > (_REJECT | _HAS_SNAPSHOT) or count > MAX_MESSAGE_ENTRIES or context_size > MAX_CONTEXT_BYTES:
        raise WireError("the head of a message is not as this version writes it")
    context = b""
    if context_size:
        context = _take(data, at, end, context_size)
        at += context_size
    snapshot = None
    if flags & _HAS_SNAPSHOT:
        snapshot, at = _read_snapshot(data, at, end)
    entries: Sequence[Entry] = ()
    if count:
        entries, at = _read_entries(data, at, end, count)
    if at != end:
        raise WireError(f"{end - at} bytes follow a message inside its frame")
    return Message(
        kind, to, from_, term, log_term, index, entries, commit, 0, snapshot, bool(flags & _REJECT), hint, context
    )


def _take(data: memoryview, at: int, end: int, size: int) -> bytes:
    if size > end - at:
        raise WireError(f"a message announces {size} bytes and has {end - at}")
    return bytes(data[at : at + size])


def _read_entries(data: memoryview, at: int, end: int, count: int) -> tuple[list[Entry], int]:
    entries: list[Entry] = []
    for _ in range(count):
        if at + _ENTRY.size > end:
            raise WireError(f"a message announces {count} entries and has {len(entries)}")
        term, index, number, size = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        kind = _ENTRY_TYPES.get(number)
        if kind is None or term | index < 0 or size > end - at:
            raise WireError("an entry in a message has an unknown type, a number out of range, or is cut off")
        entries.append(Entry(term, index, bytes(data[at : at + size]), kind))
        at += size
    return entries, at


def _read_snapshot(data: memoryview, at: int, end: int) -> tuple[Snapshot, int]:
    if at + _SNAPSHOT.size > end:
        raise WireError("a message announces a snapshot and has none")
    index, term, flags, *counts, size = _SNAPSHOT.unpack_from(data, at)
    at += _SNAPSHOT.size
    if index | term < 0 or flags > _AUTO_LEAVE:
        raise WireError("a number in a snapshot is out of range")
    lists: list[tuple[int, ...]] = []
    for count in counts:
        nodes = tuple(node for (node,) in _SIZE.iter_unpack(_take(data, at, end, count * _SIZE.size)))
        if min(nodes, default=0) < 0:
            raise WireError("the id of a node is out of range")
        lists.append(nodes)
        at += count * _SIZE.size
    voters, learners, outgoing, learners_next = lists
    state = ConfState(voters, learners, outgoing, learners_next, flags == _AUTO_LEAVE)
    content = _take(data, at, end, size)
    return Snapshot(index, term, state, content), at + size


# Receiving


class FrameReader:
    """Frames out of a stream of bytes.

    ``room()`` is where the next bytes from the socket go, ``filled(count)`` says how many came. ``frames()`` then gives kind,
    start and end of each complete payload in ``data``, valid until the next ``room()``.
    """

    __slots__ = ("_buffer", "_end", "_start", "data")

    def __init__(self) -> None:
        self._buffer = bytearray(READ_BYTES)
        self.data = memoryview(self._buffer)
        self._start = 0
        self._end = 0

    def room(self) -> memoryview:
        """Never empty, since a frame is smaller than the buffer."""
        start, end = self._start, self._end
        if start == end:
            self._start = self._end = end = 0
        elif start and READ_BYTES - end < MAX_PAYLOAD_BYTES:
            kept = end - start
            self.data[:kept] = self.data[start:end]
            self._start, self._end = 0, kept
            end = kept
        return self.data[end:]

    def filled(self, count: int) -> None:
        """So many bytes have come."""
        self._end += count

    def feed(self, data: Buffer) -> Iterator[tuple[int, int, int]]:
        """Bytes that came in another way: the frames in them, and in what was there before."""
        view = memoryview(data)
        while len(view):
            room = self.room()
            size = min(len(room), len(view))
            room[:size] = view[:size]
            self._end += size
            view = view[size:]
            yield from self.frames()

    def frames(self) -> Iterator[tuple[int, int, int]]:
        """Every complete one, once. Raises WireError."""
        data, unpack = self.data, _FRAME.unpack_from
        while self._end - self._start >= FRAME_HEADER_BYTES:
            size, kind = unpack(data, self._start)
            if size > MAX_PAYLOAD_BYTES or kind not in _KINDS:
                raise WireError(f"no frame of this version: kind {kind}, {size} bytes")
            start = self._start + FRAME_HEADER_BYTES
            if start + size > self._end:
                return
            self._start = start + size
            yield kind, start, start + size

    def close(self) -> None:
        """Let go of the memory."""
        self.data = memoryview(b"")
        self._buffer = bytearray()
        self._start = self._end = 0


class MessageReader:
    """Messages out of frames: whole ones, and those that come in parts."""

    __slots__ = ("_expected", "_parts")

    def __init__(self) -> None:
        self._parts = bytearray()
        self._expected = 0  # bytes of the message in parts; 0: there is none

    def take(self, kind: int, data: memoryview, start: int, end: int) -> Message | None:
        """What ``MESSAGE``, ``BEGIN`` or ``PART`` completes, if it completes any. Raises WireError."""
        if kind == _MESSAGE_KIND:
            return decode_message(data, start, end)
        if kind == _BEGIN:
            self._begin(data, start, end)
            return None
        if not start < end or end - start > self._expected - len(self._parts):
            raise WireError("a part of a message that was not announced so")
        self._parts += data[start:end]
        if len(self._parts) < self._expected:
            return None
        whole, self._parts, self._expected = self._parts, bytearray(), 0
        with memoryview(whole) as view:
            return decode_message(view, 0, len(whole))

    def _begin(self, data: memoryview, start: int, end: int) -> None:
        if end - start != _SIZE.size or self._expected:
            raise WireError("a message in parts begins where none can begin")
        (size,) = _SIZE.unpack_from(data, start)
        if not 0 < size <= MAX_MESSAGE_BYTES:
            raise WireError(f"a message of {size} bytes is announced")
        self._expected = size


def begin_frame(message_bytes: int) -> bytes:
    """The frame before the parts of a message of this size."""
    return frame(_BEGIN, _SIZE.pack(message_bytes))
