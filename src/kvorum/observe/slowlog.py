"""The slow log: the last commands that took long, newest first, kept small and without secrets.

The pipeline offers every command above its own limit, which is the smallest of all such limits; whether it is slow for
this log is decided here. Arguments are cut as Redis cuts them, so that an entry never holds on to a big value.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from kvorum.observe.redaction import redact

if TYPE_CHECKING:
    from kvorum.session.session import Session

MAX_ARGUMENTS = 32
MAX_ARGUMENT_BYTES = 128


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry. ``time_s`` is Unix time in seconds."""

    id: int
    time_s: int
    microseconds: int
    arguments: list[bytes]
    address: bytes
    client_name: bytes


class SlowLog:
    """The entries and the two options that rule them.

    ``slower_than_us`` is ``slowlog-log-slower-than``: 0 takes every command, a negative number none.
    ``max_length`` is ``slowlog-max-len``; of entries beyond it the oldest go.
    """

    def __init__(self, slower_than_us: int = 10_000, max_length: int = 128) -> None:
        self.slower_than_us = slower_than_us
        self.max_length = max_length
        self._entries: deque[SlowCommand] = deque()
        self._next_id = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def limit_ns(self) -> int | None:
        """Commands from this duration on should be offered; None: none at all."""
        return None if self.slower_than_us < 0 else self.slower_than_us * 1000

    def offer(self, session: Session, microseconds: int) -> None:
        """The command that ``session`` has just executed took so long: keep it if that is slow."""
        if self.slower_than_us < 0:
            return
        if microseconds >= self.slower_than_us:
            self._entries.appendleft(self._entry(session, microseconds))
            self._next_id += 1
        self._trim()

    def set_max_length(self, length: int) -> None:
        """Change ``slowlog-max-len``; what is too much goes at once."""
        self.max_length = length
        self._trim()

    def _trim(self) -> None:
        while len(self._entries) > self.max_length:
            self._entries.pop()

    def newest(self, count: int) -> list[SlowCommand]:
        """At most ``count`` entries, newest first; -1: all."""
        return list(self._entries if count < 0 else islice(self._entries, count))

    def reset(self) -> None:
        """Forget all entries; numbering goes on."""
        self._entries.clear()

    def _entry(self, session: Session, microseconds: int) -> SlowCommand:
        return SlowCommand(
            id=self._next_id,
            time_s=session.call.now_ms // 1000,
            microseconds=microseconds,
            arguments=shorten(redact(session.call.args)),
            address=session.connection.peer,
            client_name=session.name,
        )


def shorten(arguments: Sequence[bytes]) -> list[bytes]:
    """At most 32 arguments of at most 128 bytes, each cut noted in its place."""
    if len(arguments) <= MAX_ARGUMENTS:
        return [_shorten_one(argument) for argument in arguments]
    kept = [_shorten_one(argument) for argument in arguments[: MAX_ARGUMENTS - 1]]
    return [*kept, b"... (%d more arguments)" % (len(arguments) - len(kept))]


def _shorten_one(argument: bytes) -> bytes:
    if len(argument) <= MAX_ARGUMENT_BYTES:
        return argument
    return argument[:MAX_ARGUMENT_BYTES] + b"... (%d more bytes)" % (len(argument) - MAX_ARGUMENT_BYTES)
