"""What a member of a group does with a client's command while it does not lead: execute, forward, redirect or refuse it.

Where it stands. ``Pipeline._admit`` asks ``FollowerRole.admit`` while its gate ``NOT_SERVING`` is closed, after access
control and before anything that costs. Commands fall into three sorts:

- *Of the data*: they read it, write it, or send messages. ``follower-writes`` says what becomes of writes, and of reads,
  too, unless ``reads local`` lets them see what this member has applied.
- *Of the conversation with the leader*: WATCH and its kin, WAIT. They go where the writes of this client go.
- *Of this server or this connection*: CLIENT, CONFIG, INFO, SUBSCRIBE. They are executed here, always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import Flag
from kvorum.keyspace.hashing import key_slot

if TYPE_CHECKING:
    from kvorum.commands.command import Command
    from kvorum.session.context import ServerContext
    from kvorum.session.session import Session

# What ``admit`` says.
HERE = 1
REFUSED = 0

FORWARD, REDIRECT, REFUSE = "forward", "redirect", "refuse"
LOCAL = "local"

WRITES = int(Flag.WRITE)
MESSAGES = int(Flag.MAY_REPLICATE)
READS = int(Flag.READONLY)
# They neither read nor write, yet mean the data as the leader has it.
WITH_THE_LEADER = frozenset([b"watch", b"wait", b"waitaof"])


class FollowerRole:
    """Decides about commands on a member that does not serve; ``configure`` follows the options."""

    def __init__(self, server: ServerContext) -> None:
        self.server = server
        self.writes = FORWARD
        self.reads_here = False

    def configure(self, writes: str, reads: str) -> None:
        """``follower-writes`` and ``reads`` have been set."""
        self.writes = writes
        self.reads_here = reads == LOCAL

    def admit(self, session: Session, command: Command, flags: int) -> int:
        """1: execute it here; 0: refused, the error is written; -1: held.

        ``flags``: those of the command, or, for EXEC, of what it executes.
        """
        if self._belongs_here(command, flags):
            return HERE
        leader = None if self.server.group is None else self.server.group.leader
        if self.writes == REFUSE:
            message = errors.READ_ONLY_REPLICA
        elif leader is None:
            message = errors.NO_LEADER
        else:
            message = errors.moved(slot_of(session, command), leader.client_address)
        return self.server.pipeline.refuse(session, command, message)

    def _belongs_here(self, command: Command, flags: int) -> bool:
        if flags & WRITES:
            return False
        if flags & READS:
            return self.reads_here
        if flags & MESSAGES:
            return self.writes == REFUSE  # as with a replica of Redis: who listens here hears it
        if command.name in WITH_THE_LEADER:
            return self.reads_here and self.writes != FORWARD
        return True


def slot_of(session: Session, command: Command) -> int:
    """The slot of a command's first key; 0 if it has none."""
    request = session.call.args
    keys = command.keys(request)
    return key_slot(request[keys[0][0]]) if keys else 0
