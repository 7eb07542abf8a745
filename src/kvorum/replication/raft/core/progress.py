"""What the leader knows of one follower, and how it therefore sends to it.

``PROBE``: the follower's last index is not known; one append at a time finds it out, its rejections carry a hint.
``REPLICATE``: the logs match; appends are sent optimistically, as many as the window holds.
``SNAPSHOT``: what the follower needs is no longer in the log; nothing is sent until the snapshot was received or failed.

::

              acknowledged                        no longer in the log
    PROBE ───────────────▶ REPLICATE      PROBE, REPLICATE ──────────▶ SNAPSHOT
      ▲  ▲  rejected, unreachable │                                       │
      │  └────────────────────────┘     reported as received or failed    │
      └───────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

from enum import IntEnum

from kvorum.replication.raft.core.inflights import Inflights


class ProgressState(IntEnum):
    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class Progress:
    """The follower's log as the leader sees it. Invariant: ``match < next``.

    ``match``: up to here the logs are known to be the same. ``next``: first entry to be sent; everything between
    is under way. ``sent_commit``: highest commit index that was sent. ``pending_snapshot``: index of the snapshot that is
    under way, else 0. ``recent_active``: something was heard of it since the last check of the quorum.
    ``append_paused``: nothing more is sent until a heartbeat is answered: with ``PROBE`` because one append is enough, with
    ``REPLICATE`` because the window is full, in which case an empty append per heartbeat finds out what got lost.
    """

    __slots__ = (
        "append_paused",
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(self, next_index: int, inflights: Inflights, match: int = 0, is_learner: bool = False) -> None:
        self.match = match
        self.next = next_index
        self.sent_commit = 0
        self.state = ProgressState.PROBE
        self.pending_snapshot = 0
        self.recent_active = False
        self.append_paused = False
        self.inflights = inflights
        self.is_learner = is_learner

    def clone(self) -> Progress:
        copy = Progress(self.next, self.inflights.clone(), self.match, self.is_learner)
        copy.sent_commit = self.sent_commit
        copy.state = self.state
        copy.pending_snapshot = self.pending_snapshot
        copy.recent_active = self.recent_active
        copy.append_paused = self.append_paused
        return copy

    def become_probe(self) -> None:
        """Begin again behind what is known to match, or behind the snapshot if one was received."""
        pending = self.pending_snapshot if self.state == ProgressState.SNAPSHOT else 0
        self._reset_state(ProgressState.PROBE)
        self.next = max(self.match, pending) + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        self._reset_state(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        self._reset_state(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def _reset_state(self, state: ProgressState) -> None:
        self.append_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.reset()

    def sent_entries(self, count: int, size: int) -> None:
        """An append with so many entries from ``next`` on leaves, with so many bytes of data."""
        if self.state == ProgressState.REPLICATE:
            if count > 0:
                self.next += count
                self.inflights.add(self.next - 1, size)
            self.append_paused = self.inflights.full()
        else:
            assert self.state == ProgressState.PROBE, "nothing is appended while a snapshot is under way"
            if count > 0:
                self.append_paused = True

    def can_bump_commit(self, commit: int) -> bool:
        """Whether sending this commit index could tell the follower something new: it can commit no more than it was
        sent, so nothing is news once the commit index sent covers everything sent."""
        return commit > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: int) -> bool:
        """The follower acknowledged up to ``index``; False if that is old news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.append_paused = False
        return True

    def maybe_decrement(self, rejected: int, match_hint: int) -> bool:
        """The follower has no entry like ours at ``rejected`` and suggests ``match_hint``; False if that is old news."""
        if self.state == ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
        else:
            # Of what is probed one by one, only the last probe can be meant.
            if self.next - 1 != rejected:
                return False
            self.next = max(min(rejected, match_hint + 1), self.match + 1)
            self.append_paused = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    def is_paused(self) -> bool:
        return self.append_paused or self.state == ProgressState.SNAPSHOT
