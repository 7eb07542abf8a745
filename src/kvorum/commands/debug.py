"""DEBUG: for tests of servers and clients, and for looking inside. ``enable-debug-command`` says who may use it.

Subcommands are no commands of their own, as in Redis: they stand in ``SUBCOMMANDS`` with the number of their arguments.
What Redis' test suites switch and what does not exist here (checksums of dumps, reply buffer sizes) is accepted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.client import memory_of
from kvorum.commands.grammar import integer
from kvorum.commands.objects import references
from kvorum.commands.spec import DocFlag, Flag, Group
from kvorum.config.kinds import parse_memory
from kvorum.config.options import Allowed
from kvorum.errors import CommandError
from kvorum.glob import Glob
from kvorum.journal.rdb.encoding import RdbWriter
from kvorum.journal.rdb.payload import dump_payload, load_payload
from kvorum.journal.rdb.values import write_body
from kvorum.keyspace.types.list import List
from kvorum.observe.debug_settings import PACKED_DEFAULT_BYTES, PACKED_LIMIT_BYTES
from kvorum.observe.digest import digest_of_everything, digest_of_value
from kvorum.observe.process import crash
from kvorum.observe.table_report import growth_report, table_report
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import OK, WRITTEN, Attribute, BigNumber, Marker, Members, Push, Status, Verbatim

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.keyspace.values import Value

SERVER = Group("server")

LOOPBACK_PEERS = (b"127.0.0.1:", b"[::1]:")
# CLIENT-EVICTION sorts clients by the bits of their size: below 2^15 bytes one class, from 2^32 on another.
LEAST_CLIENT_BITS, MOST_CLIENT_BITS = 15, 33
LONGEST_SLEEP_S = 1e9
SECONDS = re.compile(rb"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

Subcommand = Callable[["Call", list[bytes]], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """A subcommand: ``usage`` and ``help`` for HELP, and how many arguments it takes."""

    handler: Subcommand
    usage: str
    help: str
    least: int
    most: int


SUBCOMMANDS: dict[bytes, Entry] = {}
UNLIMITED = 1 << 20


def subcommand(usage: str, help: str, least: int = 0, most: int | None = None) -> Callable[[Subcommand], Subcommand]:
    """Enter the function into the table. ``least`` to ``most`` arguments (the same number if only one is given)."""

    def enter(handler: Subcommand) -> Subcommand:
        name = usage.split()[0].lower().encode()
        SUBCOMMANDS[name] = Entry(handler, usage, help, least, least if most is None else most)
        return handler

    return enter


@SERVER.command(
    "DEBUG",
    since="1.0.0",
    arity=-2,
    flags=Flag.ADMIN | Flag.NOSCRIPT | Flag.LOADING | Flag.STALE | Flag.PROTECTED,
    decode=False,
    doc_flags=DocFlag.SYSCMD,
    complexity="Depends on the subcommand.",
    summary="For tests and for looking inside; not for applications.",
)
def debug(call: Call, args: list[bytes]) -> object:
    if not allowed(call):
        raise CommandError(errors.DEBUG_NOT_ALLOWED)
    if len(args) == 1 and args[0].lower() == b"help":
        return help_lines()
    entry = SUBCOMMANDS.get(args[0].lower())
    if entry is None or not entry.least <= len(args) - 1 <= entry.most:
        raise misused(call)
    return entry.handler(call, args[1:])


def allowed(call: Call) -> bool:
    """Whether this client may use DEBUG."""
    permission = call.server.config.enable_debug_command
    if permission is Allowed.LOCAL:
        connection = call.session.connection
        return bool(connection.trusted or connection.peer.startswith(LOOPBACK_PEERS))
    return permission is Allowed.YES


def misused(call: Call) -> CommandError:
    """The error for an unknown subcommand or a wrong number of arguments."""
    return CommandError(errors.misused_subcommand(call.arg(0), call.arg(1)))


def help_lines() -> list[Status]:
    """HELP, in the form that all containers use."""
    lines = ["DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for _, entry in sorted(SUBCOMMANDS.items()):
        lines += [entry.usage, f"    {entry.help}"]
    return [Status(line.encode()) for line in [*lines, "HELP", "    Prints this help."]]


def switched_on(word: bytes) -> bool:
    """A switch as C's atoi reads it: a number other than zero."""
    found = re.match(rb"\s*[+-]?\d+", word)
    return found is not None and int(found[0]) != 0


