"""What the second SIGTERM or SIGINT does: it ends the process at once, with status 1, as redis-server does.

The first one asks for an orderly end, by way of the event loop. Who sends another wants the end now: perhaps a command runs
for a minute, perhaps the end itself takes long. Python runs its own handlers between two of its instructions only, of which
a long command in compiled code has none; so the compiled form of this module stands in front of Python's handlers in C.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INSISTENT_STATUS = 1
MESSAGE = b"kvorum: told to end a second time, ending now\n"


def end_at_the_second() -> None:
    """Count SIGTERM and SIGINT of this process from now on. Call it after the loop's own handlers have been set."""
    seen = 0

    def count(number: int, frame: FrameType | None) -> None:
        # The loop has been told by the descriptor that Python writes each signal's number to.
        nonlocal seen
        seen += 1
        if seen > 1:
            os.write(2, MESSAGE)
            os._exit(INSISTENT_STATUS)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, count)
        signal.siginterrupt(number, False)
