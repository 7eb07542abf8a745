"""Exactly-once sessions: a write that is sent again is answered, and not executed again.

A client that opts in calls ``KVORUM SESSION id`` on each connection that it makes, and ``KVORUM SEQUENCE n`` before each write
(or before MULTI, for a transaction); ``n`` is positive and no two writes of a session have the same. If a connection is lost
before the reply has come, the client sends both again, to any member: either the write had been executed, then the reply is
the one that was lost, or it had not, then it is executed now.

The results are replicated state. They are lines of the entry that bears the effects (``journal.bodies``)::

    #kvorum-session <id> <sequence> <time in Unix ms> <RESP version> <kind> [<base64>]

``kind``: ``+`` a piece of the reply, more follow; ``.`` the last piece; ``!`` the reply was too long to be kept; ``-`` no reply:
what was executed up to this number is forgotten. A snapshot bears the same lines, in its field ``kvorum-sessions``. What is
kept and what is forgotten follows from the lines alone, so that all members keep the same: the last ``MOST_RESULTS`` of a
session, ``MOST_SESSIONS`` sessions and ``MOST_BYTES`` in all; who has written nothing for ``EXPIRE_MS`` is forgotten when
somebody else writes.

A write that changed nothing leaves no result: to execute it again is as if it had been executed but once. Blocking commands
are refused.

Rejected: one command that bears sequence number and write together (every table of commands, keys and rules would have to
look into it; and a transaction has no place for it).
"""

from __future__ import annotations

import binascii
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kvorum import errors
from kvorum.commands.spec import Flag
from kvorum.journal.bodies import MalformedBodyError

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.commands.command import Command
    from kvorum.session.context import ServerContext
    from kvorum.session.session import Session

LINE = b"#kvorum-session "
PIECE_BYTES = 600  # of a reply, in one line
MOST_SESSIONS = 10_000
MOST_RESULTS = 64
MOST_REPLY_BYTES = 16 * 1024
MOST_BYTES = 64 * 1024 * 1024
EXPIRE_MS = 3_600_000
SESSION_BYTES = 500  # about what one takes besides its replies
RESULT_BYTES = 200
MOST_ID_BYTES = 64
MOST_SEQUENCE = 2**63 - 1

MORE, LAST, TOO_LONG, FORGOTTEN = b"+", b".", b"!", b"-"

WRITES = int(Flag.WRITE)
BLOCKING = int(Flag.BLOCKING)
ALIKE_IN_BOTH = b"+-:"  # replies that are the same in RESP2 and RESP3


class Result:
    """What was answered. ``reply`` is None if it was too long; ``position``: what it waits for on the member that executed."""

    __slots__ = ("position", "protocol", "reply")

    def __init__(self, reply: bytes | None, protocol: int, position: int) -> None:
        self.reply = reply
        self.protocol = protocol
        self.position = position


class History:
    """What one session has done. Everything up to ``floor`` that is not among the results is forgotten."""

    __slots__ = ("bytes", "floor", "results", "time_ms")

    def __init__(self) -> None:
        self.results: dict[int, Result] = {}
        self.floor = 0
        self.bytes = SESSION_BYTES
        self.time_ms = 0

    @property
    def highest(self) -> int:
        """The highest sequence number so far."""
        return max(self.results, default=self.floor)