# Time and background work


@subcommand("SLEEP <seconds>", "Stops the whole server for so many seconds; decimals are allowed.", 1)
def sleep(call: Call, args: list[bytes]) -> Status:
    found = SECONDS.match(args[0])
    seconds = float(found[0]) if found else 0.0
    call.server.sleep(min(max(seconds, 0.0), LONGEST_SLEEP_S))
    return OK


@subcommand("SET-ACTIVE-EXPIRE <0|1>", "Whether keys expire although nobody asks for them.", 1)
def set_active_expire(call: Call, args: list[bytes]) -> Status:
    call.keyspace.active_expiry = switched_on(args[0])
    return OK


@subcommand("PAUSE-CRON <0|1>", "Whether background work is stopped.", 1)
def pause_cron(call: Call, args: list[bytes]) -> Status:
    call.server.debug.cron_paused = switched_on(args[0])
    return OK


@subcommand("JMAP", "Accepted for test suites that call it; nothing happens.")
def jmap(call: Call, args: list[bytes]) -> Status:
    return OK


@subcommand("LOG <message>", "Writes a message to the server's log.", 1)
def log(call: Call, args: list[bytes]) -> Status:
    call.server.log.warning("DEBUG LOG: " + args[0].decode("utf-8", "backslashreplace"))
    return OK


# Data


@subcommand("DIGEST", "A fingerprint of all data; the same data gives the same on redis-server.")
def digest(call: Call, args: list[bytes]) -> Status:
    return Status(digest_of_everything(call.keyspace).hexadecimal)


@subcommand("DIGEST-VALUE <key> [<key> ...]", "Fingerprints of the values of keys.", 0, UNLIMITED)
def digest_value(call: Call, keys: list[bytes]) -> list[Status]:
    return [Status(digest_of_value(call.db, key).hexadecimal) for key in keys]


@subcommand(
    "POPULATE <count> [<prefix>] [<size>]",
    "Makes so many keys, named prefix:number (prefix: key), that are not there yet; nothing is logged.",
    1,
    3,
)
def populate(call: Call, args: list[bytes]) -> Status:
    count = natural_number(args[0])
    prefix = args[1] if len(args) > 1 else b"key"
    size = natural_number(args[2]) if len(args) > 2 else 0
    database = call.db
    for number in range(count):
        key = b"%s:%d" % (prefix, number)
        if not database.lookup_for_write(key):
            value = b"value:%d" % number
            database.set_string(key, value[:size].ljust(size, b"\0") if size else value)
    return OK


def natural_number(word: bytes) -> int:
    """An integer from 0 on; anything else has the one error."""
    number = parse_integer(word)
    if number is None or number < 0:
        raise CommandError(errors.MUST_BE_POSITIVE)
    return number


@subcommand("OBJECT <key>", "How a value is kept.", 1)
def object_(call: Call, args: list[bytes]) -> Status:
    key = args[0]
    value = present(call, key)
    encoding = call.db.encoding(key) or b""
    clock, idle_seconds = call.db.clock(key) or 0, call.db.idle_seconds(key) or 0
    address = call.db.entry_address(key) or 0
    return Status(
        b"Value at:0x%x refcount:%d encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d%s"
        % (
            address,
            references(call, key, encoding),
            encoding,
            serialized_length(call, value),
            clock,
            idle_seconds,
            about_nodes(call, value) if isinstance(value, List) else b"",
        )
    )


def present(call: Call, key: bytes) -> bytes | Value:
    """The value of a key that has to be there."""
    value = call.db.peek(key)
    if value is None:
        raise CommandError(errors.NO_SUCH_KEY)
    return value


def serialized_length(call: Call, value: bytes | Value) -> int:
    """Bytes of a value in an RDB file."""
    writer = RdbWriter(call.server.config.rdbcompression)
    write_body(writer, value)
    return writer.size


