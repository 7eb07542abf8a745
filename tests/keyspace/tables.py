"""Both twins of the table, and values to put into it."""

from __future__ import annotations

import pytest

from kvorum.keyspace import table as compiled
from kvorum.keyspace.table import Database, Keyspace
from kvorum.keyspace.values import Value
from kvorum.testing.twins import load_plain

NOW_MS = 1_700_000_000_000
# With KVORUM_PLAIN=1 both twins are the plain one; what only the compiled one promises is not asked then.
only_compiled = pytest.mark.skipif(compiled.__file__.endswith(".py"), reason="needs the compiled table")
TWINS = {"compiled": compiled, "plain": load_plain("kvorum.keyspace.table")}


class Box(Value):
    """A value of a type that the table knows nothing of."""

    kind = b"box"

    def __init__(self, items: list[bytes]) -> None:
        super().__init__()
        self.items = items

    def used_bytes(self) -> int:
        return 100 + sum(map(len, self.items))

    def encoding(self) -> bytes:
        return b"boxed"

    def elements(self) -> int:
        return len(self.items)

    def copy(self) -> Box:
        return Box(list(self.items))


def new_keyspace(twin: str, databases: int = 4) -> Keyspace:
    """A keyspace with a fixed time."""
    made: Keyspace = TWINS[twin].Keyspace(databases=databases, seed=7)
    made.now_ms = NOW_MS
    return made


def scan_all(database: Database, count: int = 10) -> list[bytes]:
    """All that SCAN returns, in order."""
    found: list[bytes] = []
    cursor = 0
    while True:
        cursor, keys = database.scan(cursor, count)
        found += keys
        if cursor == 0:
            return found
