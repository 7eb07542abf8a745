"""Coverage-guided fuzzing of what members say: ``python tests/fuzz/fuzz_wire.py [libFuzzer options] [corpus folder]``.

An input is a byte that says what it is, and then what a peer sends: a message, a stream of frames, frames of snapshots, or
words of the handshake. Whatever it is: nothing but ``WireError`` or ``HandshakeError`` comes of it, a message that is taken is
the one that was written, no more bytes are used than came, and no file but the snapshot's is touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import atheris

from kvorum.replication.raft import handshake, outgoing, snapshot_channel, wire
from kvorum.replication.raft.core.entries import Snapshot
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.testing.clock import FakeClock
from kvorum.testing.disk import FakeDisk

GROUP = "0123456789abcdef" * 2
HEAD_BYTES = wire.FRAME_HEADER_BYTES
DIRECTORY = "/d"


class Silence:
    """A log that nobody reads."""

    def warning(self, event: str, **fields: object) -> None: ...

    notice = warning


def check_message(data: bytes) -> None:
    try:
        message = wire.decode_message(memoryview(data), 0, len(data))
    except wire.WireError:
        return
    pieces, size = wire.encode_message(message)
    assert b"".join(pieces) == data
    assert size == len(data)


def check_stream(data: bytes) -> None:
    """In pieces whose sizes the first byte says; messages that arrive are sent again and arrive again."""
    reader, messages, used = wire.FrameReader(), wire.MessageReader(), 0
    step = data[0] + 1
    try:
        for start in range(1, len(data), step):
            for kind, first, end in reader.feed(data[start : start + step]):
                used += HEAD_BYTES + end - first
                if kind <= wire.Kind.PART:
                    message = messages.take(kind, reader.data, first, end)
                    if message is not None:
                        check_queue(message)
    except wire.WireError:
        pass
    assert used < len(data)


def check_queue(message: Message) -> None:
    queue = outgoing.Outgoing()
    assert queue.add_message(message)
    reader = wire.FrameReader()
    while pieces := queue.pieces():
        bite = b"".join(pieces)
        queue.sent(len(bite))
        for kind, start, end in reader.feed(bite):
            assert kind != wire.Kind.MESSAGE or wire.decode_message(reader.data, start, end) == message


def channel(disk: FakeDisk, later: list[Callable[[], None]]) -> snapshot_channel.SnapshotChannel:
    """One that has a snapshot to send to member 2, and waits for nothing."""

    def at_once(work: Callable[[], None], done: Callable[[Any], None]) -> None:
        work()
        done(None)

    around = snapshot_channel.Around(
        disk, DIRECTORY, Silence(), lambda to, kind, pieces, now: True, later.append, at_once,
        lambda message, path: None, lambda raft_id, failed: None,
    )  # fmt: skip
    made = snapshot_channel.SnapshotChannel(around, 0)
    made.sender.send(Message(MessageType.SNAPSHOT, 2, 1, 5, snapshot=Snapshot(9, 4)), disk.view(f"{DIRECTORY}/base"))
    return made


def check_snapshots(data: bytes) -> None:
    """Frames: kind, size (2 bytes), content."""
    disk, later = FakeDisk(), list[Callable[[], None]]()
    disk.make_directory(DIRECTORY)
    disk.append(disk.create(f"{DIRECTORY}/base"), b"x" * 1000)
    tested = channel(disk, later)
    at, now_ns = 0, 1
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        kind = wire.Kind.OFFER + data[at] % 5
        while later:
            later.pop(0)()
        try:
            tested.take(2, 1, kind, memoryview(data[at + 3 : at + 3 + size]))
        except wire.WireError:
            break
        at = min(at + 3 + size, len(data))
        now_ns += data[at - 1] << 30
        tested.tick(now_ns)
    tested.close()
    names = [name for name in disk.list_directory(DIRECTORY) if not name.startswith("temp-snapshot-")]
    assert names == ["base"]
    assert disk.read(f"{DIRECTORY}/base") == b"x" * 1000


def check_handshake(data: bytes) -> None:
    own = handshake.Identity(1, "a", GROUP, "p")
    door = handshake.Acceptor(own, b"secret", lambda count: b"n" * count, FakeClock())
    try:
        door.hello(1, data.split(b" "), bool(data[0] & 1))
        door.upgrade(1, data)
        raise AssertionError("nobody guesses a proof")
    except handshake.HandshakeError:
        pass
    try:
        dialer = handshake.Dialer(own, 2, b"secret", b"n" * 16)
        for start in range(0, len(data), 50):
            dialer.receive(data[start : start + 50])
        assert not dialer.done
    except handshake.HandshakeError:
        pass


CHECKS = (check_message, check_stream, check_snapshots, check_handshake)


def check(data: bytes) -> None:
    """One input."""
    if len(data) > 1:
        CHECKS[data[0] % len(CHECKS)](data[1:])


def main() -> None:
    """Fuzz until an option of libFuzzer ends it."""
    for module in (wire, outgoing, handshake, snapshot_channel):
        for thing in list(vars(module).values()):
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                for name, function in list(vars(thing).items()):
                    if hasattr(function, "__code__"):
                        setattr(thing, name, atheris.instrument_func(function))
            elif hasattr(thing, "__code__") and thing.__module__ == module.__name__:
                setattr(module, thing.__name__, atheris.instrument_func(thing))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