def about_nodes(call: Call, value: List) -> bytes:
    """Of a list: its nodes, the average number of elements in them, the limits, and how much is in the nodes."""
    sizes = [len(blob) for _, blob in value.nodes()]
    commons = call.keyspace.commons
    return b" ql_nodes:%d ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:%d ql_uncompressed_size:%d" % (
        len(sizes),
        len(value) / len(sizes),
        commons.list_max_size,
        commons.list_compress_depth != 0,
        sum(sizes),
    )


@subcommand("SDSLEN <key>", "Sizes of a key and of a string that is not kept as an integer.", 1)
def sdslen(call: Call, args: list[bytes]) -> Status:
    key = args[0]
    value = present(call, key)
    if not isinstance(value, bytes) or call.db.encoding(key) == b"int":
        raise CommandError(errors.NOT_AN_SDS)
    return Status(
        b"key_sds_len:%d, key_sds_avail:0, key_zmalloc: %d, val_sds_len:%d, val_sds_avail:0, val_zmalloc: %d"
        % (len(key), len(key), len(value), (call.db.entry_bytes(key) or 0) - len(key))
    )


@subcommand("LISTPACK <key>", "Whether a value is kept as a listpack.", 1)
def listpack(call: Call, args: list[bytes]) -> Status:
    return encoded_as(call, args[0], b"listpack", errors.NOT_A_LISTPACK)


@subcommand("QUICKLIST <key> [<0|1>]", "Whether a value is kept as a quicklist.", 1, 2)
def quicklist(call: Call, args: list[bytes]) -> Status:
    return encoded_as(call, args[0], b"quicklist", errors.NOT_A_QUICKLIST)


def encoded_as(call: Call, key: bytes, encoding: bytes, error: bytes) -> Status:
    present(call, key)
    if call.db.encoding(key) != encoding:
        raise CommandError(error)
    return OK


# Tables


@subcommand("HTSTATS <dbid>", "Statistics of the tables of a database.", 1, 2)
def htstats(call: Call, args: list[bytes]) -> Verbatim:
    index = integer(args[0])
    if not 0 <= index < len(call.keyspace.databases):
        raise CommandError(errors.OUT_OF_RANGE_DATABASE)
    return Verbatim(b"txt", table_report(call.keyspace.databases[index]).encode())


@subcommand("HTSTATS-KEY <key>", "Statistics of the table that a value is kept in.", 1, 2)
def htstats_key(call: Call, args: list[bytes]) -> Verbatim:
    value = present(call, args[0])
    report = getattr(value, "table_report", None)
    if report is None:
        raise CommandError(errors.NO_HASH_TABLE)
    return Verbatim(b"txt", report())


@subcommand("GROWTH [RESET]", "How often tables changed their size, and what it cost single commands.", 0, 1)
def growth(call: Call, args: list[bytes]) -> dict[bytes, object] | Status:
    if not args:
        return growth_report(call.keyspace)
    if args[0].lower() != b"reset":
        raise misused(call)
    call.keyspace.reset_growth_statistics()
    return OK


# Replies


@subcommand("ERROR <string>", "Answers with an error of this text.", 1)
def error(call: Call, args: list[bytes]) -> Marker:
    call.reply.error(args[0].replace(b"\n", b" ").replace(b"\r", b" "))
    return WRITTEN


def attribute_sample(call: Call) -> Attribute:
    return Attribute({b"key-popularity": [b"key:123", 90]}, b"Some real reply following the attribute")


def push_sample(call: Call) -> Marker:
    if call.session.protocol < 3:
        raise CommandError(errors.PUSH_NEEDS_RESP3)
    call.reply.value(Push([b"server-cpu-usage", 42]))
    call.reply.value(b"Some real reply following the push reply")
    return WRITTEN


SAMPLES: dict[bytes, Callable[[Call], object]] = {
    b"string": lambda call: b"Hello World",
    b"integer": lambda call: 12345,
    b"double": lambda call: 3.141,
    b"bignum": lambda call: BigNumber(b"1234567999999999999999999999999999999"),
    b"null": lambda call: None,
    b"array": lambda call: [0, 1, 2],
    b"set": lambda call: Members([0, 1, 2]),
    b"map": lambda call: {0: False, 1: True, 2: False},
    b"attrib": attribute_sample,
    b"push": push_sample,
    b"verbatim": lambda call: Verbatim(b"txt", b"This is a verbatim\nstring"),
    b"true": lambda call: True,
    b"false": lambda call: False,
}


