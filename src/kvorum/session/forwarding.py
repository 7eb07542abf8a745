"""A client's commands are executed by the leader: one connection to it per client that forwards.

Where it stands. ``FollowerRole`` hands over the requests that are not for this member (``role.py``); a ``Forwarding``
sends them on, over an ``Upstream`` that ``net`` or a simulation provides, and writes the replies that come back to its
client. The session at the leader has the client's user, database, protocol and name (KVORUM AS), so that replies are handed
on byte by byte. MULTI, WATCH and blocking commands live there, and die with it.

What it promises:

- *Order.* Replies leave in the order of the requests. Commands that are executed here wait until nothing is outstanding.
- *Nothing twice.* A write that was sent and not answered when the upstream is lost is answered with ``-UNKNOWN``. Only what
  certainly was not executed is sent again: what was not sent, reads, and what the other side refused because it does not lead;
  who refuses for that reason executes nothing more that comes over the same connection.
- *MULTI and WATCH.* If the upstream is lost before EXEC was sent, nothing of the transaction has happened, and EXEC says so.
  A lost WATCH counts as a change: the next EXEC answers nil.
- *Waiting is bounded.* Without a leader requests wait for one, at most ``patience``; then ``-CLUSTERDOWN``.
- *Bounds.* More than ``MOST_REQUESTS`` or ``MOST_BYTES`` outstanding, and the client's next request is not looked at.

It is a state machine: whatever happens is a call, and after each ``_pump`` does what can be done now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kvorum import errors
from kvorum.resp.replies import ReplyProtocolError
from kvorum.resp.requests import request
from kvorum.session.trust import Asking, TrustError

if TYPE_CHECKING:
    from kvorum.session.role import FollowerRole
    from kvorum.session.session import Session

MOST_REQUESTS = 4096
MOST_BYTES = 16 * 1024 * 1024
LONGEST_LINE = 65536
RETRY_S = 0.02  # after a refusal or a connection that did not come about
ENDS = (b"exec", b"discard")
DISCARD = request(b"DISCARD")
PUSH = 0x3E  # >
ERROR = 0x2D  # -
HIGH_OUTPUT_BYTES = 16 * 1024 * 1024  # with so many unread replies nothing more is taken from the leader
LOOK_AGAIN_S = 0.05

NOT_LEADER_PREFIX = b"-" + errors.NOT_LEADER.split(b" ", 1)[0] + b" "
OUTCOME_OPEN = b"-" + errors.FORWARDED_OUTCOME_OPEN + b"\r\n"
NO_LEADER = b"-" + errors.NO_LEADER + b"\r\n"
NULL_ARRAYS = {2: b"*-1\r\n", 3: b"_\r\n"}
ASK_INDEX = request(b"KVORUM", b"INDEX")
UNKNOWN_INDEX = -1

# What a session is held by: until nothing is outstanding, or until there is room for more.
UNTIL_QUIET = "forwarding"
UNTIL_ROOM = "forwarding too much"


class Upstream(Protocol):
    """A connection that is being made, or made. It tells its ``Receiver``; after ``close`` nothing more."""

    def send(self, data: bytes) -> None:
        """Send, together with what else is sent in this turn."""

    def pause(self, paused: bool) -> None:
        """Whether to leave unread what comes."""

    def close(self) -> None: ...


class Receiver(Protocol):
    """Who is told by an ``Upstream``. ``lost`` is the last that it is told."""

    def connected(self) -> None: ...

    def received(self, data: bytes) -> None: ...

    def lost(self) -> None: ...


Connect = Callable[[str, int, Receiver], Upstream]


class ReplySplitter:
    """Bytes in, whole replies out, as they came. Only their bounds are looked at."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._cursor = 0
        self._missing = 1  # values until the reply is whole

    def feed(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole reply. Raises ReplyProtocolError."""
        buffer = self._buffer
        while self._missing:
            end = buffer.find(b"\r\n", self._cursor)
            if end < 0:
                if len(buffer) - self._cursor > LONGEST_LINE:
                    raise ReplyProtocolError("a line is too long")
                return None
            behind = self._pass(buffer[self._cursor], buffer[self._cursor + 1 : end], end + 2)
            if behind > len(buffer):
                return None
            self._cursor = behind
        reply = bytes(buffer[: self._cursor])
        del buffer[: self._cursor]
        self._cursor = 0
        self._missing = 1
        return reply

    def _pass(self, kind: int, text: bytearray, behind: int) -> int:
        """One value: count what it is made of. Returns where it ends, maybe behind what has arrived."""
        if kind in b"+-:_#,(":
            self._missing -= 1
            return behind
        try:
            size = int(text)
        except ValueError:
            raise ReplyProtocolError("an invalid size or count") from None
        if kind in b"$=!":
            behind += size + 2 if size >= 0 else 0
            if behind <= len(self._buffer):
                self._missing -= 1
        elif kind in b"*~>":
            self._missing += max(size, 0) - 1
        elif kind in b"%|":  # an attribute is followed by what it belongs to
            self._missing += 2 * size - (kind == 0x25)
        else:
            raise ReplyProtocolError("an unknown type of reply")
        return behind


class ForwardedTransaction:
    """From MULTI to EXEC or DISCARD. ``begun``: the leader has said OK to MULTI."""

    __slots__ = ("begun", "database", "dead", "exec_sent", "keys", "sequence")

    def __init__(self) -> None:
        self.begun = False
        self.exec_sent = False
        self.dead = False  # its upstream was lost: nothing of it has happened, or nobody knows
        self.database: int | None = None  # the last that it selects
        self.sequence = b""  # its number in an exactly-once session
        self.keys: list[bytes] = []  # that are read in it


class Request:
    """One request on its way. ``answer``: what it is answered with, whatever comes from the leader, or without it."""

    __slots__ = (
        "answer", "data", "instead", "keys", "name", "on_reply", "prefixes", "sent", "sequence", "silent", "transaction",
        "writes",
    )  # fmt: skip

    def __init__(self, name: bytes, data: bytes, writes: bool) -> None:
        self.name = name
        self.data = data
        self.writes = writes
        self.silent = False
        self.sent = False
        self.prefixes = 0  # so many replies to requests of our own come before it: KVORUM AS, KVORUM SEQUENCE
        self.sequence = b""  # its number in an exactly-once session: it may be sent twice
        self.keys: list[bytes] = []  # that the client reads by it, and may keep a copy of
        self.instead: bytes | None = None  # what the client gets in the place of what the leader says
        self.answer: bytes | None = None
        self.transaction: ForwardedTransaction | None = None
        self.on_reply: Callable[[bytes], object] | None = None  # our own request: the client sees nothing of it

    @property
    def ends_watching(self) -> bool:
        """Whether no key is watched any more when it is executed."""
        return self.name == b"unwatch" if self.transaction is None else self.name in ENDS


class Forwarding:
    """What one client has forwarded, and the connection to the leader that it is forwarded over."""

    def __init__(self, role: FollowerRole, session: Session) -> None:
        self.role = role
        self.session = session
        self.requests: deque[Request] = deque()  # not answered yet, oldest first
        self.bytes = 0
        self.transaction: ForwardedTransaction | None = None  # what the client sends next belongs to it
        self.watching = False  # the leader watches keys for it
        self.watch_broken = False
        self.closed = False
        self._unsent: deque[Request] = deque()
        self._upstream: Upstream | None = None
        self._leader_id = 0
        self._asking: Asking | None = None
        self._ready = False
        self._refused = False
        self._splitter = ReplySplitter()
        self._identity: tuple[bytes, ...] = ()
        self._deadline: Any = None
        self._retry: Any = None
        self._in_pump = False
        self._written = 0
        self._paused = False
        self.once_id = b""  # the exactly-once session that the client has adopted
        self.sequence = b""  # the number of its next write
        # Entries up to here must be applied here before the client may read here; None: nothing to wait for.
        self._behind: int | None = None
        self._index_asked = False

    @property
    def busy(self) -> bool:
        """Whether the client still has something at the leader: a request, a transaction, watched keys."""
        at_leader = self.transaction is not None or self.watching or self.watch_broken
        return at_leader or bool(self.requests) or bool(self.sequence)

    @property
    def full(self) -> bool:
        """Whether no more is taken."""
        return len(self.requests) >= MOST_REQUESTS or self.bytes >= MOST_BYTES

    # What the client sends

    def add(self, name: bytes, arguments: list[bytes], writes: bool, silent: bool, keys: Sequence[bytes] = ()) -> None:
        """Forward a request; the caller has looked at ``full``. ``silent``: nobody wants the reply. ``keys``: that the client
        reads by it and is to be told of when they are modified."""
        entry = Request(name, request(*arguments), writes)
        entry.silent = silent
        self._place(entry, arguments)
        if self.transaction is not None:
            self.transaction.keys += keys
        else:
            entry.keys = [*keys, *entry.transaction.keys] if entry.transaction is not None else list(keys)
        if self.sequence and (writes or name == b"multi") and (self.transaction is None or name == b"multi"):
            entry.sequence, self.sequence = self.sequence, b""
            if entry.transaction is not None:
                entry.transaction.sequence = entry.sequence
        if writes:
            self._behind = UNKNOWN_INDEX
            self._index_asked = False
        self._queue(entry)

    def _place(self, entry: Request, arguments: list[bytes]) -> None:
        """Which transaction it belongs to."""
        transaction = self.transaction
        if transaction is None and entry.name == b"multi":
            self.transaction = transaction = ForwardedTransaction()
        entry.transaction = transaction
        if transaction is None:
            return
        if entry.name in ENDS:
            self.transaction = None
        elif entry.name == b"select" and arguments[1].isdigit():
            transaction.database = int(arguments[1])
        if transaction.dead:
            entry.answer = answer_of_the_dead(entry.name)

    def answer(self, reply: bytes) -> None:
        """A reply that is known already, to be given when all before it are there."""
        entry = Request(b"", b"", False)
        entry.answer = reply
        self._queue(entry)

    def _queue(self, entry: Request) -> None:
        self.requests.append(entry)
        self.bytes += len(entry.data)
        if entry.answer is None:
            self._unsent.append(entry)
        self._pump()

    def may_read_here(self, applied_index: int) -> bool:
        """Whether this member has applied everything that the client has written; finds that out if need be."""
        if self._behind is None:
            return True
        if self._behind == UNKNOWN_INDEX:
            if not self._index_asked and not self.requests:
                self._index_asked = True
                entry = Request(b"", ASK_INDEX, False)
                entry.on_reply = self._note_index
                self._queue(entry)
            return False
        if applied_index < self._behind:
            return False
        self._behind = None
        return True

    def _note_index(self, reply: bytes) -> None:
        if self._index_asked and reply.startswith(b":"):  # else it has written again meanwhile
            self._behind = int(reply[1:])

    # Doing what can be done

    def _pump(self) -> None:
        """Answer what can be answered, send what can be sent, and see to it that there is a leader."""
        if self._in_pump or self.closed:
            return
        self._in_pump = True
        try:
            if self._ready:
                self._send()
            self._deliver_known()
        finally:
            self._in_pump = False
        if not self._tell_client():
            return
        if self._unsent:
            self._find_leader()
        else:
            self._stop_waiting()

    def _deliver_known(self) -> None:
        while self.requests and self.requests[0].answer is not None:
            entry = self._take()
            assert entry.answer is not None
            self._give(entry, entry.answer)

    def _take(self) -> Request:
        entry = self.requests.popleft()
        self.bytes -= len(entry.data)
        return entry

    def _give(self, entry: Request, reply: bytes) -> None:
        """The reply to the oldest request."""
        if entry.on_reply is not None:
            entry.on_reply(reply)
        elif not entry.silent:
            self.session.reply.append(reply)
            self._written += 1
            if entry.keys:
                self.role.confirm(self.session, entry.keys)

    def _send(self) -> None:
        """Everything that is not sent yet."""
        upstream = self._upstream
        assert upstream is not None
        while self._unsent:
            entry = self._unsent.popleft()
            transaction = entry.transaction
            if transaction is None or entry.name == b"multi":
                self._introduce(entry)
                if entry.sequence:
                    upstream.send(request(b"KVORUM", b"SEQUENCE", entry.sequence))
                    entry.prefixes += 1
            entry.sent = True
            data = entry.data
            if entry.ends_watching:
                if entry.name == b"exec" and self.watch_broken:
                    data, entry.instead = DISCARD, NULL_ARRAYS[self.session.protocol]
                elif transaction is not None:
                    transaction.exec_sent = entry.name == b"exec"
                self.watch_broken = False
            upstream.send(data)

    def _introduce(self, entry: Request) -> None:
        """Tell the leader who the client is, if that has changed."""
        session = self.session
        user = session.user.name if session.user is not None else b""
        identity = (user, b"%d" % session.database_index, b"%d" % session.protocol, session.name, self.once_id)
        if identity != self._identity:
            assert self._upstream is not None
            self._identity = identity
            self._upstream.send(request(b"KVORUM", b"AS", *identity))
            entry.prefixes += 1

    def _tell_client(self) -> bool:
        """Send what was written; go on with a request that waits for room, or for the end of what is outstanding. Returns
        whether the client is still there: it may be closed for reading too slowly."""
        session = self.session
        connection = session.connection
        written, self._written = self._written, 0
        roomy = len(self.requests) <= MOST_REQUESTS // 2 and self.bytes <= MOST_BYTES // 2
        if (session.held_by == UNTIL_QUIET and not self.requests) or (session.held_by == UNTIL_ROOM and roomy):
            session.held_by = None
            connection.resume(written)
        elif written:
            connection.resume(written)
        if written:
            connection.written()
            self._watch_output()
        return not self.closed

    def _watch_output(self) -> None:
        """To a client that does not read its replies the leader sends no more of them."""
        if self.closed:
            return
        over = self.session.connection.output_bytes > HIGH_OUTPUT_BYTES
        if over != self._paused and self._upstream is not None:
            self._paused = over
            self._upstream.pause(over)
        if over:
            self.role.call_later(LOOK_AGAIN_S, self._watch_output)

    # The leader

    def _find_leader(self) -> None:
        """Something waits to be sent: connect to who leads, or wait until it is known, for some time."""
        if self._deadline is None:
            self._deadline = self.role.call_later(self.role.patience_s, self._give_up)
        if self._upstream is not None or self._retry is not None:
            return
        leader = self.role.leader_to_forward_to()
        if leader is None:
            return  # ``leader_changed`` will be called
        self._leader_id = leader.raft_id
        host, _, port = leader.client_address.rpartition(":")
        self._refused = False
        self._upstream = self.role.connect(host.strip("[]"), int(port), self)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        """Nobody leads: nothing of what waits has been done."""
        self._deadline = None
        for entry in self._unsent:
            entry.answer = NO_LEADER
            if entry.transaction is not None:
                entry.transaction.dead = True
        self._unsent.clear()
        self._pump()

    def leader_changed(self) -> None:
        """Another leads, or nobody does. What was sent to the one before is still answered, if it is alive."""
        upstream = self._upstream
        if upstream is not None and self.role.leader_id() != self._leader_id:
            if not self._ready or not self.busy:
                self._drop()
            else:
                self.role.call_later(self.role.grace_s, lambda: self._abandon(upstream))
        self._pump()

    def _abandon(self, upstream: Upstream) -> None:
        """Who led before has had time to answer."""
        if self._upstream is upstream and self.role.leader_id() != self._leader_id:
            self._drop()

    def _drop(self) -> None:
        """Close the upstream, and draw the conclusions."""
        if self._upstream is not None:
            self._upstream.close()
            self.lost()

    def close(self) -> None:
        """The client has left, or nothing is forwarded any more."""
        self.closed = True
        self._ready = False
        self._stop_waiting()
        if self._retry is not None:
            self._retry.cancel()
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        self.requests.clear()
        self._unsent.clear()

    # What the upstream says

    def connected(self) -> None:
        """Prove that the connection comes from a member."""
        assert self._upstream is not None
        self._asking = self.role.ask_trust(self._leader_id)
        self._upstream.send(self._asking.begin())

    def received(self, data: bytes) -> None:
        """Bytes from the leader."""
        assert self._upstream is not None
        assert self._asking is not None
        try:
            if self._ready:
                self._split(data)
            else:
                answer = self._asking.receive(data)
                if answer:
                    self._upstream.send(answer)
                self._ready = self._asking.done
        except TrustError as error:
            self.role.tell_distrust(self._leader_id, str(error))
            self._drop()
        except ReplyProtocolError:
            self._drop()
        self._pump()

    def _split(self, data: bytes) -> None:
        splitter = self._splitter
        splitter.feed(data)
        while self._ready:  # the upstream may be given up, or the client closed, in the middle
            reply = splitter.next()
            if reply is None:
                return
            if reply[0] != PUSH:
                self._take_reply(reply)

    def _take_reply(self, reply: bytes) -> None:
        if not self.requests or not self.requests[0].sent:
            raise ReplyProtocolError("a reply without a request")
        entry = self.requests[0]
        if entry.prefixes and not reply.startswith(NOT_LEADER_PREFIX):
            entry.prefixes -= 1
            if reply[0] != ERROR:
                return
            entry.answer = reply  # the leader ends the conversation: nothing that was sent is executed
            self._refused = True
            self._drop()
        elif reply.startswith(NOT_LEADER_PREFIX):
            self._refused = True
            self._drop()
        else:
            self._take()
            self._note(entry, reply)
            self._give(entry, reply if entry.instead is None else entry.instead)
            self._deliver_known()

    def _note(self, entry: Request, reply: bytes) -> None:
        """What a reply means for transactions and watched keys."""
        transaction = entry.transaction
        if entry.name == b"multi" and transaction is not None:
            transaction.begun = transaction.begun or reply[0] != ERROR
        elif entry.name == b"watch" and transaction is None and reply[0] != ERROR:
            self.watching = True
        elif entry.ends_watching:
            self.watching = False
            executed = entry.name == b"exec" and entry.instead is None and reply[:1] == b"*" and reply[:2] != b"*-"
            database = None if transaction is None else transaction.database
            if executed and database is not None and database < len(self.session.keyspace.databases):
                self.session.select(database)

    def lost(self) -> None:
        """The upstream is gone: what was sent over it is sent again if that is safe."""
        if self._upstream is None or self.closed:
            return
        was_ready, self._ready = self._ready, False
        self._upstream = self._asking = None
        self._splitter = ReplySplitter()
        self._identity = ()
        self._paused = False
        watched = self.watching
        if watched:
            self.watching, self.watch_broken = False, True
        if self.transaction is not None and self.transaction.begun:
            self.transaction.dead = True
        for entry in self.requests:
            if entry.sent:
                self._decide_fate(entry, watched)
        for entry in self.requests:
            if entry.answer is None and entry.transaction is not None and entry.transaction.dead:
                entry.answer = answer_of_the_dead(entry.name)
        self._unsent = deque(entry for entry in self.requests if entry.answer is None)
        if (self._refused or not was_ready) and self._retry is None:
            self._retry = self.role.call_later(RETRY_S, self._try_again)
        self._pump()

    def _decide_fate(self, entry: Request, watched: bool) -> None:
        """It was sent, and not answered; ``watched``: what the leader watched for it is lost, too."""
        entry.sent = False
        entry.prefixes = 0
        entry.instead = None
        transaction = entry.transaction
        if entry.answer is not None:
            return
        if transaction is None:
            if entry.writes and not self._refused and not entry.sequence:
                entry.answer = OUTCOME_OPEN
        elif transaction.exec_sent and not self._refused:
            if transaction.begun or watched or not transaction.sequence:
                entry.answer = OUTCOME_OPEN
        elif transaction.begun:
            transaction.dead = True

    def _try_again(self) -> None:
        self._retry = None
        self._pump()


def answer_of_the_dead(name: bytes) -> bytes:
    """To a request of a transaction that is lost before anything of it happened."""
    if name == b"exec":
        return b"-" + errors.ABORTED_BECAUSE_OF + errors.TRANSACTION_LOST + b"\r\n"
    return b"+OK\r\n" if name == b"discard" else b"-NOTAPPLIED " + errors.TRANSACTION_LOST + b"\r\n"
