"""What DEBUG HTSTATS and GROWTH say of the entry tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvorum.keyspace.table import Database, Keyspace

SLOTS = 16_384
NOTHING = "No stats available for empty dictionaries\n"


def table_report(database: Database) -> str:
    """One database's tables: keys by slot, and the index of those that expire."""
    return f"[Dictionary HT]\n{_slots(database)}[Expires HT]\n{_expiries(database)}"


def _slots(database: Database) -> str:
    if not len(database):
        return NOTHING
    counts = [count for count in map(database.slot_count, range(SLOTS)) if count]
    return (
        "Hash table 0 stats (main hash table):\n"
        f" table size: {SLOTS}\n"
        f" number of elements: {len(database)}\n"
        f" different slots: {len(counts)}\n"
        f" largest slot: {max(counts)}\n"
        f" mean of used slots: {len(database) / len(counts):.2f}\n"
        f" bytes of the table: {database.table_bytes}\n"
        f" bytes in all: {database.used_bytes}\n"
    )


def _expiries(database: Database) -> str:
    if not database.volatile_count:
        return NOTHING
    return (
        "Hash table 0 stats (main hash table):\n"
        f" number of elements: {database.volatile_count}\n"
        f" bytes of the index: {database.expiry_bytes}\n"
    )


def growth_report(keyspace: Keyspace) -> dict[bytes, object]:
    """How often tables have grown, split or shrunk, and what that cost single commands (thread CPU time)."""
    found = keyspace.growth_statistics()
    return {name.replace("_", "-").encode(): value for name, value in found.items()}
