"""Snapshots on their way: the base of the log, as a file, from one member to another, beside the messages.

The sender looks at the file where it lies and the receiver writes what comes to a file: neither holds it in memory. Frames, all
beginning with the number of the transfer, which the sender chooses (8 bytes)::

    OFFER      index 8, term 8, size 8, CRC-32C 4, and the SNAPSHOT message that the file belongs to
    WANT       offset 8: everything before it is here; send on from there
    PIECE      offset 8, data
    RECEIVED   nothing: all of it is here, whole, and safe on disk
    ABORT      why not, as text; from either side

Sender: at most ``WINDOW_BYTES`` beyond the last WANT are under way, so that a slow disk slows the sender down and not everything
else. Receiver: pieces go to ``temp-snapshot-…`` in the directory of the log, safe on disk step by step. When size and checksum
are right and the file is safe, the message is handed over with the path of the file.

A transfer that ends in the middle leaves its file; when the same snapshot (index, term, size, checksum) is offered again, by
whomever, it goes on where it ended. Only the newest such file is kept.

The checksum of what is sent is computed before the offer, in steps, since it names the snapshot; it is remembered for the
next follower. Nothing here reads a clock or a socket: ``tick`` tells the time, ``send_frame`` sends, ``call_soon`` lets others
have their turn, ``in_background`` waits for the disk.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, Protocol

from kvorum.journal.crc32c import crc32c
from kvorum.journal.disk import Disk, DiskError, DiskFile, FileView, append_all
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.wire import PIECE_BYTES, Buffer, Kind, WireError, decode_message, encode_message

WINDOW_BYTES: Final = 4 * 1024 * 1024
STEP_BYTES: Final = 4 * 1024 * 1024  # of a checksum, between turns of others
SYNC_BYTES: Final = 16 * 1024 * 1024  # so much is written between two fsyncs
PATIENCE_NS: Final = 30_000_000_000  # without any progress
MAX_SNAPSHOT_BYTES: Final = 1 << 50
MAX_REASON_BYTES: Final = 200

_OFFER: Final = Struct(">qqqqI")
_PLACE: Final = Struct(">qq")
_NUMBER: Final = Struct(">q")
_LEFT_OVER: Final = re.compile(r"temp-snapshot-[0-9]+-[0-9]+-[0-9]+-[0-9a-f]{8}\.rdb")

SnapshotKey = tuple[int, int, int, int]  # index, term, size, checksum


class Post(Protocol):
    """Sends a frame to a member; whether it could be queued. What was queued leaves at once if ``now``."""

    def __call__(self, to: int, kind: Kind, pieces: Sequence[Buffer], now: bool) -> bool: ...


@dataclass(slots=True)
class Around:
    """What the channel is handed. ``in_background`` calls the first function where waiting does no harm, and then the second
    one, in the loop, with the error if there was any."""

    disk: Disk
    directory: str
    log: Any
    send_frame: Post
    call_soon: Callable[[Callable[[], None]], object]
    in_background: Callable[[Callable[[], None], Callable[[DiskError | None], None]], None]
    on_received: Callable[[Message, str], object]
    on_sent: Callable[[int, bool], object]


class Sending:
    """A snapshot on its way to one member. ``acknowledged`` and ``sent`` are offsets; -1: the offer is not answered yet."""

    __slots__ = ("acknowledged", "checksum", "computed", "message", "number", "progress_ns", "sent", "to", "view")

    def __init__(self, number: int, message: Message, view: FileView) -> None:
        self.number = number
        self.to = message.to
        self.message = message
        self.view = view
        self.checksum = 0
        self.computed = 0  # bytes that are in the checksum
        self.acknowledged = -1
        self.sent = -1
        self.progress_ns = 0

    @property
    def name(self) -> tuple[int, int, int]:
        """Index, term and size."""
        assert self.message.snapshot is not None
        return self.message.snapshot.index, self.message.snapshot.term, self.view.size


class SnapshotSender:
    """The sending half; at most one snapshot to each member."""

    def __init__(self, around: Around, first_number: int) -> None:
        self._around = around
        self._number = first_number
        self._sendings: dict[int, Sending] = {}
        self._known: tuple[tuple[int, int, int], int] | None = None  # the last one's name and checksum

    def send(self, message: Message, view: FileView) -> None:
        """Begin; the view is closed in the end. One to the same member that is under way is given up."""
        former = self._sendings.pop(message.to, None)
        if former is not None:
            self._abort(former, "another snapshot takes its place")
            close_view(former.view)
        self._number += 1
        sending = self._sendings[message.to] = Sending(self._number, message, view)
        if self._known is not None and self._known[0] == sending.name:
            sending.checksum, sending.computed = self._known[1], view.size
        self._around.call_soon(lambda: self._compute(sending))

    def _is_current(self, sending: Sending) -> bool:
        return self._sendings.get(sending.to) is sending

    def _compute(self, sending: Sending) -> None:
        """A step of the checksum, or the offer."""
        if not self._is_current(sending):
            return
        view = sending.view
        if sending.computed < view.size:
            end = min(sending.computed + STEP_BYTES, view.size)
            sending.checksum = crc32c(view.data[sending.computed : end], sending.checksum)
            sending.computed = end
            self._around.call_soon(lambda: self._compute(sending))
            return
        self._known = (sending.name, sending.checksum)
        index, term, size = sending.name
        head = _OFFER.pack(sending.number, index, term, size, sending.checksum)
        pieces, _ = encode_message(sending.message)
        if not self._around.send_frame(sending.to, Kind.OFFER, [head, *pieces], True):
            self._end(sending, "the member cannot be reached")

    def want(self, from_: int, number: int, offset: int) -> None:
        """The receiver has everything before ``offset``."""
        sending = self._sendings.get(from_)
        if sending is None or sending.number != number:
            return
        if not max(sending.acknowledged, 0) <= offset <= sending.view.size or offset > sending.sent >= 0:
            raise WireError("a part of a snapshot is wanted that cannot be")
        if sending.sent < 0:
            sending.sent = offset
        if offset > sending.acknowledged:
            sending.progress_ns = 0
        sending.acknowledged = offset
        self._pump(sending)

    def _pump(self, sending: Sending) -> None:
        """As many pieces as may be under way."""
        view = sending.view
        while sending.sent < view.size and sending.sent - sending.acknowledged < WINDOW_BYTES:
            end = min(sending.sent + PIECE_BYTES, view.size)
            head = _PLACE.pack(sending.number, sending.sent)
            is_last = end == view.size or end - sending.acknowledged >= WINDOW_BYTES
            if not self._around.send_frame(sending.to, Kind.PIECE, (head, view.data[sending.sent : end]), is_last):
                return  # the queue is full: tick goes on
            sending.sent = end

    def received(self, from_: int, number: int) -> None:
        """All of it is safe at the receiver."""
        sending = self._sendings.get(from_)
        if sending is not None and sending.number == number and sending.sent == sending.view.size:
            self._end(sending, "")

    def aborted(self, from_: int, number: int, reason: str) -> None:
        """The receiver does not want it."""
        sending = self._sendings.get(from_)
        if sending is not None and sending.number == number:
            self._end(sending, reason)

    def lost(self, to: int) -> None:
        """The connection to this member was lost, and what was under way with it."""
        sending = self._sendings.get(to)
        if sending is not None and sending.computed == sending.view.size:
            self._end(sending, "the connection was lost")

    def tick(self, now_ns: int) -> None:
        """Once in a while."""
        for sending in list(self._sendings.values()):
            if sending.computed < sending.view.size:
                continue
            sending.progress_ns = sending.progress_ns or now_ns
            if now_ns - sending.progress_ns > PATIENCE_NS:
                self._abort(sending, "nothing was heard of the receiver")
                self._end(sending, "nothing was heard of the receiver")
            elif sending.sent >= 0:
                self._pump(sending)

    def _abort(self, sending: Sending, reason: str) -> None:
        self._around.send_frame(sending.to, Kind.ABORT, (_NUMBER.pack(sending.number), reason.encode()), True)

    def _end(self, sending: Sending, reason: str) -> None:
        """Report it; no reason: it is there."""
        if not self._is_current(sending):
            return
        del self._sendings[sending.to]
        close_view(sending.view)
        index, _, size = sending.name
        if reason:
            self._around.log.warning("snapshot not sent", member=sending.to, index=index, reason=reason)
        else:
            self._around.log.notice("snapshot sent", member=sending.to, index=index, bytes=size)
        self._around.on_sent(sending.to, bool(reason))

    def close(self) -> None:
        """Let go of the files."""
        sendings, self._sendings = self._sendings, {}
        for sending in sendings.values():
            close_view(sending.view)


def close_view(view: FileView) -> None:
    """Let go of a file, which stays mapped as long as a part of it waits to be sent."""
    with contextlib.suppress(BufferError):
        view.close()


class Receiving:
    """A snapshot that comes in. ``file`` is None while what is there already is looked through."""

    __slots__ = (
        "checksum", "ending", "file", "from_", "key", "message", "number", "path", "progress_ns", "size", "synced", "syncing",
    )  # fmt: skip

    def __init__(self, from_: int, number: int, key: SnapshotKey, message: Message, path: str) -> None:
        self.from_ = from_
        self.number = number
        self.key = key
        self.message = message
        self.path = path
        self.file: DiskFile | None = None
        self.size = 0  # bytes that are in the file
        self.checksum = 0  # of these
        self.synced = 0
        self.syncing = False
        self.ending = False
        self.progress_ns = 0


class SnapshotReceiver:
    """The receiving half; one snapshot at a time, the one that was offered last."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._receiving: Receiving | None = None

    def offer(self, from_: int, number: int, key: SnapshotKey, message: Message) -> None:
        """A member wants to send this one."""
        former = self._receiving
        if former is not None and former.key == key and former.ending:
            former.from_, former.number, former.message = from_, number, message  # it is here: say so in the end
            return
        self._drop()
        name = f"temp-snapshot-{key[0]}-{key[1]}-{key[2]}-{key[3]:08x}.rdb"
        receiving = Receiving(from_, number, key, message, posixpath.join(self._around.directory, name))
        self._receiving = receiving
        self._around.log.notice("a snapshot comes", member=from_, index=key[0], bytes=key[2])
        try:
            self._remove_others(name)
            if self._around.disk.exists(receiving.path):
                view = self._around.disk.view(receiving.path)
                self._around.call_soon(lambda: self._look_through(receiving, view))
            else:
                receiving.file = self._around.disk.create(receiving.path)
                self._ask(receiving)
        except DiskError as error:
            self._fail(receiving, str(error))

    def _remove_others(self, kept: str) -> None:
        disk, directory = self._around.disk, self._around.directory
        for name in disk.list_directory(directory):
            if name != kept and _LEFT_OVER.fullmatch(name):
                disk.unlink(posixpath.join(directory, name))

    def _look_through(self, receiving: Receiving, view: FileView) -> None:
        """A step of the checksum of what an earlier transfer has left; then the rest is asked for."""
        if self._receiving is not receiving or view.size > receiving.key[2]:
            view.close()
            if self._receiving is receiving:
                self._fail(receiving, "what was left of it is too long", remove=True)
            return
        receiving.progress_ns = 0
        if receiving.size < view.size:
            end = min(receiving.size + STEP_BYTES, view.size)
            receiving.checksum = crc32c(view.data[receiving.size : end], receiving.checksum)
            receiving.size = end
            self._around.call_soon(lambda: self._look_through(receiving, view))
            return
        view.close()
        try:
            receiving.file = self._around.disk.open_append(receiving.path)
        except DiskError as error:
            self._fail(receiving, str(error))
            return
        self._ask(receiving)
        self._complete(receiving)

    def _ask(self, receiving: Receiving) -> None:
        payload = _PLACE.pack(receiving.number, receiving.size)
        self._around.send_frame(receiving.from_, Kind.WANT, (payload,), True)

    def piece(self, from_: int, number: int, offset: int, data: memoryview) -> None:
        """The next part. Raises WireError if it is none."""
        receiving = self._receiving
        if receiving is None or (receiving.from_, receiving.number) != (from_, number) or receiving.ending:
            return  # of one that was given up
        if offset != receiving.size or len(data) > receiving.key[2] - offset or receiving.file is None:
            raise WireError("a part of a snapshot that was not asked for")
        try:
            append_all(self._around.disk, receiving.file, data)
        except DiskError as error:
            self._fail(receiving, str(error), remove=True)  # a full disk needs the room
            return
        receiving.checksum = crc32c(data, receiving.checksum)
        receiving.size += len(data)
        receiving.progress_ns = 0
        self._ask(receiving)
        self._sync(receiving)
        self._complete(receiving)

    def _sync(self, receiving: Receiving) -> None:
        """Let the disk write while more comes, so that the end need not wait for all of it."""
        file = receiving.file
        if file is None or receiving.syncing or receiving.size - receiving.synced < SYNC_BYTES:
            return
        size = receiving.size
        receiving.syncing = True
        self._around.in_background(
            lambda: self._around.disk.fdatasync(file), lambda error: self._synced(receiving, size, error)
        )

    def _synced(self, receiving: Receiving, size: int, error: DiskError | None) -> None:
        receiving.syncing = False
        receiving.synced = size
        if self._receiving is not receiving:
            self._close_file(receiving)
        elif error is not None:
            self._fail(receiving, str(error), remove=True)
        else:
            self._complete(receiving)

    def _complete(self, receiving: Receiving) -> None:
        """If all of it is there: check it, and make it safe."""
        file = receiving.file
        if file is None or receiving.size < receiving.key[2] or receiving.syncing or receiving.ending:
            return
        if receiving.checksum != receiving.key[3]:
            self._fail(receiving, "its checksum is wrong", remove=True)
            return
        receiving.ending = receiving.syncing = True
        disk = self._around.disk
        self._around.in_background(lambda: disk.fsync(file), lambda error: self._safe(receiving, error))

    def _safe(self, receiving: Receiving, error: DiskError | None) -> None:
        receiving.syncing = False
        if self._receiving is not receiving:
            self._close_file(receiving)
            return
        try:
            if error is not None:
                raise error
            self._close_file(receiving)
            self._around.disk.sync_directory(self._around.directory)
        except DiskError as failure:
            self._fail(receiving, str(failure), remove=True)
            return
        self._receiving = None
        self._around.send_frame(receiving.from_, Kind.RECEIVED, (_NUMBER.pack(receiving.number),), True)
        self._around.log.notice("snapshot received", member=receiving.from_, index=receiving.key[0])
        self._around.on_received(receiving.message, receiving.path)

    def aborted(self, from_: int, number: int) -> None:
        """The sender gives it up. What came is kept for the next offer."""
        receiving = self._receiving
        if receiving is not None and (receiving.from_, receiving.number) == (from_, number) and not receiving.ending:
            self._drop()

    def tick(self, now_ns: int) -> None:
        """Once in a while."""
        receiving = self._receiving
        if receiving is None or receiving.ending:
            return
        receiving.progress_ns = receiving.progress_ns or now_ns
        if now_ns - receiving.progress_ns > PATIENCE_NS:
            self._fail(receiving, "nothing more came")
        elif receiving.file is not None and now_ns > receiving.progress_ns:
            self._ask(receiving)  # the last time it may have got lost

    def _fail(self, receiving: Receiving, reason: str, remove: bool = False) -> None:
        self._around.log.warning("snapshot not received", member=receiving.from_, index=receiving.key[0], reason=reason)
        payload = (_NUMBER.pack(receiving.number), reason.encode()[:MAX_REASON_BYTES])
        self._around.send_frame(receiving.from_, Kind.ABORT, payload, True)
        self._drop()
        if remove:
            try:
                self._around.disk.unlink(receiving.path)
            except DiskError as error:
                self._around.log.warning("an unfinished snapshot stays", reason=str(error))

    def _drop(self) -> None:
        receiving, self._receiving = self._receiving, None
        if receiving is not None and not receiving.syncing:
            self._close_file(receiving)

    def _close_file(self, receiving: Receiving) -> None:
        file, receiving.file = receiving.file, None
        if file is not None:
            self._around.disk.close(file)

    def close(self) -> None:
        """Let go of the file, which stays for the next start."""
        self._drop()


