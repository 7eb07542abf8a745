"""Everything that may change data: a template for each such command of the registry, made from its argument grammar,
mixed with those that were written by hand; and what happens besides commands: time passes, memory runs short, turns end.

These go to kvorum alone, so lives may be so short that they end at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvorum.commands import all_groups
from kvorum.commands.command import Command
from kvorum.commands.registry import Registry
from kvorum.commands.spec import Argument, Declaration, Flag, Kind
from tests.differential.collection_commands import PAYLOADS, RANDOM_CHANGES, SORTING
from tests.differential.commands import COLLECTIONS, DATABASES, GENERIC, STRINGS, TRANSACTIONS, WALKS
from tests.differential.conversation_commands import FEEDING, WAITING
from tests.differential.conversation_commands import LIST as WAITED_LIST
from tests.differential.conversation_commands import SORTED as WAITED_SORTED_SET
from tests.differential.templates import Template, keyword, maybe, one_of, sequence, some, weighted, words
from tests.differential.vocabulary import (
    BITMAP_KEY,
    DATABASE,
    EXISTING_DATABASE,
    FIELD,
    FLOAT,
    HASH_KEY,
    INDEX,
    INTEGER,
    KEY,
    LEX_BOUND,
    LIST_KEY,
    MEMBER,
    MILLISECONDS,
    PATTERN,
    SCORE,
    SCORE_BOUND,
    SECONDS,
    SET_KEY,
    SORTED_SET_KEY,
    STRING_KEY,
    UNIX_MILLISECONDS,
    UNIX_SECONDS,
    VALUE,
)

# Where the clock of those who execute this stands at first: beyond the clocks that see it replayed.
BEGINNING_MS = 3_000_000_000_000
# Steps that are no commands.
TIME_PASSES = b"<time passes>"  # milliseconds
CYCLE = b"<expiry cycle>"
TURN_ENDS = b"<turn ends>"
MEMORY_LIMIT = b"<memory limit>"  # percent of what is used now, policy
POLICIES = (
    b"allkeys-lru", b"allkeys-lfu", b"allkeys-random", b"volatile-lru", b"volatile-lfu", b"volatile-random", b"volatile-ttl",
    b"noeviction",
)  # fmt: skip
MOST_REPEATS = 3
CHANGES = Flag.WRITE | Flag.MAY_REPLICATE

KEYS_OF_GROUP = {
    "string": STRING_KEY,
    "hash": HASH_KEY,
    "list": one_of(LIST_KEY, WAITED_LIST),
    "set": SET_KEY,
    "sorted-set": one_of(SORTED_SET_KEY, WAITED_SORTED_SET),
    "bitmap": BITMAP_KEY,
}
FEW_MILLISECONDS = words(*(b"%d" % number for number in (1, 1, 2, 3, 5, 10, 30, 100)))
SOON = words(*(b"%d" % (BEGINNING_MS + number) for number in (-1000, 0, 1, 5, 20, 50, 100, 300, 1000, 5000, 100_000)))
SOON_IN_SECONDS = words(*(b"%d" % (BEGINNING_MS // 1000 + number) for number in (-1, 0, 1, 2, 10, 1000)))
TIMEOUT = words(b"0", b"0", b"0.001", b"0.005", b"0.02", b"1", b"-1", b"x")
SMALL = weighted((6, words(b"1", b"1", b"2", b"3", b"10", b"0", b"-1")), (1, INDEX))

# By the name of the argument, where the kind does not say enough.
BY_NAME: dict[str, Template] = {
    "seconds": one_of(SECONDS, words(b"1", b"2")),
    "milliseconds": one_of(MILLISECONDS, FEW_MILLISECONDS),
    "unix-time-seconds": one_of(UNIX_SECONDS, SOON_IN_SECONDS),
    "unix-time-milliseconds": one_of(UNIX_MILLISECONDS, SOON),
    "timeout": TIMEOUT,
    "db": DATABASE,
    "destination-db": DATABASE,
    "index1": EXISTING_DATABASE,
    "index2": EXISTING_DATABASE,
    "member": one_of(MEMBER, INTEGER),
    "element": one_of(MEMBER, words(b"a", b"b")),
    "field": FIELD,
    "increment": one_of(SMALL, SCORE, FLOAT),
    "decrement": SMALL,
    "score": SCORE,
    "encoding": words(b"u8", b"i8", b"u1", b"i64", b"u63", b"i5", b"u64"),
    "offset": words(b"0", b"1", b"7", b"8", b"100", b"#1", b"-1", b"5000", b"536870912x"),
    "bit": words(b"0", b"1", b"1", b"x"),
}
RANGES = {"zremrangebyscore": SCORE_BOUND, "zremrangebylex": LEX_BOUND}


def commands_that_change() -> list[Command]:
    """Every command of the registry that may have effects."""
    return [command for command in Registry(all_groups()).everything() if command.flags & CHANGES]


def declared(declaration: Declaration) -> Template:
    """Requests that the grammar allows, and what the words of some of them do not."""
    names = declaration.full_name.split("|")
    return sequence(*names, *_parts(declaration.arguments, declaration))


def _parts(arguments: Sequence[Argument], declaration: Declaration) -> Iterator[Template]:
    left = iter(arguments)
    for argument in left:
        if argument.name == "numkeys":
            token = [] if argument.token is None else [argument.token]
            yield sequence(*token, _counted(next(left), declaration))
        else:
            part = _repeated(argument, declaration)
            yield maybe(part) if argument.optional else part


def _counted(argument: Argument, declaration: Declaration) -> Template:
    """A number and so many keys."""
    one = _value(argument, declaration)
    counts = [sequence(words(b"%d" % count), some(one, count, count)) for count in range(1, MOST_REPEATS + 1)]
    return one_of(*counts, counts[0])


def _repeated(argument: Argument, declaration: Declaration) -> Template:
    token = [] if argument.token is None or argument.kind is Kind.PURE_TOKEN else [argument.token]
    value = _value(argument, declaration)
    if argument.multiple_token:
        return some(sequence(*token, value), 1, MOST_REPEATS)
    return sequence(*token, some(value, 1, MOST_REPEATS) if argument.multiple else value)


def _value(argument: Argument, declaration: Declaration) -> Template:
    if argument.kind is Kind.PURE_TOKEN:
        return keyword(argument.token or "")
    if argument.kind is Kind.ONEOF:
        return one_of(*(_repeated(one, declaration) for one in argument.arguments))
    if argument.kind is Kind.BLOCK:
        return sequence(*_parts(argument.arguments, declaration))
    return _word(argument, declaration)


def _word(argument: Argument, declaration: Declaration) -> Template:
    if argument.kind is Kind.KEY:
        return KEYS_OF_GROUP.get(declaration.group, KEY)
    named = BY_NAME.get(argument.name)
    if argument.name in ("min", "max", "start", "stop"):
        named = RANGES.get(declaration.full_name)
    if named is not None:
        return named
    if argument.kind is Kind.UNIX_TIME:
        return one_of(UNIX_MILLISECONDS, SOON, SOON_IN_SECONDS)
    if argument.kind is Kind.INTEGER:
        return SMALL
    if argument.kind is Kind.DOUBLE:
        return SCORE
    return PATTERN if argument.kind is Kind.PATTERN else VALUE


# MIGRATE would wait for a server that is not there; what empties databases comes with ``DATABASES``, seldom.
APART = (b"migrate", b"flushall", b"flushdb", b"swapdb")
DECLARED = [declared(command.declaration) for command in commands_that_change() if command.name not in APART]
STOCK = [
    sequence("SET", STRING_KEY, one_of(VALUE, words(b"10", b"abc"))),
    sequence("HSET", HASH_KEY, some(sequence(FIELD, one_of(VALUE, INTEGER)), 1, 5)),
    sequence("RPUSH", one_of(LIST_KEY, WAITED_LIST), some(MEMBER, 1, 6)),
    sequence("SADD", SET_KEY, some(one_of(MEMBER, INTEGER), 1, 8)),
    sequence("ZADD", one_of(SORTED_SET_KEY, WAITED_SORTED_SET), some(sequence(SCORE, MEMBER), 1, 6)),
    sequence("ZADD", words(b"x1", b"x2", b"z1"), some(sequence(words(b"0"), MEMBER), 2, 6)),
]
CONDITION = some(one_of("NX", "XX", "GT", "LT"), 0, 1)
SHORT_LIVES = [
    sequence("SET", STRING_KEY, VALUE, one_of("PX"), FEW_MILLISECONDS),
    sequence("SET", STRING_KEY, VALUE, one_of("PXAT"), SOON),
    sequence("PSETEX", STRING_KEY, FEW_MILLISECONDS, VALUE),
    sequence("GETEX", STRING_KEY, one_of(sequence("PX", FEW_MILLISECONDS), sequence("PXAT", SOON), "PERSIST")),
    sequence("PEXPIRE", KEY, FEW_MILLISECONDS, CONDITION),
    sequence("PEXPIRE", KEY, FEW_MILLISECONDS),
    sequence("PEXPIREAT", KEY, SOON, CONDITION),
    sequence("EXPIREAT", KEY, SOON_IN_SECONDS, CONDITION),
    sequence("PEXPIRE", one_of(WAITED_LIST, WAITED_SORTED_SET), FEW_MILLISECONDS),
    sequence(words(b"PAYLOAD-OF-KVORUM"), KEY, KEY, FEW_MILLISECONDS, some(words(b"REPLACE"), 1, 1)),
    sequence(words(b"PAYLOAD-OF-KVORUM"), KEY, KEY, SOON, words(b"REPLACE"), words(b"ABSTTL")),
    sequence(words(b"RESTORE-ASKING-PAYLOAD"), KEY, KEY, words(b"0", b"100"), words(b"REPLACE")),
]
MEETINGS = [
    sequence("SMOVE", words(b"i1", b"s1"), words(b"i2", b"s1", b"s2"), words(b"1", b"2", b"m1", b"x")),
    sequence(one_of("GET", "STRLEN", "INCR", "APPEND"), STRING_KEY, maybe(words(b"1"))),
    sequence(one_of("TYPE", "TTL", "EXISTS", "PERSIST"), KEY),
    sequence("APPEND", STRING_KEY, VALUE),
    sequence("SETRANGE", STRING_KEY, words(b"0", b"3"), words(b"", b"x")),
    sequence("SETBIT", BITMAP_KEY, words(b"0", b"9"), words(b"0", b"1")),
    sequence("BITFIELD", BITMAP_KEY, "INCRBY", words(b"u8", b"i4"), words(b"0", b"#3"), words(b"1", b"200")),
    *WALKS,
    sequence("KEYS", PATTERN),
]
# Equal weights as texts have no order of their own.
TEXT_WEIGHTS = [
    sequence("SET", words(b"w_1", b"w_2", b"w_3", b"w_10", b"w_x"), words(b"same", b"same", b"other")),
    sequence("SORT", words(b"sy1", b"sy2", b"ly1", b"ly2", b"y1", b"i1"), "BY", words(b"w_*"), "ALPHA", maybe("DESC"),
             maybe("LIMIT", words(b"0", b"1"), words(b"1", b"5")), "STORE", LIST_KEY),
    sequence("RPUSH", words(b"ly1"), some(words(*(b"%d" % number for number in range(30))), 8, 20)),
]  # fmt: skip
ELSEWHERE = sequence("SELECT", EXISTING_DATABASE)
UNWATCHED = [sequence("MULTI"), sequence("EXEC"), sequence("EXEC")]

CHANGE = weighted(
    (24, one_of(*DECLARED)),
    (12, one_of(*STOCK)),
    (5, one_of(*STRINGS)),
    (24, COLLECTIONS),
    (3, one_of(*SORTING)),
    (2, one_of(*TEXT_WEIGHTS)),
    (3, one_of(*RANDOM_CHANGES)),
    (2, one_of(*PAYLOADS)),
    (6, one_of(*GENERIC)),
    (8, one_of(*SHORT_LIVES)),
    (4, one_of(*MEETINGS)),
    (8, one_of(*FEEDING)),
    (3, one_of(*TRANSACTIONS)),
    (9, one_of(*UNWATCHED)),
    (1, one_of(*DATABASES, *DATABASES, sequence("SWAPDB", EXISTING_DATABASE, EXISTING_DATABASE))),
    (1, ELSEWHERE),
)
OCCURRENCE = weighted(
    (8, sequence(words(TIME_PASSES), words(b"0", b"1", b"1", b"2", b"5", b"10", b"50", b"1000", b"200000"))),
    (3, words(CYCLE)),
    (12, words(TURN_ENDS)),
    (1, sequence(words(MEMORY_LIMIT), words(b"100", b"99", b"95", b"80", b"50"), words(*POLICIES))),
    (4, sequence(words(MEMORY_LIMIT), words(b"0"), words(b"noeviction"))),
)
ONE_WHO_CHANGES = weighted((5, CHANGE), (1, OCCURRENCE))
ONE_WHO_CHANGES_AND_WAITS = weighted((8, CHANGE), (1, one_of(*WAITING)))
