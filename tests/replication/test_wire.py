"""Frames and messages between members: what is sent arrives as it was, and nothing but ``WireError`` comes of anything else."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.replication.raft.core.entries import ConfState, Entry, EntryType, Snapshot
from kvorum.replication.raft.core.messages import LOCAL_MESSAGES, Message, MessageType
from kvorum.replication.raft.outgoing import BURST_BYTES, MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES, Outgoing
from kvorum.replication.raft.wire import (
    FRAME_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PAYLOAD_BYTES,
    PIECE_BYTES,
    FrameReader,
    Kind,
    MessageReader,
    WireError,
    decode_message,
    encode_message,
    frame,
)

NUMBERS = st.integers(0, 2**63 - 1)
IDS = st.lists(NUMBERS, max_size=4).map(tuple)
ENTRIES = st.builds(Entry, NUMBERS, NUMBERS, st.binary(max_size=200), st.sampled_from(EntryType))
SNAPSHOTS = st.builds(
    Snapshot, NUMBERS, NUMBERS, st.builds(ConfState, IDS, IDS, IDS, IDS, st.booleans()), st.binary(max_size=200)
)
MESSAGES = st.builds(
    Message,
    type=st.sampled_from(sorted(set(MessageType) - LOCAL_MESSAGES)),
    to=NUMBERS,
    from_=NUMBERS,
    term=NUMBERS,
    log_term=NUMBERS,
    index=NUMBERS,
    entries=st.lists(ENTRIES, min_size=1, max_size=5) | st.just(()),
    commit=NUMBERS,
    snapshot=st.none() | SNAPSHOTS,
    reject=st.booleans(),
    reject_hint=NUMBERS,
    context=st.binary(max_size=50),
)


def encoded(message: Message) -> bytes:
    pieces, size = encode_message(message)
    whole = b"".join(pieces)
    assert len(whole) == size
    return whole


def decoded(data: bytes) -> Message:
    return decode_message(memoryview(data), 0, len(data))


class Receiver:
    """What a peer makes of a stream of bytes."""

    def __init__(self) -> None:
        self.frames = FrameReader()
        self.reader = MessageReader()
        self.messages: list[Message] = []
        self.others: list[tuple[int, bytes]] = []

    def feed(self, data: bytes) -> None:
        for kind, start, end in self.frames.feed(data):
            if kind <= Kind.PART:
                message = self.reader.take(kind, self.frames.data, start, end)
                if message is not None:
                    self.messages.append(message)
            else:
                self.others.append((kind, bytes(self.frames.data[start:end])))


def drain(outgoing: Outgoing, at_once: int = 1 << 30) -> bytes:
    """All that is queued, taken in bites of ``at_once`` bytes."""
    taken = bytearray()
    while pieces := outgoing.pieces():
        bite = b"".join(pieces)[:at_once]
        outgoing.sent(len(bite))
        taken += bite
    assert not outgoing
    assert outgoing.queued_bytes == 0
    return bytes(taken)


def append(size: int, index: int = 1, fill: bytes = b"x") -> Message:
    return Message(MessageType.APPEND, 2, 1, 5, 4, index - 1, [Entry(5, index, fill * size)], index - 1)


@given(MESSAGES)
def test_a_message_arrives_as_it_was(message: Message) -> None:
    assert decoded(encoded(message)) == message


def test_big_data_are_not_copied() -> None:
    data = b"x" * 1_000_000
    pieces, _ = encode_message(Message(MessageType.APPEND, 2, 1, entries=[Entry(1, 1, data)]))
    assert any(piece is data for piece in pieces)


@given(MESSAGES, st.data())
def test_a_message_that_is_cut_or_longer_is_refused(message: Message, data: st.DataObject) -> None:
    whole = encoded(message)
    with pytest.raises(WireError):
        decoded(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(WireError):
        decoded(whole + b"x")


@pytest.mark.parametrize("offset", range(2, 58, 8))
def test_numbers_out_of_range_are_refused(offset: int) -> None:
    whole = bytearray(encoded(append(3)))
    whole[offset] |= 0x80
    with pytest.raises(WireError, match="out of range"):
        decoded(bytes(whole))


@pytest.mark.parametrize("kind", [*sorted(LOCAL_MESSAGES), 24, 255])
def test_local_and_unknown_messages_are_refused(kind: int) -> None:
    whole = bytearray(encoded(append(3)))
    whole[0] = kind
    with pytest.raises(WireError, match=f"type {kind}"):
        decoded(bytes(whole))


def test_an_announcement_takes_no_memory() -> None:
    head = encoded(Message(MessageType.APPEND, 2, 1))[:-4]
    with pytest.raises(WireError):
        decoded(head + struct.pack(">I", 2**32 - 1))
    with pytest.raises(WireError):
        decoded(head + struct.pack(">I", 1000))


@given(st.binary(max_size=400))
def test_garbage_is_refused(data: bytes) -> None:
    try:
        message = decoded(data)
    except WireError:
        return
    assert encoded(message) == data


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_a_garbled_stream_is_refused_or_gives_frames(pieces: list[bytes]) -> None:
    """Nothing else leaves the reader, and no byte is used twice."""
    receiver = Receiver()
    try:
        for piece in pieces:
            receiver.feed(piece)
    except WireError:
        return
    used = sum(FRAME_HEADER_BYTES + len(payload) for _, payload in receiver.others)
    used += sum(FRAME_HEADER_BYTES + len(encoded(message)) for message in receiver.messages)
    assert used <= sum(map(len, pieces))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        struct.pack(">IB", MAX_PAYLOAD_BYTES + 1, Kind.MESSAGE),
        struct.pack(">IB", 0, 0),
        struct.pack(">IB", 0, 99),
    ],
)
def test_what_is_no_frame_is_refused_at_its_head(data: bytes) -> None:
    with pytest.raises(WireError, match="no frame"):
        Receiver().feed(data)


@pytest.mark.parametrize("bite", [1, 7, 100_000])
def test_frames_are_found_however_they_are_cut(bite: int) -> None:
    messages = [append(size, index + 1) for index, size in enumerate((0, 3, 70, 5000, 20))]
    outgoing = Outgoing()
    for message in messages:
        assert outgoing.add_message(message)
    receiver = Receiver()
    stream = drain(outgoing)
    for start in range(0, len(stream), bite):
        receiver.feed(stream[start : start + bite])
    assert receiver.messages == messages


@pytest.mark.parametrize("size", [PIECE_BYTES - 200, PIECE_BYTES + 2000, 3 * PIECE_BYTES, 5_000_000])
@pytest.mark.parametrize("bite", [100_003, 1 << 30])
def test_big_messages_travel_in_parts(size: int, bite: int) -> None:
    message = Message(
        MessageType.APPEND,
        2,
        1,
        entries=[Entry(1, 1, random.Random(size).randbytes(size)), *append(size // 3, 2).entries],
    )
    outgoing = Outgoing()
    assert outgoing.add_message(message)
    receiver = Receiver()
    receiver.feed(drain(outgoing, bite))
    assert receiver.messages == [message]


def test_a_heartbeat_goes_between_the_parts_of_a_big_message() -> None:
    outgoing, receiver = Outgoing(), Receiver()
    outgoing.add_message(append(30_000_000))
    outgoing.add_message(append(3, 2))
    sent = arrived = 0
    while pieces := outgoing.pieces():
        bite = b"".join(pieces)[:500_000]
        outgoing.sent(len(bite))
        receiver.feed(bite)
        sent += len(bite)
        if sent == 5_000_000:
            outgoing.add_message(Message(MessageType.HEARTBEAT, 2, 1, 5))
        if receiver.messages and not arrived:
            arrived = sent
    assert arrived < 5_000_000 + BURST_BYTES + 2 * PIECE_BYTES + 500_000
    kinds = [message.type for message in receiver.messages]
    assert kinds == [MessageType.HEARTBEAT, MessageType.APPEND, MessageType.APPEND]
    assert [message.index for message in receiver.messages[1:]] == [0, 1]


def test_a_queue_is_bounded_in_bytes() -> None:
    outgoing = Outgoing()
    outgoing.add_message(append(3))
    assert outgoing.add_message(append(MAX_QUEUED_BYTES, 2)), (
        "one that is larger than the queue can be sent all the same"
    )
    assert not outgoing.add_message(append(3, 3))
    assert not outgoing.add_frame(Kind.PUBLISH, (b"x",))
    drain(outgoing)
    assert outgoing.add_message(append(3, 3))


def test_a_queue_is_bounded_in_messages() -> None:
    outgoing = Outgoing()
    beat = Message(MessageType.HEARTBEAT, 2, 1, 5)
    assert all(outgoing.add_message(beat) for _ in range(MAX_QUEUED_MESSAGES))
    assert not outgoing.add_message(beat)


@pytest.mark.parametrize(
    "stream",
    [
        frame(Kind.PART, b"x"),
        frame(Kind.BEGIN, b"x"),
        frame(Kind.BEGIN, struct.pack(">q", 0)),
        frame(Kind.BEGIN, struct.pack(">q", -1)),
        frame(Kind.BEGIN, struct.pack(">q", MAX_MESSAGE_BYTES + 1)),
        frame(Kind.BEGIN, struct.pack(">q", 100)) * 2,
        frame(Kind.BEGIN, struct.pack(">q", 100)) + frame(Kind.PART, b""),
        frame(Kind.BEGIN, struct.pack(">q", 100)) + frame(Kind.PART, b"x" * 101),
        frame(Kind.BEGIN, struct.pack(">q", 100)) + frame(Kind.PART, b"\xff" * 100),
    ],
)
def test_parts_that_do_not_fit_are_refused(stream: bytes) -> None:
    with pytest.raises(WireError):
        Receiver().feed(stream)


def test_other_frames_pass_through() -> None:
    outgoing, receiver = Outgoing(), Receiver()
    outgoing.add_frame(Kind.PUBLISH, (b"a", b"b" * 100_000))
    outgoing.add_frame(Kind.PING, ())
    receiver.feed(drain(outgoing))
    assert receiver.others == [(Kind.PUBLISH, b"a" + b"b" * 100_000), (Kind.PING, b"")]
