"""What the body of an entry consists of: annotation lines, if there are any, and then commands.

A line begins with ``#kvorum-`` and ends with CR LF, both of which Redis skips with it; it has at most ``LONGEST_LINE`` bytes,
because Redis reads lines into a buffer of one more. Lines are for what must be on every member of a group and is no command
of Redis': the membership, and the results of exactly-once sessions. They are covered by the entry's checksum.
"""

from __future__ import annotations

from typing import Final

LONGEST_LINE: Final = 1023
LINE_START: Final = b"#kvorum-"
SESSIONS_FIELD: Final = b"kvorum-sessions"  # of a base: the lines of exactly-once sessions up to there
# An entry whose body is only such lines changes the members of a group.
MEMBERS_LINE: Final = b"#kvorum-members "
_HASH: Final = 35  # the character #


class MalformedBodyError(ValueError):
    """The lines at the beginning of a body are not as they must be."""


def body_lines(body: bytes) -> tuple[list[bytes], int]:
    """The lines without their ends, and the offset of the commands behind them. Raises MalformedBodyError."""
    lines: list[bytes] = []
    at = 0
    while at < len(body) and body[at] == _HASH:
        end = body.find(b"\r\n", at, at + LONGEST_LINE)
        line = body[at:end]
        if end < 0 or not line.startswith(LINE_START) or b"\n" in line:
            raise MalformedBodyError(f"byte {at} of an entry begins no line that kvorum knows")
        lines.append(line)
        at = end + 2
    return lines, at
