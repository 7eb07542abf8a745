"""Where the memory is: the one computation behind INFO memory, MEMORY STATS and MEMORY DOCTOR.

*Used* memory is what the server accounts for itself: the keyspace (entries, tables, values, to the byte that malloc
gave) and the clients' buffers, counted as they change while a memory limit is set, else measured every second. It is
just what ``maxmemory`` limits. The interpreter, code and libraries are not part of it; they were there before the
first key and show up as the process' resident size at start (``startup_rss_bytes``). So the fields about the
allocator compare used memory with what the process has grown by, and ``rss_overhead_*`` shows the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kvorum.observe.process import resident_bytes

if TYPE_CHECKING:
    from kvorum.keyspace.table import Database
    from kvorum.session.context import ServerContext

MEBI = 1024 * 1024
SMALL_BYTES = 5 * MEBI
NOTABLE_BYTES = 10 * MEBI
PEAK_RATIO = 1.5
FRAGMENTATION_RATIO = 1.1
BIG_CLIENT_BYTES = 200 * 1024


@dataclass(frozen=True, slots=True)
class ClientMemory:
    """Buffers of all clients together, and the largest of any one client."""

    total_bytes: int = 0
    largest_input_bytes: int = 0
    largest_output_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DatabaseMemory:
    """Memory of one database that is not keys and values."""

    index: int
    table_bytes: int
    expiry_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """All in bytes but ``keys`` and the ratios, which follow from the rest."""

    used: int
    peak: int
    startup: int
    clients: int
    resident: int
    startup_resident: int
    keys: int
    databases: list[DatabaseMemory] = field(default_factory=list)

    @property
    def overhead(self) -> int:
        """Used memory that is not the data set."""
        return self.startup + self.clients + sum(one.table_bytes + one.expiry_bytes for one in self.databases)

    @property
    def dataset(self) -> int:
        return max(self.used - self.overhead, 0)

    @property
    def beyond_startup(self) -> int:
        return max(self.used - self.startup, 1)

    @property
    def dataset_percent(self) -> float:
        return self.dataset * 100 / self.beyond_startup

    @property
    def peak_percent(self) -> float:
        return self.used * 100 / max(self.peak, 1)

    @property
    def bytes_per_key(self) -> int:
        return self.beyond_startup // self.keys if self.keys else 0

    @property
    def allocator_resident(self) -> int:
        """What the process has grown by since its start."""
        return max(self.resident - self.startup_resident, self.used, 1)

    @property
    def allocator_ratio(self) -> float:
        return self.allocator_resident / max(self.used, 1)

    @property
    def allocator_waste(self) -> int:
        return self.allocator_resident - self.used

    @property
    def rss_ratio(self) -> float:
        return self.resident / self.allocator_resident

    @property
    def rss_waste(self) -> int:
        return self.resident - self.allocator_resident

    @property
    def total_ratio(self) -> float:
        return self.resident / max(self.used, 1)

    @property
    def total_waste(self) -> int:
        return self.resident - self.used


def client_memory(server: ServerContext) -> ClientMemory:
    """Look at the buffers of every client."""
    total = largest_input = largest_output = 0
    for session in server.clients.values():
        received = session.parser.footprint()
        pending = session.reply.footprint()
        total += received + pending + session.kept_bytes()
        largest_input = max(largest_input, received)
        largest_output = max(largest_output, pending)
    return ClientMemory(total, largest_input, largest_output)


def memory_report(server: ServerContext) -> MemoryReport:
    """Measure now."""
    used = server.memory.used_bytes()
    server.statistics.note_memory(used)
    databases = server.keyspace.databases
    return MemoryReport(
        used=used,
        peak=server.statistics.peak_memory_bytes,
        startup=server.statistics.startup_memory_bytes,
        clients=server.statistics.client_buffer_bytes,
        resident=resident_bytes(),
        startup_resident=server.statistics.startup_rss_bytes,
        keys=sum(len(database) for database in databases),
        databases=[_database_memory(database) for database in databases if len(database)],
    )


def _database_memory(database: Database) -> DatabaseMemory:
    return DatabaseMemory(database.index, database.table_bytes, database.expiry_bytes)


PEAK = (
    "Peak memory: more than 150% of what is used now was used once. The allocator may keep that memory for later; it is"
    " used again when data comes in. MEMORY PURGE asks for what can be given back at once."
)
FRAGMENTATION = (
    "High fragmentation: the process has grown by more than 110% of what it uses. After a peak (see above) or with"
    " values of changing sizes this is to be expected; MEMORY PURGE may help, a restart always does."
)
BIG_CLIENTS = (
    "Big client buffers: clients hold more than 200 KiB each on average, because they read slowly, ask for large"
    " replies or send long pipelines. CLIENT LIST shows which."
)
EMPTY = "Hi Sam, there is hardly any data here yet: put some in and ask again.\n"
HEALTHY = "Hi Sam, I looked at the memory of this instance and found nothing to worry about.\n"
FOUND = "Sam, I found something in the memory of this instance:\n\n"


def diagnose(report: MemoryReport, clients: int) -> str:
    """MEMORY DOCTOR: what is remarkable about a report, in plain words. ``clients``: how many there are."""
    if report.used < SMALL_BYTES:
        return EMPTY
    fragmented = report.allocator_ratio > FRAGMENTATION_RATIO and report.allocator_waste > NOTABLE_BYTES
    findings = [
        (report.peak / report.used > PEAK_RATIO, PEAK),
        (fragmented, FRAGMENTATION),
        (report.clients / max(clients, 1) > BIG_CLIENT_BYTES, BIG_CLIENTS),
    ]
    found = [f" * {text}\n\n" for applies, text in findings if applies]
    return FOUND + "".join(found) if found else HEALTHY