class Results:
    """The results of all sessions: the replicated state."""

    def __init__(self) -> None:
        self.histories: OrderedDict[bytes, History] = OrderedDict()  # who wrote last comes last
        self.bytes = 0
        self._pieces: list[bytes] = []

    def clear(self) -> None:
        """Begin anew."""
        self.histories.clear()
        self.bytes = 0
        self._pieces = []

    def note(self, id: bytes, sequence: int, time_ms: int, result: Result) -> None:
        """A write was executed, here or elsewhere."""
        history = self._touch(id, time_ms)
        history.results[sequence] = result
        self._weigh(history, RESULT_BYTES + len(result.reply or b""))
        if len(history.results) > MOST_RESULTS:
            lowest = min(history.results)
            self._weigh(history, -RESULT_BYTES - len(history.results.pop(lowest).reply or b""))
            history.floor = max(history.floor, lowest)
        self._forget_old(time_ms)

    def _touch(self, id: bytes, time_ms: int) -> History:
        history = self.histories.get(id)
        if history is None:
            history = self.histories[id] = History()
            self.bytes += SESSION_BYTES
        self.histories.move_to_end(id)
        history.time_ms = time_ms
        return history

    def _weigh(self, history: History, more_bytes: int) -> None:
        history.bytes += more_bytes
        self.bytes += more_bytes

    def _forget_old(self, now_ms: int) -> None:
        histories = self.histories
        while len(histories) > 1:
            history = next(iter(histories.values()))
            if len(histories) <= MOST_SESSIONS and self.bytes <= MOST_BYTES and history.time_ms >= now_ms - EXPIRE_MS:
                return
            histories.popitem(last=False)
            self.bytes -= history.bytes

    def take(self, lines: Iterable[bytes]) -> None:
        """Lines of the log, or of a snapshot; those of others are not looked at. Raises MalformedBodyError."""
        for line in lines:
            if line.startswith(LINE):
                try:
                    self._take_line(line[len(LINE) :].split(b" "))
                except (ValueError, IndexError) as error:
                    raise MalformedBodyError(f"a result of an exactly-once session cannot be read: {error}") from error

    def _take_line(self, words: list[bytes]) -> None:
        id, sequence, time_ms, protocol, kind = words[0], int(words[1]), int(words[2]), int(words[3]), words[4]
        if kind in (MORE, LAST):
            self._pieces.append(binascii.a2b_base64(words[5]))
        if kind == FORGOTTEN:
            history = self._touch(id, time_ms)
            history.floor = max(history.floor, sequence)
        elif kind != MORE:
            pieces, self._pieces = self._pieces, []
            reply = b"".join(pieces) if kind == LAST else None
            self.note(id, sequence, time_ms, Result(reply, protocol, 0))

    def encode(self) -> bytes:
        """All of it as lines, for a snapshot; empty if there is nothing."""
        return b"\r\n".join(self._lines())

    def _lines(self) -> Iterator[bytes]:
        for id, history in self.histories.items():
            if history.floor:
                yield b"%b%b %d %d 2 -" % (LINE, id, history.floor, history.time_ms)
            for sequence, result in history.results.items():
                yield from lines_of(id, sequence, history.time_ms, result)


def lines_of(id: bytes, sequence: int, time_ms: int, result: Result) -> list[bytes]:
    """The lines of one result, without their ends."""
    head = b"%b%b %d %d %d " % (LINE, id, sequence, time_ms, result.protocol)
    reply = result.reply
    if reply is None:
        return [head + TOO_LONG]
    pieces = [reply[at : at + PIECE_BYTES] for at in range(0, len(reply), PIECE_BYTES)]
    return [
        b"%b%b %b" % (head, LAST if number == len(pieces) else MORE, binascii.b2a_base64(piece, newline=False))
        for number, piece in enumerate(pieces, 1)
    ]


class OnceClient:
    """A connection that has adopted a session. ``sequence``: of the next write; 0: it has none."""

    __slots__ = ("before", "executing", "id", "mark", "sequence")

    def __init__(self, id: bytes) -> None:
        self.id = id
        self.sequence = 0
        self.executing = 0  # the number of the write that is being executed
        self.before = 0  # the position of the log before it
        self.mark = 0  # bytes in the reply buffer before it


