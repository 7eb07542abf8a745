"""The way of a command: look up, admit, execute, log its effects, count.

One ``Pipeline`` serves all sessions of a server. ``run`` is the hot path. The admission checks stand in ``_admit`` in one
visible order; ``run`` enters it only when a bit is set in the session's gates or in the pipeline's own, so that an
ordinary command of an ordinary client pays one test for all of them.

Time is read once per command: the end of one is the beginning of the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.command import Command
from kvorum.commands.half_done import log_what_is_there
from kvorum.commands.spec import Flag
from kvorum.errors import CommandError
from kvorum.keyspace.table import EXPIRY_DELETE, EXPIRY_HIDE
from kvorum.resp.parser import Status
from kvorum.resp.types import QUEUED, WRITTEN
from kvorum.session.role import FollowerRole
from kvorum.session.session import (
    EXACTLY_ONCE,
    FORWARDED,
    FORWARDING,
    HAS_MAILBOX,
    IN_TRANSACTION,
    NO_TOUCH,
    REPLY_OFF,
    REPLY_SKIP,
    REPLY_SKIP_NEXT,
    RESTRICTED,
    SUBSCRIBED,
    TRACKING,
    UNAUTHENTICATED,
    Session,
)

if TYPE_CHECKING:
    from kvorum.session.blocking import Blocked
    from kvorum.session.context import ServerContext

# Bits of Pipeline.gates
LOADING = 1  # the dataset is being read
MEMORY = 2  # maxmemory is set
PAUSED = 4  # CLIENT PAUSE
MONITORED = 8  # at least one client runs MONITOR
DISK_FAILED = 16  # the journal cannot be written
SNAPSHOT_FAILED = 32  # save points do not work, and writes are to stop then
NOT_SERVING = 64  # a member of a group that does not lead it, or not yet: see ``role``
FEW_REPLICAS = 128  # fewer than min-replicas-to-write
BEHIND = 256  # more than raft-uncommitted-limit waits for a quorum

HTTP_WORDS = frozenset([b"post", b"host:"])

# What MULTI does not queue.
OUTSIDE_TRANSACTIONS = frozenset([b"exec", b"discard", b"multi", b"watch", b"quit", b"reset"])
# All that a RESP2 client may send while it listens to channels: messages and replies look alike there.
FOR_SUBSCRIBERS = frozenset(
    [b"ping", b"subscribe", b"ssubscribe", b"unsubscribe", b"sunsubscribe", b"psubscribe", b"punsubscribe", b"quit",
     b"reset"]
)  # fmt: skip

NEVER_SLOW = 1 << 62
REQUEST = int(Status.REQUEST)
HELD = -1
SLEW = 10  # a clock that is ahead loses a tenth of the time that passes

# Plain integers: the operators of IntFlag cost more than the command.
WRITES = int(Flag.WRITE)
MAY_WRITE = int(Flag.WRITE | Flag.MAY_REPLICATE)
NO_AUTH = int(Flag.NO_AUTH)
DENYOOM = int(Flag.DENYOOM)
READONLY = int(Flag.READONLY)
NO_MULTI = int(Flag.NO_MULTI)
WHILE_LOADING = int(Flag.LOADING)
FAST = int(Flag.FAST)
LOGGED = int(Flag.WRITE | Flag.MAY_REPLICATE)
BLOCKING = int(Flag.BLOCKING)
SKIP_SLOWLOG = int(Flag.SKIP_SLOWLOG)
UNMONITORED = int(Flag.SKIP_MONITOR | Flag.ADMIN)


class Pipeline:
    """Executes the requests of all sessions of one server, one after the other."""

    def __init__(self, server: ServerContext) -> None:
        self.server = server
        self.clock = server.clock
        self.registry = server.registry
        self.index = server.registry.index
        self.keyspace = server.keyspace
        self.effects = server.effects
        self.outbox = server.outbox
        self.gates = 0
        self.wall_offset_ms = 0
        self.slow_ns = NEVER_SLOW
        self.track_latency = True
        self.commands = 0
        self.memory_limit_bytes = 0
        self.pause_until_ms = 0
        self.pause_writes_only = False
        self.held: list[Session] = []
        self.disk_error = b""
        self.ahead_ms = 0  # of the clock: see not_before
        self.time_set_ms = 0
        self.role = FollowerRole(server)
        self.set_time()

    @property
    def serving(self) -> bool:
        """Whether commands on the data are executed here: there is no group, or this member leads it."""
        return not self.gates & NOT_SERVING

    def set_time(self) -> int:
        """Read both clocks: wall time is the monotonic clock plus an offset that is renewed here. Returns ms."""
        self.clock.calibrate()
        wall_ms = self.clock.wall_ms()
        now_ms = self.clock.monotonic_ns() // 1_000_000
        if self.ahead_ms > 0:
            self.ahead_ms = max(self.ahead_ms - (now_ms - self.time_set_ms) // SLEW, 0)
            wall_ms += self.ahead_ms
        self.time_set_ms = now_ms
        self.wall_offset_ms = wall_ms - now_ms
        self.keyspace.now_ms = wall_ms
        return wall_ms

    def not_before(self, wall_ms: int) -> None:
        """Time has been there already, by the clock of whoever led before: go on from there, and lose the difference slowly."""
        self.ahead_ms = max(wall_ms - self.clock.wall_ms(), self.ahead_ms, 0)
        self.set_time()

    def run(self, session: Session, start_ns: int) -> int:
        """Execute the request that ``session.parser`` found.

        ``start_ns`` and the result are readings of the monotonic clock. ``HELD`` means that nothing was done: the
        session was put aside (paused) and the same request is to be given again when its connection is resumed.
        """
        call = session.call
        call.begin(session.parser)
        now_ms = self.wall_offset_ms + start_ns // 1_000_000
        self.keyspace.now_ms = now_ms
        call.now_ms = now_ms
        command = self.index.resolve(call.argv, call.argc)
        if command is None:
            self._unknown(session)
            return self.clock.monotonic_ns()
        call.command = command
        if call.argc != command.arity and (command.arity >= 0 or call.argc < -command.arity):
            self.refuse(session, command, errors.wrong_arity(command.name))
            return self.clock.monotonic_ns()
        if self.gates | session.gates:
            admitted = self._admit(session, command)
            if admitted != 1:
                return self.clock.monotonic_ns() if admitted == 0 else HELD
        end_ns = self.execute(session, command, start_ns)
        if self.gates | session.gates:
            self._after(session, command)
        if self.keyspace.ready:
            self.server.blocking.serve()
            end_ns = self.clock.monotonic_ns()
        return end_ns

    def execute(self, session: Session, command: Command, start_ns: int) -> int:
        """Execute the request that ``session.call`` bears: write its reply, note its effects, count it. Returns the end."""
        call = session.call
        failed = False
        reply = call.reply
        mark = reply.pending
        before = self.effects.position if self.outbox.holding else 0
        self.effects.begin()
        try:
            if command.raw:
                result = command.handler(call)  # type: ignore[misc]  # only containers have none, and those need two words
            else:
                result = command.handler(call, *command.decoder.decode(call.args))  # type: ignore[misc]
            if result is not WRITTEN:
                call.reply.value(result)
                if type(result) is CommandError:
                    failed = True
                    self._count_error(result)
        except CommandError as error:
            failed = True
            reply.rewind(mark)
            reply.value(error)
            self._count_error(error)
        except Exception:
            failed = True
            reply.rewind(mark)  # half a reply would leave the client waiting for the rest
            self.server.log.exception("command failed", command=command.name.decode())
            internal = CommandError(errors.INTERNAL)
            reply.value(internal)
            self._count_error(internal)
            if command.flags & MAY_WRITE:
                log_what_is_there(call)
        call.finish(self.effects)
        if self.outbox.holding:
            needed = self.outbox.needed(call, command, before)
            if needed > session.required:
                session.required = needed
        end_ns = self.clock.monotonic_ns()
        self.commands += 1
        session.last_command = command
        session.active_ns = end_ns
        command.calls += 1
        command.nanoseconds += end_ns - start_ns
        if failed:
            command.failed_calls += 1
        if self.track_latency:
            command.record(end_ns - start_ns)
        if end_ns - start_ns >= self.slow_ns:
            self._note_slow(session, command, end_ns - start_ns)
        return end_ns

    def execute_all(self, session: Session, commands: list[tuple[Command, list[bytes]]]) -> object:
        """EXEC: execute what was queued; the effects of all are one unit. Writes the reply and says so."""
        call = session.call
        transaction = (call.command, call.args)
        before = self.effects.position
        self.effects.open_group()
        session.executing = True
        try:
            call.reply.array(len(commands))
            for command, request in commands:
                call.load(request)
                call.command = command
                self._execute_queued(session, command)
        finally:
            session.executing = False
            self.effects.close_group()
            if self.outbox.holding:
                self.outbox.note_group(call, commands, before)
            call.command = transaction[0]
            call.load(transaction[1])
        return WRITTEN

    def _execute_queued(self, session: Session, command: Command) -> None:
        refusal = self._forbidden(session, command) if session.gates & RESTRICTED else None
        if refusal is None:
            self.execute(session, command, self.clock.monotonic_ns())
            if self.gates | session.gates:
                self._observe(session, command)
        else:
            session.call.reply.value(CommandError(refusal))
            self.server.statistics.count_error(refusal.split(b" ", 1)[0])

    def apply(self, session: Session) -> int:
        """Execute every whole request that ``session.parser`` has, as a log says it: no checks, no effects, no replies.

        What stands in MULTI and EXEC is executed like the rest: it is one entry of the log anyway. Returns the number of
        requests. ``CommandError``: a command is unknown, or fails, or is none that a log has; who wrote the log did not fail.
        """
        call = session.call
        reply = call.reply
        count = 0
        while session.parser.next() == REQUEST:
            call.begin(session.parser)
            command = self.index.resolve(call.argv, call.argc)
            if command is None:
                raise CommandError(self.registry.unknown(call.args))
            count += 1
            if command.name in (b"multi", b"exec"):
                continue
            if (not command.flags & LOGGED and command.name != b"select") or command.flags & BLOCKING:
                raise CommandError(errors.not_of_a_log(command.name))
            call.command = command
            try:
                if command.raw:
                    result = command.handler(call)  # type: ignore[misc]
                else:
                    result = command.handler(call, *command.decoder.decode(call.args))  # type: ignore[misc]
            finally:
                call.forget()
                reply.consume(reply.pending)
            if type(result) is CommandError:
                raise result
        return count

    def retry(self, blocked: Blocked, key: bytes) -> None:
        """Execute the command of a client that waits for ``key``, which is there now."""
        session = blocked.session
        call = session.call
        call.load(blocked.request)
        call.command = blocked.command
        call.ready_key = key
        call.now_ms = self.keyspace.now_ms
        blocked.command.calls -= 1  # it has been counted when it began to wait
        if session.mailbox is not None:
            session.mailbox.open_command()
        self.execute(session, blocked.command, self.clock.monotonic_ns())
        if session.mailbox is not None:
            session.mailbox.close_command()
        call.ready_key = None

    def _admit(self, session: Session, command: Command) -> int:
        """1: go on; 0: refused, the error is written; -1: held. The order is Redis'."""
        gates = session.gates
        if gates & REPLY_SKIP_NEXT:
            session.gates = gates = (gates & ~REPLY_SKIP_NEXT) | REPLY_SKIP
            session.mute()
        if gates & UNAUTHENTICATED and not command.flags & NO_AUTH:
            return self.refuse(session, command, errors.NO_AUTHENTICATION)
        flags = command.flags
        if gates & IN_TRANSACTION:
            if flags & NO_MULTI:
                return self.refuse(session, command, errors.NOT_IN_MULTI)
            if command.name == b"exec":  # it does what the queued commands do
                flags |= session.transaction.flags
            elif command.name not in OUTSIDE_TRANSACTIONS:
                flags |= DENYOOM  # a queue takes memory, too
        if gates & RESTRICTED:
            refusal = self._forbidden(session, command)
            if refusal is not None:
                return self.refuse(session, command, refusal)
        if self.gates & NOT_SERVING or gates & (FORWARDING | FORWARDED):
            admitted = self.role.admit(session, command, flags)
            if admitted != 1:
                return admitted
        if self.gates & MEMORY and not self.gates & (LOADING | NOT_SERVING):
            has_room = self._make_room()
            if session.closing:
                return 0  # at the news of what was evicted: it has left, nothing may wait or listen in its name
            if not has_room and flags & DENYOOM:
                return self.refuse(session, command, errors.OUT_OF_MEMORY)
        if self.gates & (DISK_FAILED | SNAPSHOT_FAILED) and (flags & WRITES or command.name == b"ping"):
            snapshots = self.gates & SNAPSHOT_FAILED
            refusal = errors.SNAPSHOT_NOT_WRITTEN if snapshots else errors.JOURNAL_NOT_WRITTEN + self.disk_error
            return self.refuse(session, command, refusal)
        if self.gates & FEW_REPLICAS and flags & WRITES:
            return self.refuse(session, command, errors.FEW_REPLICAS)
        if self.gates & BEHIND and flags & WRITES:
            return self.refuse(session, command, errors.BEHIND)
        if gates & SUBSCRIBED and session.listening and command.name not in FOR_SUBSCRIBERS:
            return self.refuse(session, command, errors.not_for_subscribers(command.name))
        if self.gates & LOADING and not command.flags & WHILE_LOADING:
            return self.refuse(session, command, errors.LOADING)
        if self.gates & PAUSED and self.pause_applies(session, flags):
            return HELD
        if gates & IN_TRANSACTION and command.name not in OUTSIDE_TRANSACTIONS:
            return self._queue(session, command)
        if gates & EXACTLY_ONCE and self.server.once.admit(session, command, flags) == 0:
            return 0
        self.keyspace.no_touch = bool(gates & NO_TOUCH) and command.name != b"touch"
        if gates & HAS_MAILBOX:
            session.mailbox.open_command()
        return 1

    def _queue(self, session: Session, command: Command) -> int:
        """MULTI: keep the command for EXEC."""
        transaction = session.transaction
        if not transaction.aborted and not session.watch_broken:  # else nothing will be executed
            transaction.append(command, session.call.args)
        if transaction.argument_bytes > self.server.config.client_query_buffer_limit:
            self.server.log.warning(
                "client closed: its transaction exceeds the query buffer limit",
                address=session.connection.peer.decode("utf-8", "replace"),
            )
            session.connection.close_soon()
        session.call.reply.value(QUEUED)
        session.last_command = command
        if session.gates & (REPLY_SKIP | REPLY_OFF):
            self.drop_reply(session)
        return 0

    def _forbidden(self, session: Session, command: Command) -> bytes | None:
        """The check point of access control: the error for a user who may not run this command, else None."""
        user = session.user
        if user is None or not user.enabled:
            return errors.NO_AUTHENTICATION
        return None

    def _make_room(self) -> bool:
        """Evict until the memory limit is kept; False if that is impossible."""
        return self.keyspace.used_bytes <= self.memory_limit_bytes or self.server.make_room()

    def pause_applies(self, session: Session, flags: int) -> bool:
        """Whether CLIENT PAUSE holds a command with these flags back; if so the session waits for ``unpause``."""
        if self.keyspace.now_ms >= self.pause_until_ms:
            self.unpause()
            return False
        if self.pause_writes_only and not flags & MAY_WRITE:
            return False
        self.held.append(session)
        session.held_by = "pause"
        return True

    def pause(self, until_ms: int, writes_only: bool) -> None:
        """Hold commands back until a moment (Unix ms); a stricter or longer pause that is on stays. Nothing is to change
        meanwhile, so that keys which expire are only hidden."""
        if self.gates & PAUSED:
            until_ms = max(until_ms, self.pause_until_ms)
            writes_only = writes_only and self.pause_writes_only
        self.pause_until_ms = until_ms
        self.pause_writes_only = writes_only
        self.gates |= PAUSED
        if self.keyspace.expiry_mode == EXPIRY_DELETE:
            self.keyspace.expiry_mode = EXPIRY_HIDE

    def unpause(self) -> None:
        """End the pause and let the held sessions go on."""
        if self.gates & PAUSED and self.keyspace.expiry_mode == EXPIRY_HIDE:
            self.keyspace.expiry_mode = EXPIRY_DELETE
        self.gates &= ~PAUSED
        self.pause_until_ms = 0
        held, self.held = self.held, []
        for session in held:
            session.held_by = None
        for session in held:
            session.connection.resume()

    def forget(self, session: Session) -> None:
        """The client left: it is not to be resumed."""
        if session.gates & FORWARDING:
            self.role.forget(session)
        if session.gates & EXACTLY_ONCE:
            self.server.once.forget(session)
        if session.held_by is not None:
            self.held = [held for held in self.held if held is not session]
            session.held_by = None

    def watch_monitors(self, present: bool) -> None:
        """Feed monitors from now on, or no longer."""
        self.gates = self.gates | MONITORED if present else self.gates & ~MONITORED

    def refuse(self, session: Session, command: Command | None, message: bytes) -> int:
        """Answer with an error; nothing was executed."""
        if session.gates & FORWARDING and self.role.refuse_later(session, message):
            return 0
        if session.transaction is not None:
            session.transaction.aborted = True
        if command is not None and command.name == b"exec":  # also without MULTI, as Redis words it
            session.end_transaction()
            message = errors.ABORTED_BECAUSE_OF + message.removeprefix(b"ERR ")
        if session.gates & (REPLY_SKIP | REPLY_SKIP_NEXT):
            session.gates &= ~(REPLY_SKIP | REPLY_SKIP_NEXT)
            session.unmute()
        elif not session.gates & REPLY_OFF:
            session.reply.value(CommandError(message))
        if session.gates & TRACKING:
            self.use_up_caching(session, command)
        self.server.statistics.count_error(message.split(b" ", 1)[0])
        if command is not None:
            command.rejected_calls += 1
        session.active_ns = self.clock.monotonic_ns()
        return 0

    def _unknown(self, session: Session) -> None:
        """There is no such command. Words that HTTP begins lines with end the conversation instead: a browser was led
        here to send commands in the name of its user (cross-protocol scripting)."""
        arguments = session.call.args
        if arguments[0].lower() in HTTP_WORDS:
            self.server.log.warning(
                "client closed: it speaks HTTP, which may be an attack by way of a browser",
                address=session.connection.peer.decode("utf-8", "replace"),
            )
            session.connection.close_soon()
        else:
            self.refuse(session, None, self.registry.unknown(arguments))

    def _count_error(self, error: CommandError) -> None:
        self.server.statistics.count_error(error.code)

    def _note_slow(self, session: Session, command: Command, nanoseconds: int) -> None:
        """The command took long enough to be looked at by the slow log or the latency monitor."""
        if not command.flags & SKIP_SLOWLOG:
            self.server.slowlog.offer(session, nanoseconds // 1000)
        event = "fast-command" if command.flags & FAST else "command"
        self.server.latency.offer(event, nanoseconds // 1_000_000, self.keyspace.now_ms)

    def _after(self, session: Session, command: Command) -> None:
        """What follows a command only while some gate is open."""
        self._observe(session, command)
        gates = session.gates
        if gates & EXACTLY_ONCE:
            self.server.once.executed(session.call)
        if gates & NO_TOUCH:
            self.keyspace.no_touch = False
        if gates & (REPLY_SKIP | REPLY_OFF) and session.held_by is None:  # else its reply is still to come
            self.drop_reply(session)
        if gates & TRACKING:
            self.use_up_caching(session, command)
        if gates & HAS_MAILBOX:
            session.mailbox.close_command()

    def use_up_caching(self, session: Session, command: Command | None) -> None:
        """CLIENT CACHING was for this command, even if it was refused; None: there is no such command."""
        if not session.gates & IN_TRANSACTION and (command is None or not command.name.startswith(b"client|")):
            session.mailbox.tracking.caching = False

    def drop_reply(self, session: Session) -> None:
        """CLIENT REPLY: forget what was written to nobody."""
        if session.gates & REPLY_SKIP:
            session.gates &= ~REPLY_SKIP
            session.unmute()
        elif session.gates & REPLY_OFF:
            session.muted.consume(session.muted.pending)

    def _observe(self, session: Session, command: Command) -> None:
        """Show the command that was executed, by itself or in a transaction, to whom it concerns."""
        if self.gates & MONITORED and not command.flags & UNMONITORED:
            self.server.feed_monitors(session)
        if session.gates & TRACKING and command.flags & READONLY:
            client = session.mailbox.tracking
            if client.remembers:
                request = session.call.args
                self.server.tracking.remember(client, [request[position] for position, _ in command.keys(request)])
