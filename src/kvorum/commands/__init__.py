"""The commands: declarations and handlers, one module per group, and what is derived from them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvorum.commands.spec import Group

MODULES = (
    "acl",
    "bitmaps",
    "blocking_lists",
    "client",
    "client_tracking",
    "config",
    "connection",
    "debug",
    "dump",
    "functions",
    "hashes",
    "info",
    "introspection",
    "keys",
    "kvorum",
    "latency",
    "lists",
    "memory",
    "migrate",
    "modules",
    "objects",
    "persistence",
    "pubsub",
    "raft",
    "raft_peer",
    "server",
    "sets",
    "slowlog",
    "sort",
    "sorted_set_algebra",
    "sorted_set_pops",
    "sorted_set_ranges",
    "sorted_sets",
    "strings",
    "transactions",
)


def all_groups() -> list[Group]:
    """The groups of all modules with commands. Imported here, since these modules stand above this package's others."""
    from kvorum.commands.spec import Group

    members = (member for name in MODULES for member in vars(import_module(f"{__name__}.{name}")).values())
    return list(dict.fromkeys(member for member in members if isinstance(member, Group)))
