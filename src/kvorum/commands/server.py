"""Commands about the server as a whole: emptying and exchanging databases, the time, watching, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.arguments import INT32_MAX, INT32_MIN
from kvorum.commands.grammar import integer
from kvorum.commands.spec import Category, Flag, Group, Integer, OneOf, Token
from kvorum.errors import CommandError
from kvorum.observe import replication
from kvorum.observe.lolwut import picture
from kvorum.observe.monitor import start_monitoring
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import OK, WRITTEN, Marker, Status, Verbatim

if TYPE_CHECKING:
    from kvorum.commands.call import Call

SERVER = Group("server")

DANGEROUS = Category.KEYSPACE | Category.DANGEROUS
FLUSH_MODE = OneOf("async", Token("async", since="4.0.0"), Token("sync", since="6.2.0"), optional=True)
FLUSH_HISTORY = [("4.0.0", "Option `ASYNC`."), ("6.2.0", "Option `SYNC`.")]
FLUSH_TIPS = ["request_policy:all_shards", "response_policy:all_succeeded"]


# Keys as a whole


@SERVER.command(
    "DBSIZE",
    since="1.0.0",
    arity=1,
    flags=Flag.READONLY | Flag.FAST,
    more_categories=Category.KEYSPACE,
    tips=["request_policy:all_shards", "response_policy:agg_sum"],
    complexity="O(1)",
    summary="How many keys the selected database has.",
)
def dbsize(call: Call) -> int:
    return len(call.db)


@SERVER.command(
    "FLUSHALL",
    since="1.0.0",
    arity=-1,
    flags=Flag.WRITE,
    more_categories=DANGEROUS,
    arguments=[FLUSH_MODE],
    decode=False,
    history=FLUSH_HISTORY,
    tips=FLUSH_TIPS,
    complexity="O(N) where N is the number of keys; with ASYNC O(1), and the memory comes back bit by bit",
    summary="Deletes all keys of all databases.",
)
def flushall(call: Call, args: list[bytes]) -> Status:
    background = in_background(call, args)
    for index in range(len(call.keyspace.databases)):
        call.server.contents_change([index])
    call.server.tracking.everything_modified()
    log_flush(call, call.keyspace.flush_all(background))
    if call.session.connection is not None:  # else the log says it, and the files are none of its business
        call.server.saving.everything_flushed()
    return OK


@SERVER.command(
    "FLUSHDB",
    since="1.0.0",
    arity=-1,
    flags=Flag.WRITE,
    more_categories=DANGEROUS,
    arguments=[FLUSH_MODE],
    decode=False,
    history=FLUSH_HISTORY,
    tips=FLUSH_TIPS,
    complexity="O(N) where N is the number of keys; with ASYNC O(1), and the memory comes back bit by bit",
    summary="Deletes all keys of the selected database.",
)
def flushdb(call: Call, args: list[bytes]) -> Status:
    background = in_background(call, args)
    call.server.contents_change([call.db.index])
    call.server.tracking.everything_modified()
    log_flush(call, call.db.flush(background))
    return OK


def in_background(call: Call, args: list[bytes]) -> bool:
    """Whether a flush is to free memory later: as it says itself, else as ``lazyfree-lazy-user-flush`` says."""
    if not args:
        return call.server.config.lazyfree_lazy_user_flush
    if len(args) > 1 or args[0].lower() not in (b"sync", b"async"):
        raise CommandError(errors.SYNTAX)
    return args[0].lower() == b"async"


def log_flush(call: Call, removed: int) -> None:
    """A flush is always logged, also that of an empty database."""
    if removed:
        call.changed(removed)
    else:
        call.propagate(*call.args)


@SERVER.command(
    "SWAPDB",
    since="4.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.FAST,
    more_categories=DANGEROUS,
    arguments=[Integer("index1"), Integer("index2")],
    decode=False,
    complexity="O(1)",
    summary="Exchanges the keys of two databases; clients stay where they are and see the other's keys.",
)
def swapdb(call: Call, args: list[bytes]) -> Status:
    first = swapped_index(args[0], errors.FIRST_DATABASE_INVALID)
    second = swapped_index(args[1], errors.SECOND_DATABASE_INVALID)
    count = len(call.keyspace.databases)
    if not (0 <= first < count and 0 <= second < count):
        raise CommandError(errors.SWAP_OUT_OF_RANGE)
    if first != second:
        call.server.contents_change((first, second))
        call.keyspace.swap(first, second)
        call.server.blocking.databases_changed((first, second))
    call.changed()
    return OK


def swapped_index(word: bytes, error: bytes) -> int:
    """A number that can be a database's index; whether there is such a database is checked for both together."""
    number = parse_integer(word)
    if number is None or not INT32_MIN <= number <= INT32_MAX:
        raise CommandError(error)
    return number