class ExactlyOnce:
    """The sessions of one server: who has adopted which, and their results."""

    def __init__(self, server: ServerContext) -> None:
        self.server = server
        self.results = Results()
        self._clients: dict[int, OnceClient] = {}
        self._lines: list[bytes] = []

    # What commands call

    def adopt(self, session: Session, id: bytes) -> int:
        """KVORUM SESSION: the highest number that the session has used; 0: it is new, or forgotten."""
        self._clients[session.id] = OnceClient(id)
        session.expect_once()
        history = self.results.histories.get(id)
        if history is None:
            return 0
        session.required = max([session.required, *(result.position for result in history.results.values())])
        return history.highest

    def announce(self, session: Session, sequence: int) -> bool:
        """KVORUM SEQUENCE: the number of the next write; False: the connection has adopted no session."""
        client = self._clients.get(session.id)
        if client is None:
            return False
        client.sequence = sequence
        return True

    def hand_over(self, session: Session) -> tuple[bytes, bytes]:
        """Another member executes for this client from now on: what it has to know, the session's id and the number of the
        next write; empty if there are none."""
        client = self._clients.get(session.id)
        if client is None:
            return b"", b""
        sequence, client.sequence = client.sequence, 0
        return client.id, b"%d" % sequence if sequence else b""

    def forget(self, session: Session) -> None:
        """The client has left, or begins anew."""
        self._clients.pop(session.id, None)

    # What the pipeline calls

    def admit(self, session: Session, command: Command, flags: int) -> int:
        """1: execute it; 0: it was executed before, and is answered, or it is refused."""
        client = self._clients[session.id]
        if not client.sequence or not flags & WRITES:
            return 1
        sequence, client.sequence = client.sequence, 0
        if flags & BLOCKING and command.name != b"exec":
            return self.server.pipeline.refuse(session, command, errors.BLOCKING_ONCE)
        history = self.results.histories.get(client.id)
        if history is not None:
            result = history.results.get(sequence)
            if result is not None:
                return self._repeat(session, command, result)
            if sequence <= history.floor:
                return self.server.pipeline.refuse(session, command, errors.FORGOTTEN_RESULT)
        client.executing = sequence
        client.before = self.server.effects.position
        client.mark = session.call.reply.pending
        return 1

    def _repeat(self, session: Session, command: Command, result: Result) -> int:
        """Give the reply once more, as soon as what it rests on is safe."""
        session.required = max(session.required, result.position)
        reply = result.reply
        if command.name == b"exec":
            session.end_transaction()
        if reply is None or (result.protocol != session.protocol and reply[:1] not in ALIKE_IN_BOTH):
            return self.server.pipeline.refuse(session, None, errors.FORGOTTEN_RESULT)
        session.call.reply.append(reply)
        self.server.pipeline.drop_reply(session)
        return 0

    def executed(self, call: Call) -> None:
        """A command was executed: if it was a write with a number, keep its result."""
        session = call.session
        client = self._clients[session.id]
        sequence, client.executing = client.executing, 0
        position = self.server.effects.position
        if not sequence or position == client.before:
            return
        reply: bytes | None = call.reply.getvalue()[client.mark :]
        if reply is not None and len(reply) > MOST_REPLY_BYTES:
            reply = None
        result = Result(reply, session.protocol, position)
        time_ms = self.server.keyspace.now_ms
        self.results.note(client.id, sequence, time_ms, result)
        self._log(lines_of(client.id, sequence, time_ms, result))

    def _log(self, lines: list[bytes]) -> None:
        """Let the entry that bears the effects of this turn bear these lines, too."""
        journal = self.server.effects.journal
        if journal is None:
            return
        if not self._lines:
            self._wrap(journal)
        self._lines += lines

    def _wrap(self, journal: Any) -> None:
        """Stand before the journal until the turn is committed."""

        def write(batch: bytes, start: int, database: int, last: int, position: int) -> object:
            self.server.effects.journal = journal
            lines, self._lines = self._lines, []
            head = b"".join([line + b"\r\n" for line in lines]) if len(batch) > start else b""
            return journal(b"".join((batch[:start], head, batch[start:])), start, database, last, position)

        self.server.effects.journal = write
