"""MEMORY: where it is, and giving some of it back. What is measured is in ``kvorum.observe.memory``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.grammar import integer
from kvorum.commands.spec import BeginIndex, Flag, Group, Integer, Key, KeyFlag, KeySpec
from kvorum.errors import CommandError
from kvorum.observe.memory import DatabaseMemory, MemoryReport, diagnose, memory_report
from kvorum.observe.process import allocator_report, return_free_memory
from kvorum.resp.types import OK, Status, Verbatim

if TYPE_CHECKING:
    from kvorum.commands.call import Call

SERVER = Group("server")
TIPS = ["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]

MEMORY = SERVER.container(
    "MEMORY", since="4.0.0", complexity="Depends on the subcommand.", summary="Shows where the memory is."
)


@MEMORY.command(
    "DOCTOR",
    since="4.0.0",
    arity=2,
    tips=TIPS,
    complexity="O(N) where N is the number of clients",
    summary="Explains what is remarkable about the memory, with advice.",
)
def memory_doctor(call: Call) -> Verbatim:
    return Verbatim(b"txt", diagnose(memory_report(call.server), len(call.server.clients)).encode())


MEMORY.help(since="4.0.0")


@MEMORY.command(
    "MALLOC-STATS",
    since="4.0.0",
    arity=2,
    tips=TIPS,
    complexity="O(N) where N is the number of free pieces of memory",
    summary="The C allocator's own statistics.",
)
def memory_malloc_stats(call: Call) -> Verbatim | bytes:
    report = allocator_report()
    return Verbatim(b"txt", report) if report else b"Stats not supported for the current allocator"


@MEMORY.command(
    "PURGE",
    since="4.0.0",
    arity=2,
    tips=["request_policy:all_shards", "response_policy:all_succeeded"],
    complexity="O(N) where N is the number of free pieces of memory",
    summary="Gives memory that is free inside the process back to the system.",
)
def memory_purge(call: Call) -> Status:
    if not return_free_memory():
        raise CommandError(errors.PURGE_FAILED)
    return OK


@MEMORY.command(
    "STATS",
    since="4.0.0",
    arity=2,
    tips=TIPS,
    complexity="O(N) where N is the number of clients",
    summary="Where the memory is, in numbers.",
)
def memory_stats(call: Call) -> dict[bytes, object]:
    report = memory_report(call.server)
    return consumers(report) | summary(report) | allocator(report)


def consumers(report: MemoryReport) -> dict[bytes, object]:
    """Who uses how much."""
    return {
        b"peak.allocated": report.peak,
        b"total.allocated": report.used,
        b"startup.allocated": report.startup,
        b"replication.backlog": 0,
        b"clients.slaves": 0,
        b"clients.normal": report.clients,
        b"cluster.links": 0,
        b"aof.buffer": 0,
        b"lua.caches": 0,
        b"functions.caches": 0,
        **{b"db.%d" % database.index: overhead(database) for database in report.databases},
    }


def overhead(database: DatabaseMemory) -> dict[bytes, object]:
    """Of one database."""
    return {
        b"overhead.hashtable.main": database.table_bytes,
        b"overhead.hashtable.expires": database.expiry_bytes,
        b"overhead.hashtable.slot-to-keys": 0,
    }


def summary(report: MemoryReport) -> dict[bytes, object]:
    """Data and what is not data."""
    return {
        b"overhead.total": report.overhead,
        b"keys.count": report.keys,
        b"keys.bytes-per-key": report.bytes_per_key,
        b"dataset.bytes": report.dataset,
        b"dataset.percentage": report.dataset_percent,
        b"peak.percentage": report.peak_percent,
    }


def allocator(report: MemoryReport) -> dict[bytes, object]:
    """The process as the system sees it."""
    return {
        b"allocator.allocated": report.used,
        b"allocator.active": report.allocator_resident,
        b"allocator.resident": report.allocator_resident,
        b"allocator-fragmentation.ratio": report.allocator_ratio,
        b"allocator-fragmentation.bytes": report.allocator_waste,
        b"allocator-rss.ratio": 1.0,
        b"allocator-rss.bytes": 0,
        b"rss-overhead.ratio": report.rss_ratio,
        b"rss-overhead.bytes": report.rss_waste,
        b"fragmentation": report.total_ratio,
        b"fragmentation.bytes": report.total_waste,
    }


@MEMORY.command(
    "USAGE",
    since="4.0.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=[KeySpec(KeyFlag.RO, BeginIndex(2))],
    arguments=[Key("key"), Integer("count", "SAMPLES", optional=True)],
    decode=False,
    complexity="O(1)",
    summary="How many bytes a key takes, value and share of the table included; it is counted, not sampled.",
)
def memory_usage(call: Call, args: list[bytes]) -> int | None:
    check_samples(args[1:])
    return call.db.entry_bytes(args[0])


def check_samples(words: list[bytes]) -> None:
    """SAMPLES and a number that is not negative, any number of times."""
    for at in range(0, len(words), 2):
        if words[at].lower() != b"samples" or at + 1 == len(words) or integer(words[at + 1]) < 0:
            raise CommandError(errors.SYNTAX)
