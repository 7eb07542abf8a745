"""One client: its state from accept to close.

A session knows nothing of sockets. Its ``connection`` (see ``net``) offers what a command may ask of the other side:
addresses, sizes, closing. The state that changes the way of a command through the server is gathered in ``gates``: as
long as no bit is set, the pipeline skips all checks of that kind with one test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvorum.commands.call import Call
from kvorum.keyspace.table import Keyspace
from kvorum.pubsub.mailbox import Mailbox
from kvorum.resp.parser import Parser
from kvorum.resp.writer import Writer
from kvorum.session.transactions import Transaction

if TYPE_CHECKING:
    from kvorum.acl.users import User
    from kvorum.commands.command import Command
    from kvorum.session.context import ServerContext
    from kvorum.session.transactions import WatchedKey

# Bits of Session.gates
UNAUTHENTICATED = 1  # only commands flagged NO_AUTH
RESTRICTED = 2  # the user may not do everything: ACL check
REPLY_OFF = 4  # CLIENT REPLY OFF
REPLY_SKIP = 8  # CLIENT REPLY SKIP: this command's reply is dropped
REPLY_SKIP_NEXT = 16  # CLIENT REPLY SKIP was just executed
NO_TOUCH = 32  # CLIENT NO-TOUCH: commands leave the access clocks alone
IN_TRANSACTION = 64  # MULTI: commands are queued
TRACKING = 128  # CLIENT TRACKING: the keys it reads are remembered
SUBSCRIBED = 256  # it listens to channels: in RESP2 few commands are left
HAS_MAILBOX = 512  # others may write to it: see ``open_mailbox``
FORWARDING = 1024  # its commands of the data are executed by another member: see ``role``
EXACTLY_ONCE = 4096  # its writes may bear numbers: see ``exactly_once``
FORWARDED = 2048  # it is another member, which speaks for a client of its own

WATCHED_KEY_BYTES = 250


class Session:
    """State of one client; ``reply`` is where its replies gather until the turn ends."""

    def __init__(self, id: int, server: ServerContext, connection: Any, parser: Parser, reply: Writer) -> None:
        self.id = id
        self.server = server
        self.keyspace: Keyspace = server.keyspace
        self.connection = connection
        self.parser = parser
        self.reply = reply
        self.muted = reply
        self.call = Call(self, server, server.keyspace, server.keyspace.databases[0], reply)
        self.user: User | None = None
        self.name = b""
        self.library_name = b""
        self.library_version = b""
        self.gates = 0
        self.last_command: Command | None = None
        self.created_ns = self.active_ns = server.clock.monotonic_ns()
        self.closing = False
        self.no_evict = False
        self.monitor = False
        self.held_by: Any = None
        self.transaction: Transaction | Any = None  # between MULTI and EXEC
        self.watched: list[WatchedKey] = []
        self.watch_broken = False
        self.executing = False  # a transaction: nothing may block now
        # What the replies wait for that have been written since the reactor last asked, and which round of reads: see outbox.
        self.required = 0
        self.required_round = 0
        self.mailbox: Mailbox | Any = None  # see open_mailbox
        self.reset_user()

    @property
    def protocol(self) -> int:
        """RESP version of the replies, 2 or 3."""
        return self.reply.protocol

    @protocol.setter
    def protocol(self, version: int) -> None:
        self.reply.protocol = version

    @property
    def database_index(self) -> int:
        """The selected database."""
        return self.call.db.index

    @property
    def authenticated(self) -> bool:
        """Whether the client may use commands that need a user."""
        return not self.gates & UNAUTHENTICATED

    def select(self, index: int) -> None:
        """Make ``index`` (valid, the caller checked) the selected database."""
        self.call.db = self.keyspace.databases[index]

    def reset_user(self) -> None:
        """The state of a new connection: the default user, if that one needs no password."""
        default = self.server.users.default
        self.become(default if default.enabled and default.no_password else None)

    def begin_transaction(self) -> None:
        """MULTI: queue what follows."""
        self.transaction = Transaction()
        self.gates |= IN_TRANSACTION

    def end_transaction(self) -> None:
        """EXEC or DISCARD: forget the queue and what was watched."""
        self.transaction = None
        self.gates &= ~IN_TRANSACTION
        self.server.watches.forget(self)

    def become(self, user: User | None) -> None:
        """Act as ``user`` from now on; None: nobody yet."""
        self.user = user
        self.gates &= ~(UNAUTHENTICATED | RESTRICTED)
        if user is None:
            self.gates |= UNAUTHENTICATED
        elif not user.unrestricted:
            self.gates |= RESTRICTED
        self.parser.authenticated = user is not None

    def open_mailbox(self) -> Mailbox:
        """Where others write to this client; made when somebody may do so for the first time, and kept."""
        if self.mailbox is None:
            self.mailbox = Mailbox(self.id, self.reply, self.connection)
            self.gates |= HAS_MAILBOX
        return self.mailbox

    def note_subscriptions(self) -> None:
        """What the client listens to has changed."""
        if self.mailbox is not None and self.mailbox.subscribed:
            self.gates |= SUBSCRIBED
        else:
            self.gates &= ~SUBSCRIBED

    @property
    def listening(self) -> bool:
        """A RESP2 client that listens to channels: messages and replies look alike to it."""
        return bool(self.gates & SUBSCRIBED) and self.reply.protocol == 2

    def note_tracking(self) -> None:
        """CLIENT TRACKING ON: the keys that the client reads are remembered."""
        self.gates |= TRACKING
        self.server.observe_modifications()

    def stop_tracking(self) -> None:
        """CLIENT TRACKING OFF."""
        self.gates &= ~TRACKING
        if self.mailbox is not None:
            self.server.tracking.stop(self.mailbox)

    def stop_listening(self) -> None:
        """RESET, or the client has left: no channel and no tracking any more."""
        if self.mailbox is not None:
            self.stop_tracking()
            self.server.pubsub.leave(self.mailbox)
            self.note_subscriptions()

    def kept_bytes(self) -> int:
        """About what the client makes the server keep besides its buffers: queued commands, watched keys, subscriptions."""
        size = len(self.watched) * WATCHED_KEY_BYTES
        if self.transaction is not None:
            size += self.transaction.kept_bytes
        if self.mailbox is not None:
            size += self.mailbox.kept_bytes
        return size

    def mute(self) -> None:
        """Send the replies of the commands that follow nowhere (CLIENT REPLY)."""
        if self.muted is self.reply:
            self.muted = Writer(self.reply.protocol)
        self.muted.protocol = self.reply.protocol
        self.call.reply = self.muted

    def unmute(self) -> None:
        """Let replies through again; what was muted is gone."""
        self.muted.consume(self.muted.pending) if self.muted is not self.reply else None
        self.call.reply = self.reply

    def set_replies(self, mode: bytes) -> None:
        """CLIENT REPLY: ``ON``, ``OFF``, or ``SKIP`` for the next command only."""
        if mode == b"OFF":
            self.gates |= REPLY_OFF
            self.mute()
        elif mode == b"ON":
            self.gates &= ~(REPLY_OFF | REPLY_SKIP)
            self.unmute()
        elif not self.gates & REPLY_OFF:
            self.gates |= REPLY_SKIP_NEXT

    def set_touching(self, touching: bool) -> None:
        """CLIENT NO-TOUCH: whether this client's commands renew the access clocks of the keys they use."""
        if touching:
            self.gates &= ~NO_TOUCH
            self.keyspace.no_touch = False
        else:
            self.gates |= NO_TOUCH

    def expect_once(self) -> None:
        """It has adopted an exactly-once session."""
        self.gates |= EXACTLY_ONCE

    def speak_for_clients(self) -> None:
        """It has proved to be another member of the group, which forwards the commands of a client."""
        self.gates |= FORWARDED

    @property
    def speaks_for_clients(self) -> bool:
        """Whether it is another member of the group."""
        return bool(self.gates & FORWARDED)

    @property
    def no_touch(self) -> bool:
        """Whether this client's commands leave the access clocks alone."""
        return bool(self.gates & NO_TOUCH)

    def reset(self) -> None:
        """Back to the state of a new connection (RESET). The library's name and version stay: they are still true."""
        if self.monitor:
            self.server.stop_monitoring(self)
        self.end_transaction()
        self.stop_listening()
        self.select(0)
        self.protocol = 2
        self.set_replies(b"ON")
        self.set_touching(True)
        self.gates &= ~EXACTLY_ONCE
        self.server.once.forget(self)
        self.no_evict = False
        self.name = b""
        self.reset_user()

    def release(self) -> None:
        """The connection is closed and forgotten: let go of everything, so that counting references frees it all."""
        self.connection = None
        self.mailbox = None
        self.call.session = None  # type: ignore[assignment]

    def close_after_reply(self) -> None:
        """The client leaves once what it was sent has been written."""
        self.closing = True
