"""What a member of a group does with a client's command while it does not lead: execute, forward, redirect or refuse it.

Where it stands. ``Pipeline._admit`` asks ``FollowerRole.admit`` while its gate ``NOT_SERVING`` is closed, or the session has
forwarded something; after access control and before anything that costs. Commands fall into three sorts:

- *Of the data*: they read it, write it, or send messages. ``follower-writes`` says what becomes of writes, and of reads,
  too, unless ``reads local`` lets them see what this member has applied.
- *Of the conversation with the leader*: MULTI and WATCH and their kin, WAIT. They go where the writes of this client go.
- *Of this server or this connection*: CLIENT, CONFIG, INFO, SUBSCRIBE. They are executed here, always.

With ``reads local`` a client sees its own writes all the same: what it has forwarded must be applied here before it reads
here, and until then its reads are forwarded, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kvorum import errors
from kvorum.commands.spec import Flag
from kvorum.keyspace.hashing import key_slot
from kvorum.resp.numbers import parse_integer
from kvorum.session.forwarding import UNTIL_QUIET, UNTIL_ROOM, Connect, Forwarding, Receiver, Upstream
from kvorum.session.session import FORWARDED, FORWARDING, REPLY_OFF, REPLY_SKIP, TRACKING
from kvorum.session.trust import NONCE_BYTES, Asking, Trusting

if TYPE_CHECKING:
    from kvorum.commands.command import Command
    from kvorum.replication.raft.members import Member
    from kvorum.session.context import ServerContext
    from kvorum.session.session import Session

# What ``admit`` says.
HERE = 1
REFUSED = 0
HELD = -1

FORWARD, REDIRECT, REFUSE = "forward", "redirect", "refuse"
LOCAL = "local"

WRITES = int(Flag.WRITE)
MESSAGES = int(Flag.MAY_REPLICATE)
READS = int(Flag.READONLY)
# They neither read nor write, yet mean the data as the leader has it.
WITH_THE_LEADER = frozenset([b"watch", b"wait", b"waitaof", b"kvorum|session", b"kvorum|sequence"])
AMONG_MEMBERS = frozenset([b"kvorum|hello", b"kvorum|forward", b"kvorum|as", b"kvorum|index"])
TRANSACTIONS = frozenset([b"multi", b"exec", b"discard", b"unwatch"])
ENDS = frozenset([b"quit", b"reset"])
ENDS_HERE = ENDS | {b"discard"}
WAITS = 4  # so many election timeouts a request waits for a leader: a failover is over by then, if there is to be one
TELL_AGAIN_MS = 60_000


class FollowerRole:
    """Decides about commands on a member that does not serve; ``configure`` follows the options.

    ``connect`` and ``secret`` are handed in by whoever composes the server.
    """

    def __init__(self, server: ServerContext) -> None:
        self.server = server
        self.writes = FORWARD
        self.reads_here = False
        self.secret = b""
        self.connect: Connect = no_connection
        self.patience_s = self.grace_s = 0.0
        self.trusting = Trusting(server.random.randbytes)
        self._forwardings: dict[int, Forwarding] = {}
        self._told_ms = -TELL_AGAIN_MS
        self._listening = False
        self.configure(FORWARD, "linearizable", 500)

    def configure(self, writes: str, reads: str, election_ms: int = 500) -> None:
        """``follower-writes``, ``reads`` and the election timeout have been set."""
        self.writes = writes
        self.reads_here = reads == LOCAL
        self.grace_s = election_ms / 1000
        self.patience_s = WAITS * self.grace_s

    # What the pipeline asks

    def admit(self, session: Session, command: Command, flags: int) -> int:
        """1: execute it here; 0: refused, or forwarded: nothing more is to be done; -1: held.

        ``flags``: those of the command, or, for EXEC, of what it executes.
        """
        if session.gates & FORWARDED:
            return self._admit_forwarded(session, command)
        if session.gates & FORWARDING:
            forwarding = self._forwardings[session.id]
            if forwarding.busy or command.name in ENDS:
                return self._go_on(forwarding, session, command, flags)
            if self.server.pipeline.serving:
                self._take_back(forwarding, session)
                return HERE
        if self.server.pipeline.serving:
            return HERE
        if session.transaction is not None and self.writes == FORWARD:
            return self._lost(session, command)
        if self._belongs_here(session, command, flags):
            return HERE
        if self.writes == FORWARD:
            return self._forward(session, command, flags)
        return self._turn_away(session, command)

    def refuse_later(self, session: Session, message: bytes) -> bool:
        """An error of this member for a client that has forwarded something; False: it may be written now."""
        forwarding = self._forwardings[session.id]
        if forwarding.transaction is not None:  # let the leader find the same error: it aborts the transaction
            forwarding.add(b"", session.call.args, False, is_silent(session))
            return True
        if not forwarding.requests:
            return False
        if not is_silent(session):
            forwarding.answer(b"-" + message + b"\r\n")
        self.server.statistics.count_error(message.split(b" ", 1)[0])
        return True

    def forget(self, session: Session) -> None:
        """The client has left, or has nothing at the leader any more."""
        session.gates &= ~FORWARDING
        forwarding = self._forwardings.pop(session.id, None)
        if forwarding is not None:
            forwarding.close()

    def _listen(self) -> None:
        if not self._listening and self.server.group is not None:
            self._listening = True
            self.server.group.on_change(self.leader_changed)

    def leader_changed(self) -> None:
        """Another leads, or nobody does, or this member has begun or ceased to serve."""
        for forwarding in list(self._forwardings.values()):
            forwarding.leader_changed()

    def _lost(self, session: Session, command: Command) -> int:
        """Within a transaction that was begun here when this member served: the data that it meant are not here any more."""
        if command.name in ENDS_HERE:
            return HERE
        return self.server.pipeline.refuse(session, command, b"NOTAPPLIED " + errors.TRANSACTION_LOST)

    def _belongs_here(self, session: Session, command: Command, flags: int) -> bool:
        if flags & WRITES:
            return False
        if flags & READS:
            return self.reads_here and self._may_read_here(session)
        if flags & MESSAGES:
            return self.writes == REFUSE  # as with a replica of Redis: who listens here hears it
        if command.name in WITH_THE_LEADER:
            return self.reads_here and self.writes != FORWARD
        return command.name not in TRANSACTIONS or self.writes != FORWARD

    def _may_read_here(self, session: Session) -> bool:
        if not session.gates & FORWARDING:
            return True
        assert self.server.group is not None
        return self._forwardings[session.id].may_read_here(self.server.group.applied_index)

    def _turn_away(self, session: Session, command: Command) -> int:
        leader = self.leader_to_forward_to()
        if self.writes == REFUSE:
            message = errors.READ_ONLY_REPLICA
        elif leader is None:
            message = errors.NO_LEADER
        else:
            message = errors.moved(slot_of(session, command), leader.client_address)
        return self.server.pipeline.refuse(session, command, message)

    def _admit_forwarded(self, session: Session, command: Command) -> int:
        """From another member, for a client of its: executed if this one leads, and never forwarded once more."""
        if self.server.pipeline.serving or command.name in AMONG_MEMBERS:
            return HERE
        session.closing = True  # what comes after it would be out of order if this member led again
        return self.server.pipeline.refuse(session, None, errors.NOT_LEADER)

    # Forwarding

    def _go_on(self, forwarding: Forwarding, session: Session, command: Command, flags: int) -> int:
        """The client has something at the leader: what follows must neither overtake it nor lose the connection."""
        if command.name in ENDS:
            if forwarding.requests:
                return hold(session, UNTIL_QUIET)
            self.forget(session)
            return HERE
        if forwarding.transaction is None and self._belongs_here(session, command, flags):
            return hold(session, UNTIL_QUIET) if forwarding.requests else HERE
        return self._forward(session, command, flags)

    def _forward(self, session: Session, command: Command, flags: int) -> int:
        if session.listening:
            return HERE  # where it is refused
        forwarding = self._forwardings.get(session.id)
        if forwarding is None:
            self._listen()
            forwarding = self._forwardings[session.id] = Forwarding(self, session)
            forwarding.once_id, forwarding.sequence = self.server.once.hand_over(session)
            session.gates |= FORWARDING
            if session.watched:  # by this member as it served; nobody has watched since
                forwarding.watch_broken = True
                self.server.watches.forget(session)
        if forwarding.full:
            return hold(session, UNTIL_ROOM)
        silent = is_silent(session)
        session.last_command = command
        if command.name == b"kvorum|sequence":
            self._number(forwarding, session, silent)
        else:
            if command.name == b"kvorum|session":
                forwarding.once_id = session.call.arg(2)
            keys = self._tracked(session, command) if session.gates & TRACKING else ()
            forwarding.add(command.name, session.call.args, bool(flags & (WRITES | MESSAGES)), silent, keys)
        if silent:
            self.server.pipeline.drop_reply(session)
        return REFUSED

    def _tracked(self, session: Session, command: Command) -> Sequence[bytes]:
        """The keys that a client reads and may keep a copy of (CLIENT TRACKING). They are remembered before it gets the reply:
        what is applied here in the meantime it is told of behind the reply, see ``confirm``."""
        client = session.mailbox.tracking
        if not command.flags & READS or not client.remembers:
            return ()
        request = session.call.args
        keys = [request[position] for position, _ in command.keys(request)]
        self.server.tracking.remember(client, keys)
        if self._forwardings[session.id].transaction is None:
            self.server.pipeline.use_up_caching(session, command)
        return keys

    def confirm(self, session: Session, keys: list[bytes]) -> None:
        """The client has got the reply to what it has read."""
        if session.gates & TRACKING:
            self.server.tracking.confirm(session.mailbox.tracking, keys)

    def _number(self, forwarding: Forwarding, session: Session, silent: bool) -> None:
        """KVORUM SEQUENCE goes to the leader together with the write that it numbers."""
        word = session.call.arg(2)
        number = parse_integer(word)
        reply = b"+OK\r\n"
        if number is None or number <= 0:
            reply = b"-" + errors.BAD_SEQUENCE + b"\r\n"
        elif not forwarding.once_id:
            reply = b"-" + errors.NO_SESSION + b"\r\n"
        else:
            forwarding.sequence = word
        if not silent:
            forwarding.answer(reply)

    def _take_back(self, forwarding: Forwarding, session: Session) -> None:
        """This member serves now, and the client has nothing at the leader before it."""
        if forwarding.once_id:
            self.server.once.adopt(session, forwarding.once_id)
        self.forget(session)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Any:
        """A timer of the server's loop."""
        return self.server.call_later(seconds, call)

    def leader_id(self) -> int:
        """Who leads; 0: nobody knows."""
        leader = None if self.server.group is None else self.server.group.leader
        return 0 if leader is None else leader.raft_id

    def leader_to_forward_to(self) -> Member | None:
        """Who executes commands, as far as is known; this member itself only if it does so now."""
        group = self.server.group
        leader = None if group is None else group.leader
        if group is None or leader is None or (leader.raft_id == group.raft_id and not self.server.pipeline.serving):
            return None
        return leader

    def ask_trust(self, leader_id: int) -> Asking:
        """A conversation by which the leader comes to trust this member."""
        assert self.server.group is not None, "nothing is forwarded without a group"
        return Asking(self.server.group, leader_id, self.secret, self.server.random.randbytes(NONCE_BYTES))

    def tell_distrust(self, leader_id: int, reason: str) -> None:
        """For the log, once a minute at most."""
        now_ms = self.server.keyspace.now_ms
        if now_ms - self._told_ms >= TELL_AGAIN_MS:
            self._told_ms = now_ms
            self.server.log.warning("commands are not forwarded", leader=leader_id, reason=reason)


def no_connection(host: str, port: int, receiver: Receiver) -> Upstream:
    """Where nobody handed in anything better."""
    raise AssertionError("this server was given no way to connect to others")


def hold(session: Session, until: str) -> int:
    """Put the session aside: the same request is given again when the forwarding lets it go on."""
    session.held_by = until
    return HELD


def is_silent(session: Session) -> bool:
    """Whether the client does not want the reply to this command (CLIENT REPLY)."""
    return bool(session.gates & (REPLY_OFF | REPLY_SKIP))


def slot_of(session: Session, command: Command) -> int:
    """The slot of a command's first key; 0 if it has none."""
    request = session.call.args
    keys = command.keys(request)
    return key_slot(request[keys[0][0]]) if keys else 0