# About the server


@SERVER.command(
    "TIME",
    since="2.6.0",
    arity=1,
    flags=Flag.LOADING | Flag.STALE | Flag.FAST,
    tips=["nondeterministic_output"],
    complexity="O(1)",
    summary="The server's clock: Unix time in seconds, and the microseconds beyond.",
)
def time(call: Call) -> list[bytes]:
    seconds, microseconds = divmod(call.server.clock.wall_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % microseconds]


@SERVER.command(
    "ROLE",
    since="2.8.12",
    arity=1,
    flags=Flag.NOSCRIPT | Flag.LOADING | Flag.STALE | Flag.FAST | Flag.SENTINEL,
    more_categories=Category.ADMIN | Category.DANGEROUS,
    complexity="O(1)",
    summary="What this server is in replication: a master with its offset and its replicas, or a replica and of whom.",
)
def role(call: Call) -> list[object]:
    return replication.role(call.server)


@SERVER.command(
    "LOLWUT",
    since="5.0.0",
    arity=-1,
    flags=Flag.READONLY | Flag.FAST,
    arguments=[Integer("version", "VERSION", optional=True)],
    decode=False,
    complexity="O(1)",
    summary="Draws something, and tells the version.",
)
def lolwut(call: Call, args: list[bytes]) -> Verbatim:
    if len(args) >= 2 and args[0].lower() == b"version":
        integer(args[1])
        args = args[2:]
    sizes = [number for number in map(parse_integer, args[:2]) if number is not None]
    return Verbatim(b"txt", picture(call.server.random, *sizes).encode())


# Watching and ending


@SERVER.command(
    "MONITOR",
    since="1.0.0",
    arity=1,
    flags=Flag.ADMIN | Flag.NOSCRIPT | Flag.LOADING | Flag.STALE,
    complexity="O(1), and a little for every command from then on",
    summary="Shows this client every command as it is executed, until it leaves or is reset.",
)
def monitor(call: Call) -> Status | Marker:
    if call.session.monitor:
        return WRITTEN
    start_monitoring(call.server, call.session)
    return OK


@SERVER.command(
    "SHUTDOWN",
    since="1.0.0",
    arity=-1,
    flags=Flag.ADMIN | Flag.NOSCRIPT | Flag.LOADING | Flag.STALE | Flag.NO_MULTI | Flag.SENTINEL | Flag.ALLOW_BUSY,
    arguments=[
        OneOf("nosave_save", Token("nosave"), Token("save"), optional=True),
        Token("now", optional=True, since="7.0.0"),
        Token("force", optional=True, since="7.0.0"),
        Token("abort", optional=True, since="7.0.0"),
    ],
    decode=False,
    history=[("7.0.0", "Options `NOW`, `FORCE` and `ABORT`.")],
    complexity="O(N) where N is the number of keys if they are saved, else O(1)",
    summary="Ends the server: what was executed is on its way to disk and clients first.",
)
def shutdown(call: Call, args: list[bytes]) -> Status | Marker:
    options = {word.lower() for word in args}
    if options - {b"nosave", b"save", b"now", b"force", b"abort"} or {b"nosave", b"save"} <= options:
        raise CommandError(errors.SYNTAX)
    if b"abort" in options:
        if len(options) > 1:
            raise CommandError(errors.SYNTAX)
        raise CommandError(errors.NO_SHUTDOWN)
    try:
        call.server.saving.save_at_the_end(b"save" in options, b"nosave" in options)
    except CommandError as error:
        if b"force" not in options:
            raise CommandError(errors.SHUTDOWN_FAILED) from error
    call.server.request_shutdown()
    call.session.held_by = "shutdown"
    return WRITTEN