@subcommand("PROTOCOL <type>", f"Answers with a sample of a type: {', '.join(map(bytes.decode, SAMPLES))}.", 1)
def protocol(call: Call, args: list[bytes]) -> object:
    sample = SAMPLES.get(args[0].lower())
    if sample is None:
        raise CommandError(errors.BAD_PROTOCOL_TYPE)
    return sample(call)


# Patterns


@subcommand("STRINGMATCH-LEN <pattern> <string>", "Whether a glob pattern matches: 1 or 0.", 2)
def stringmatch_len(call: Call, args: list[bytes]) -> int:
    return int(Glob(args[0]).matches(args[1]))


@subcommand("STRINGMATCH-TEST", "Matches random patterns with random strings.")
def stringmatch_test(call: Call, args: list[bytes]) -> Status:
    randomness = call.server.random
    for _ in range(1000):
        pattern, text = (randomness.randbytes(randomness.randrange(32)) for _ in range(2))
        Glob(pattern, ignore_case=randomness.random() < 0.5).matches(text)
    return Status(b"Apparently Redis did not crash: test passed")


# Switches for parts that tests look at


@subcommand(
    "QUICKLIST-PACKED-THRESHOLD <size>", "Accepted: here list-max-listpack-size decides which elements stand alone.", 1
)
def quicklist_packed_threshold(call: Call, args: list[bytes]) -> Status:
    size = parse_memory(args[0].decode("latin-1"))
    if size is None or size > PACKED_LIMIT_BYTES:
        raise CommandError(errors.PACKED_THRESHOLD)
    call.server.debug.packed_threshold_bytes = size or PACKED_DEFAULT_BYTES
    return OK


@subcommand("SET-SKIP-CHECKSUM-VALIDATION <0|1>", "Whether payloads of RESTORE are taken without a right checksum.", 1)
def set_skip_checksum_validation(call: Call, args: list[bytes]) -> Status:
    call.server.debug.skip_checksums = switched_on(args[0])
    return OK


@subcommand("REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>", "Accepted: reply buffers here have no such cron.", 2)
def replybuffer(call: Call, args: list[bytes]) -> Status:
    option, value = args[0].lower(), args[1].lower()
    if option == b"peak-reset-time":
        if value not in (b"never", b"reset"):
            integer(value)
    elif option != b"resizing":
        raise misused(call)
    return OK


@subcommand("SET-DISABLE-DENY-SCRIPTS <0|1>", "Accepted: there are no scripts yet.", 1)
def set_disable_deny_scripts(call: Call, args: list[bytes]) -> Status:
    return OK


@subcommand("AOF-FLUSH-SLEEP <microseconds>", "Accepted: writes to the log cannot be made slow.", 1)
def aof_flush_sleep(call: Call, args: list[bytes]) -> Status:
    return OK


@subcommand("DROP-CLUSTER-PACKET-FILTER <type>", "Accepted: there is no cluster bus.", 1)
def drop_cluster_packet_filter(call: Call, args: list[bytes]) -> Status:
    integer(args[0])
    return OK


@subcommand(
    "REPLICATE <word> [<word> ...]", "Sends a command to the replicas: to none, as there are none yet.", 1, UNLIMITED
)
def replicate(call: Call, args: list[bytes]) -> Status:
    return OK


@subcommand("CHANGE-REPL-ID", "Begins another history for replicas.")
def change_repl_id(call: Call, args: list[bytes]) -> Status:
    call.server.replication_id = f"{call.server.random.getrandbits(160):040x}"
    call.server.log.warning("replication ID changed by DEBUG CHANGE-REPL-ID")
    return OK


