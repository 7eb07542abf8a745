"""What a reply waits for: the position of the log that it depends on, and how far the log is safe.

The journal moves ``required`` forward when it has written a turn's effects, and ``safe`` follows when they are safe enough
for the policy in force. While ``holding`` is false (every policy but ``appendfsync always``) nothing waits and all of this
costs one test per turn. The reactor keeps, for each connection, where in its output the bytes begin that need a position;
replies of one connection never overtake each other.
"""

from __future__ import annotations


class Outbox:
    """The two positions of one server. ``safe`` is set from another thread: whoever does that wakes the reactor."""

    def __init__(self) -> None:
        self.holding = False
        self.required = 0
        self.safe = 0
