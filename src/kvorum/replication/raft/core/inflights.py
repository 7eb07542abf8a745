"""The sliding window of appends that were sent to a follower and are not yet acknowledged."""

from __future__ import annotations

from collections import deque

from kvorum.replication.raft.core.errors import InvariantError


class Inflights:
    """At most ``max_messages``, and no further one while ``max_bytes`` or more are under way.

    The limit on bytes is soft by one message, since otherwise a single large entry could never be sent. ``max_bytes`` 0
    is no limit.
    """

    __slots__ = ("bytes", "max_bytes", "max_messages", "sent")

    def __init__(self, max_messages: int, max_bytes: int = 0) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.bytes = 0
        # Last index and bytes of each message, in the order of the indexes.
        self.sent: deque[tuple[int, int]] = deque()

    @property
    def count(self) -> int:
        return len(self.sent)

    def full(self) -> bool:
        return len(self.sent) >= self.max_messages or (self.max_bytes != 0 and self.bytes >= self.max_bytes)

    def add(self, index: int, size: int) -> None:
        """A message whose last entry is ``index`` leaves. The window must not be full."""
        if self.full():
            raise InvariantError("an append was sent although the window is full")
        self.sent.append((index, size))
        self.bytes += size

    def free_up_to(self, index: int) -> None:
        """Everything up to and with this index was acknowledged."""
        sent = self.sent
        while sent and sent[0][0] <= index:
            self.bytes -= sent.popleft()[1]

    def reset(self) -> None:
        self.sent.clear()
        self.bytes = 0

    def clone(self) -> Inflights:
        copy = Inflights(self.max_messages, self.max_bytes)
        copy.bytes = self.bytes
        copy.sent = self.sent.copy()
        return copy