@subcommand("CLIENT-EVICTION", "How many clients take how much memory, if maxmemory-clients limits it.")
def client_eviction(call: Call, args: list[bytes]) -> Verbatim:
    if not call.server.config.maxmemory_clients:
        raise CommandError(errors.NO_CLIENT_EVICTION)
    sizes = [memory_of(session) for session in call.server.clients.values()]
    lines = []
    for bits in range(LEAST_CLIENT_BITS, MOST_CLIENT_BITS + 1):
        least = 1 << (bits - 1) if bits > LEAST_CLIENT_BITS else 0
        above = 1 << bits if bits < MOST_CLIENT_BITS else math.inf
        found = [size for size in sizes if least <= size < above]
        upper = "+            " if above == math.inf else f" - {int(above) - 1:10}"
        lines.append(f"bucket {least:10}{upper}: tot-mem: {sum(found):10}, clients: {len(found)}\n")
    return Verbatim(b"txt", "".join(lines).encode())


@subcommand("CLUSTERLINK KILL <to|from|all> <node-id>", "Refused: there are no cluster links.", 3)
def clusterlink(call: Call, args: list[bytes]) -> object:
    if args[0].lower() != b"kill":
        raise misused(call)
    raise CommandError(errors.NO_CLUSTER_LINKS)


@subcommand("CONFIG-REWRITE-FORCE-ALL", "CONFIG REWRITE with every option, also those at their defaults.")
def config_rewrite_force_all(call: Call, args: list[bytes]) -> Status:
    try:
        call.server.config.rewrite(force_all=True)
    except CommandError as failure:
        reason = failure.message.removeprefix(b"ERR ")
        raise CommandError(errors.forced_rewrite_failed(reason)) from None
    return OK


@subcommand("STRUCTSIZE", "Sizes of this build.")
def structsize(call: Call, args: list[bytes]) -> bytes:
    return b"bits:64 "


# Persistence and crashes


@subcommand(
    "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
    "Writes a snapshot, empties the data set, reads the snapshot; MERGE: keys may be there already. A server without"
    " files does it in memory.",
    0,
    UNLIMITED,
)
def reload(call: Call, args: list[bytes]) -> Status:
    options = {word.lower() for word in args}
    if options - {b"merge", b"noflush", b"nosave"}:
        raise CommandError(errors.RELOAD_OPTIONS)
    reloading = call.server.saving.reloading
    if reloading.has_files:
        reloading.reload(b"nosave" not in options, b"noflush" not in options, b"merge" in options)
    elif options:
        raise CommandError(errors.NO_PERSISTENCE)
    else:
        encode_and_decode(call)
    return OK


def encode_and_decode(call: Call) -> None:
    """Every value into the encoding of RDB and back."""
    for database in call.keyspace.databases:
        for key in [key for keys in database.key_steps(1000) for key in keys]:
            value = database.peek(key)
            if value is not None:
                fresh = load_payload(dump_payload(value), call.keyspace.commons)
                database.put_value(key, fresh, keep_ttl=True)


@subcommand("LOADAOF", "Empties the data set and executes the append-only file.", 0, UNLIMITED)
def loadaof(call: Call, args: list[bytes]) -> Status:
    if call.session.executing:
        raise CommandError(errors.LOG_IN_TRANSACTION)
    call.server.saving.reloading.load_log()
    return OK


@subcommand("RESTART [<milliseconds>]", "Refused: a supervisor restarts servers.", 0, UNLIMITED)
def restart(call: Call, args: list[bytes]) -> object:
    if args:
        integer(args[0])
    raise CommandError(errors.NO_RESTART)


SUBCOMMANDS[b"crash-and-recover"] = Entry(
    restart, "CRASH-AND-RECOVER [<milliseconds>]", "Refused, like RESTART.", 0, UNLIMITED
)


@subcommand("SEGFAULT", "Ends the process with a segmentation fault.", 0, UNLIMITED)
def segfault(call: Call, args: list[bytes]) -> object:
    return crash(segmentation=True)


@subcommand("PANIC", "Ends the process as an internal error would.", 0, UNLIMITED)
def panic(call: Call, args: list[bytes]) -> object:
    return crash()


SUBCOMMANDS[b"assert"] = Entry(panic, "ASSERT", "Ends the process as a failed assertion would.", 0, UNLIMITED)
