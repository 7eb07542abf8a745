"""What a reply waits for: the position of the log that it depends on, and how far the log is safe.

While ``holding`` is false (every policy but ``appendfsync always``) nothing waits, and all of this costs one test per
command. Else ``needed`` says, after each command, what its reply has to wait for:

- a write for its own effects;
- everything else is a read, also an error or an empty reply: it waits for what was last written to the slots of its keys;
- a command that reads the keyspace without naming keys (KEYS, DBSIZE) for the end of the log;
- one that touches no key (PING) for nothing.

What others write to a client (messages, replies to blocked commands) waits for the end of the log. The reactor keeps a
``HeldOutput`` per connection; replies of one connection never overtake each other.

Positions are those of ``Effects``: bytes of RESP since the start.

**Reads in a group** (``confirming``) wait for something else, too: that a quorum says, after they were executed, that this
node leads. They are asked for in *rounds*, which are numbered: all reads between two looks at the log are one round.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from kvorum.commands.call import Call
from kvorum.commands.command import Command
from kvorum.commands.spec import BeginUnknown, Flag
from kvorum.errors import OUTCOME_UNKNOWN
from kvorum.journal.effects import Effects
from kvorum.keyspace.hashing import SLOTS, key_slot

WRITES = int(Flag.WRITE)
READS = int(Flag.READONLY)


class Outbox:
    """The positions of one server. ``flusher`` (None: there is no journal) says what is safe, be it the journal's or the
    ``CommitPoint`` of a group; ``settle`` looks at it."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.flusher: Any = None
        self.requested = 0
        self.named = True  # whether a start would find the log: not before one that was switched on has its base
        self.holding = False
        self.confirming = False  # reads are to be confirmed from now on
        self.in_rounds = False  # ``flusher`` says which rounds are confirmed; else all are
        self.reading = False  # there are reads in the round that is open
        self.round = 1  # the one that is open
        self.confirmed = 0
        self.safe = 0
        self.everywhere = 0
        self.slots = array("q")
        # A write or an fsync has failed, or leadership was lost: the text of the error for whose replies wait for more than
        # what was safe and confirmed then. The reactor hands it out.
        self.failure: bytes | None = None
        self.safe_before = 0
        self.confirmed_before = 0
        # Who wants to know when a position is safe: (position, called then). WAITAOF.
        self.waiting: list[tuple[int, Callable[[], object]]] = []
        self.on_broken: Callable[[], object] | None = None  # called once when an fsync has failed

    def start_holding(self) -> None:
        """From now on replies wait."""
        self.holding = True
        self.safe = self.flusher.safe
        self.everywhere = self.effects.position
        self.slots = array("q", bytes(8 * SLOTS))
        self.effects.removed_keys = []

    def stop_holding(self) -> None:
        """Nothing waits any more; what waits is let go by the next ``settle``."""
        self.holding = False
        self.slots = array("q")
        self.effects.removed_keys = None

    def needed(self, call: Call, command: Command, before: int) -> int:
        """What the reply to a command that was executed waits for; ``before`` is the position before it."""
        position = self.effects.position
        if (
            self.effects.removed_keys and self.effects.group is None
        ):  # else their deletion is logged with the transaction
            self.note_removed(position)
        if command.movable:
            return self._needed_by(command.keys(call.args), call, command, before, position)
        if command.first_key == 0:
            if position != before and command.flags & WRITES:
                self.everywhere = position
            if position == before and command.flags & READS:
                self.note_read(call)
            return position if position != before or command.flags & READS else 0
        last = command.last_key if command.last_key >= 0 else call.argc + command.last_key
        needed = self.everywhere
        index = command.first_key
        while index <= last:
            slot = call.slot(index)
            if position != before:
                self.slots[slot] = position
            elif self.slots[slot] > needed:
                needed = self.slots[slot]
            index += command.key_step
        if position != before:
            return position
        self.note_read(call)
        return needed

    def note_read(self, call: Call) -> None:
        """The reply to what is being executed depends on the keyspace, and has no effects of its own."""
        if self.confirming:
            self.reading = True
            call.session.required_round = self.round

    def note_late_read(self) -> int:
        """The reply to somebody who has waited for a key tells that there was none, or who got what: the round that it needs."""
        if not self.confirming:
            return 0
        self.reading = True
        return self.round

    def take_round(self) -> int:
        """The round of the reads since this was called last, which is closed by that; 0 if there were none."""
        if not self.reading:
            return 0
        self.reading = False
        self.round += 1
        return self.round - 1

    def _needed_by(self, found: list[tuple[int, Any]], call: Call, command: Command, before: int, position: int) -> int:
        """The same for commands whose keys have to be searched."""
        needed = self.everywhere
        if not found or any(isinstance(spec.begin, BeginUnknown) for spec in command.declaration.key_specs):
            needed = position  # SORT with patterns: it looks at keys that nobody can tell before
            if position != before:
                self.everywhere = position  # and may write such
        for index, _ in found:
            slot = call.slot(index)
            if position != before:
                self.slots[slot] = position
            else:
                needed = max(needed, self.slots[slot])
        if position != before:
            return position
        self.note_read(call)
        return needed

    def note_group(self, call: Call, commands: list[tuple[Command, list[bytes]]], before: int) -> None:
        """The effects of a transaction were logged: they belong to the keys of its commands."""
        if self.effects.position != before:
            for command, request in commands:
                if command.flags & WRITES:
                    call.load(request)
                    self.needed(call, command, before)

    def note_removed(self, position: int) -> None:
        """Keys expired or were evicted, and ``position`` is behind their deletion."""
        for key in self.effects.removed_keys or ():
            slot = key_slot(key)
            self.slots[slot] = position
        self.effects.removed_keys = []

    def settle(self) -> bool:
        """Look how far the log is safe, and tell who waits for that; whether there was anything new."""
        safe = self.effects.position if self.flusher is None or not self.holding else self.flusher.safe
        if self.failure is not None:
            safe = min(safe, self.safe_before)
        moved: bool = safe != self.safe
        self.safe = safe
        if self.confirmed < self.round - 1 and self.flusher is not None:
            confirmed = self.flusher.confirmed if self.in_rounds else self.round - 1
            if self.failure is not None:
                confirmed = min(confirmed, self.confirmed_before)
            moved = moved or confirmed != self.confirmed
            self.confirmed = confirmed
        if self.waiting:
            self._tell()
        if self.on_broken is not None and self.flusher is not None and self.flusher.error is not None:
            tell, self.on_broken = self.on_broken, None
            tell()
        return moved

    def fail(self, message: bytes) -> None:
        """Who waits gets this error; who need not wait any more, by now, does not."""
        if self.failure is not None:
            if self.failure != message:
                self.failure = OUTCOME_UNKNOWN + b"two things went wrong"
            return
        self.failure = message
        self.safe_before = self.safe if self.flusher is None else self.flusher.safe
        self.confirmed_before = self.flusher.confirmed if self.in_rounds else self.round - 1

    def wants_flush(self) -> bool:
        """Whether replies wait for an fsync that nobody has asked for yet."""
        return self.holding and (
            self.reading or self.effects.committed_bytes + self.effects.batch.pending > self.requested
        )

    def flush(self) -> bool:
        """Log what was done and let it become safe; whether it is so already."""
        self.effects.commit()
        self.requested = self.effects.committed_bytes
        if self.flusher.is_quick():
            self.flusher.flush_now()
            return True
        self.flusher.request()
        return False

    def is_safe(self, position: int) -> bool:
        """Whether the log is on disk up to a position."""
        return self.named and self.flusher is not None and bool(self.flusher.safe >= position)

    def _tell(self) -> None:
        waiting, self.waiting = self.waiting, []
        for position, when_safe in waiting:
            if self.flusher is None or self.is_safe(position):
                when_safe()
            else:
                self.waiting.append((position, when_safe))

    def when_safe(self, position: int, call: Callable[[], object]) -> None:
        """Call when a position is safe, or when there is no journal any more. Once."""
        self.waiting.append((position, call))


