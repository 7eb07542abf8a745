"""What a client has between MULTI and EXEC, and whom WATCH tells that a key was modified.

Redis' rules. Commands are checked when they are queued; one that is refused makes EXEC fail. A watched key that was
modified in whatever way makes EXEC answer nothing. A key that had expired already when it was watched counts as absent,
so that its late removal is no modification: WATCH removes it at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvorum.keyspace.events import MODIFICATIONS

if TYPE_CHECKING:
    from kvorum.commands.command import Command
    from kvorum.keyspace.table import Keyspace
    from kvorum.session.session import Session

WatchedKey = tuple[int, bytes]  # database, key
# What Python takes for a queued command and for each word of it, besides the bytes of the words.
COMMAND_BYTES = 200
WORD_BYTES = 48


class Transaction:
    """The commands that wait for EXEC. ``flags``: those of all of them together."""

    __slots__ = ("aborted", "argument_bytes", "commands", "flags", "words")

    def __init__(self) -> None:
        self.commands: list[tuple[Command, list[bytes]]] = []
        self.flags = 0
        self.aborted = False
        self.argument_bytes = 0
        self.words = 0

    def append(self, command: Command, request: list[bytes]) -> None:
        """Queue a command that may be executed."""
        self.commands.append((command, request))
        self.flags |= command.flags
        self.argument_bytes += sum(map(len, request))
        self.words += len(request)

    @property
    def kept_bytes(self) -> int:
        """About what the queue takes."""
        return self.argument_bytes + len(self.commands) * COMMAND_BYTES + self.words * WORD_BYTES


class Watches:
    """All watched keys of a server. Sessions bear what concerns them alone: which keys, and whether one was modified."""

    def __init__(self, keyspace: Keyspace) -> None:
        self.keyspace = keyspace
        self._watchers: dict[WatchedKey, dict[Session, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def watch(self, session: Session, database: int, keys: Iterable[bytes]) -> None:
        """``session`` wants to know of modifications of ``keys``."""
        for key in keys:
            self.keyspace.databases[database].expire_if_due(key)
            watched = (database, key)
            watchers = self._watchers.setdefault(watched, {})
            if session not in watchers:
                watchers[session] = None
                session.watched.append(watched)
        self.keyspace.observed |= MODIFICATIONS

    def forget(self, session: Session) -> None:
        """``session`` watches nothing any more, and what was modified does not matter to it."""
        for watched in session.watched:
            watchers = self._watchers[watched]
            del watchers[session]
            if not watchers:
                del self._watchers[watched]
        session.watched = []
        session.watch_broken = False

    def broken(self, session: Session) -> bool:
        """Whether a watched key was modified; one that has expired is, even if nothing has removed it yet."""
        for database, key in session.watched:
            self.keyspace.databases[database].expire_if_due(key)
        return session.watch_broken

    def touch(self, database: int, key: bytes) -> None:
        """The key was modified."""
        for session in self._watchers.get((database, key), ()):
            session.watch_broken = True

    def touch_all(self, databases: Iterable[int]) -> None:
        """These databases are about to be emptied or exchanged: keys that are there, or will be, are modified. A key that has
        expired is not there; it goes before it could come in the place of one that a client saw absent."""
        indexes = tuple(databases)
        # A list, since at the news of an expiry those who read too slowly may be closed.
        for (database, key), sessions in list(self._watchers.items()):
            if database not in indexes:
                continue
            for index in indexes:
                self.keyspace.databases[index].expire_if_due(key)
            if any(self.keyspace.databases[index].peek(key) is not None for index in indexes):
                for session in sessions:
                    session.watch_broken = True
