"""The log of effects while a turn lasts.

Executing a write yields effects: plain, deterministic Redis commands, the same that redis-server sends to its replicas.
During a turn of the reactor they gather here as one batch of RESP commands. At the end of the turn ``commit`` hands the
batch, as one piece, to every sink (journal, replication, ...) and moves the position forward.

Invariants: the effects of one command stand together, in MULTI/EXEC when there are several, and so do those of one
transaction; a batch names its database
before its first effect; what a command removed because it had expired comes before the command's own effect.

The compiled twin copies a request that is its own effect straight from the receive buffer.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.resp.writer import Writer


class Effects:
    """The effects of this turn, and the position that the log has reached."""

    def __init__(self) -> None:
        self.batch = Writer(2)
        self.database = -1
        self.committed_bytes = 0
        self.commands = 0
        self.sinks: list[Callable[[bytes], None]] = []
        self.removals: list[tuple[int, list[bytes]]] = []
        self.in_command = False
        self.group: list[tuple[int, list[bytes]]] | None = None

    @property
    def position(self) -> int:
        """Bytes of RESP logged since the start, this turn's included."""
        return self.committed_bytes + self.batch.pending

    def append(self, database: int, arguments: list[bytes]) -> None:
        """Log one command for ``database``."""
        if database != self.database:
            self._write([b"SELECT", b"%d" % database])
            self.database = database
        self._write(arguments)
        self.commands += 1

    def _write(self, arguments: list[bytes]) -> None:
        self.batch.array(len(arguments))
        for argument in arguments:
            self.batch.bulk(argument)

    def begin(self) -> None:
        """A command starts: what it removes by the way belongs to its effects."""
        self.in_command = True

    def removed(self, database: int, name: bytes, key: bytes) -> None:
        """A key went because it expired or was evicted; ``name`` is DEL or UNLINK."""
        if self.in_command:
            self.removals.append((database, [name, key]))
        elif self.group is not None:  # what stands apart keeps its place among the effects of a transaction
            self.group.append((database, [name, key]))
        else:
            self.append(database, [name, key])

    def stand_apart(self) -> None:
        """The command that runs may meet keys of any slot: what it removes by the way stands alone, without MULTI."""
        self.in_command = False

    def open_group(self) -> None:
        """A transaction begins: the effects of its commands are one unit."""
        self.group = []

    def close_group(self) -> None:
        """The transaction is over: log what its commands have gathered."""
        group, self.group = self.group, None
        self.finish_group(group or [])

    def finish_group(self, group: list[tuple[int, list[bytes]]]) -> None:
        """The command is over: log its effects, (database, command) each, as one unit."""
        self.in_command = False
        group = self.removals + group
        self.removals = []
        if self.group is not None:
            self.group += group
            return
        if len(group) > 1:
            self.append(group[0][0], [b"MULTI"])
        for database, arguments in group:
            self.append(database, arguments)
        if len(group) > 1:
            self.append(self.database, [b"EXEC"])

    def commit(self) -> None:
        """End of the turn: hand the batch to the sinks."""
        size = self.batch.pending
        if size == 0:
            return
        data = self.batch.take(size)
        for sink in self.sinks:
            sink(data)
        self.committed_bytes += size
        self.database = -1