class HeldOutput:
    """What of the output of one connection waits. Offsets count bytes since the connection was made.

    ``marks``: where output begins that waits, for which position, how many replies stand there, and which round of reads must
    be confirmed (0: none): [offset, position, replies, round], with rising positions and rounds.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.marks: list[list[int]] = []
        self.noted = 0

    def note(self, taken: int, written: int, position: int, replies: int, round_: int) -> None:
        """What was written since the last time needs ``position``. Of all ``written`` bytes ``taken`` have been sent."""
        start = max(self.noted, taken)
        if written <= start:
            return
        self.noted = written
        marks = self.marks
        if (
            marks
            and (position <= marks[-1][1] or marks[-1][1] > self.outbox.effects.committed_bytes)
            and (round_ <= marks[-1][3] or marks[-1][1] > self.outbox.effects.committed_bytes)
        ):
            # It cannot leave before that mark; or both belong to this turn, which becomes safe as a whole.
            mark = marks[-1]
            mark[1] = max(mark[1], position)
            mark[2] += replies
            mark[3] = max(mark[3], round_)
        elif position > self.outbox.safe or round_ > self.outbox.confirmed:
            marks.append([start, position, replies, round_])

    def allowed(self, written: int) -> int:
        """How far the output may leave."""
        safe = self.outbox.safe
        confirmed = self.outbox.confirmed
        marks = self.marks
        passed = 0
        for mark in marks:
            if mark[1] > safe or mark[3] > confirmed:
                break
            passed += 1
        if passed:
            del marks[:passed]
        return marks[0][0] if marks else written

    def give_up(self) -> int:
        """What waits is not to be sent: how many replies that are. What is written in its place counts as new."""
        replies = sum(mark[2] for mark in self.marks)
        if self.marks:
            self.noted = self.marks[0][0]
        self.marks = []
        return replies