class SnapshotChannel:
    """Both halves, and the frames between them."""

    def __init__(self, around: Around, first_number: int) -> None:
        self.sender = SnapshotSender(around, first_number)
        self.receiver = SnapshotReceiver(around)

    def take(self, from_: int, own: int, kind: int, data: memoryview) -> None:
        """A frame of a member. Raises WireError."""
        if len(data) < _NUMBER.size:
            raise WireError("a frame of a snapshot is too short")
        (number,) = _NUMBER.unpack_from(data)
        if kind == Kind.OFFER:
            self._take_offer(from_, own, data)
        elif kind == Kind.RECEIVED:
            self.sender.received(from_, number)
        elif kind == Kind.ABORT:
            reason = bytes(data[_NUMBER.size :][:MAX_REASON_BYTES]).decode("utf-8", "replace")
            self.sender.aborted(from_, number, reason or "refused")
            self.receiver.aborted(from_, number)
        else:
            self._take_place(from_, kind, data)

    def _take_place(self, from_: int, kind: int, data: memoryview) -> None:
        if len(data) < _PLACE.size:
            raise WireError("a frame of a snapshot is too short")
        number, offset = _PLACE.unpack_from(data)
        if kind == Kind.WANT:
            self.sender.want(from_, number, offset)
        else:
            self.receiver.piece(from_, number, offset, data[_PLACE.size :])

    def _take_offer(self, from_: int, own: int, data: memoryview) -> None:
        if len(data) < _OFFER.size:
            raise WireError("an offer of a snapshot is too short")
        number, index, term, size, checksum = _OFFER.unpack_from(data)
        message = decode_message(data, _OFFER.size, len(data))
        snapshot = message.snapshot
        if message.type is not MessageType.SNAPSHOT or snapshot is None or (message.from_, message.to) != (from_, own):
            raise WireError("an offer of a snapshot without its message")
        if (snapshot.index, snapshot.term) != (index, term) or not 0 <= size <= MAX_SNAPSHOT_BYTES:
            raise WireError("an offer of a snapshot that contradicts itself")
        self.receiver.offer(from_, number, (index, term, size, checksum), message)

    def tick(self, now_ns: int) -> None:
        """Once in a while: what makes no progress ends."""
        self.sender.tick(now_ns)
        self.receiver.tick(now_ns)

    def close(self) -> None:
        """Let go of all files."""
        self.sender.close()
        self.receiver.close()
