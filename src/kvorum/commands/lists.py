# cython: annotation_typing=True
"""The list commands that do not wait; those that do are in ``blocking_lists``.

All are ``raw`` or read their words themselves: elements go as Spans from the receive buffer into the list, and from the list
straight into the reply. Redis looks at the words and at the key in an order that differs from command to command and
shows in the errors; so does this.

A list whose last element has gone is removed with its key. Effects follow redis-server 7.0.15: LMPOP becomes the LPOP or
RPOP, with a count, of the key that it found.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvorum import errors
from kvorum.commands.call import Call
from kvorum.commands.spec import (
    BeginIndex,
    DocFlag,
    FindCount,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    String,
    Token,
)
from kvorum.errors import CommandError, WrongTypeError
from kvorum.keyspace.events import GENERIC, LIST
from kvorum.keyspace.types.list import List
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import NULL_ARRAY, OK, WRITTEN, Status

LISTS = Group("list")

READ = KeyFlag.RO | KeyFlag.ACCESS
INSERT = KeyFlag.RW | KeyFlag.INSERT
TAKE = KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.DELETE
DELETE = KeyFlag.RW | KeyFlag.DELETE

MIN_INTEGER = -(2**63)

# Integers that are C integers in the compiled module, by its .pxd; the annotation ``int`` would make them objects.
Position = int  # in the request
Count = int  # of elements


# What a handler works on


def list_to_read(call: Call) -> List | None:
    """The list at the first key of the request; None: there is none."""
    value = call.db.read_object(call.argv[1])
    if value is not None and type(value) is not List:
        raise WrongTypeError
    return value


def list_to_write(call: Call, position: Position) -> List | None:
    """The list at the key at a position of the request, for a command that is going to change it."""
    value = call.db.open_object(call.argv[position])
    if value is not None and type(value) is not List:
        raise WrongTypeError
    return value


def non_negative(word: bytes, error: bytes) -> int:
    """An integer from 0 on; whatever is wrong with it, the error is the same."""
    number = parse_integer(word)
    if number is None or number < 0:
        raise CommandError(error)
    return number


def positive(word: bytes, error: bytes) -> int:
    """The same, from 1 on."""
    number = non_negative(word, error)
    if number == 0:
        raise CommandError(error)
    return number


def is_left(word: bytes) -> bool:
    """Which end of a list LEFT or RIGHT is."""
    end = word.upper()
    if end not in (b"LEFT", b"RIGHT"):
        raise CommandError(errors.SYNTAX)
    return end == b"LEFT"


# Pushing


@LISTS.command(
    "LPUSH",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(INSERT)],
    arguments=[Key("key"), String("element", multiple=True)],
    history=[("2.4.0", "Several elements may be pushed at once.")],
    raw=True,
    complexity="O(1) per element",
    summary="Pushes elements, one after the other, to the head of a list; an absent list is created.",
)
def lpush(call: Call) -> object:
    return push(call, True, False)


@LISTS.command(
    "RPUSH",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(INSERT)],
    arguments=[Key("key"), String("element", multiple=True)],
    history=[("2.4.0", "Several elements may be pushed at once.")],
    raw=True,
    complexity="O(1) per element",
    summary="Appends elements to a list; an absent list is created.",
)
def rpush(call: Call) -> object:
    return push(call, False, False)


@LISTS.command(
    "LPUSHX",
    since="2.2.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(INSERT)],
    arguments=[Key("key"), String("element", multiple=True)],
    history=[("4.0.0", "Several elements may be pushed at once.")],
    raw=True,
    complexity="O(1) per element",
    summary="LPUSH for a list that exists.",
)
def lpushx(call: Call) -> object:
    return push(call, True, True)


@LISTS.command(
    "RPUSHX",
    since="2.2.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(INSERT)],
    arguments=[Key("key"), String("element", multiple=True)],
    history=[("4.0.0", "Several elements may be pushed at once.")],
    raw=True,
    complexity="O(1) per element",
    summary="RPUSH for a list that exists.",
)
def rpushx(call: Call) -> object:
    return push(call, False, True)


def push(call: Call, at_head: bool, only_existing: bool) -> object:
    """Push all elements of the request."""
    value = list_to_write(call, 1)
    is_new = value is None
    if value is None:
        if only_existing:
            return 0
        value = List(call.keyspace.commons)
    for position in range(2, call.argc):
        value.push_span(call.argv[position], at_head)
    if is_new:
        call.db.write_object(call.argv[1], value, 0, False)
    else:
        call.db.remeasure(value)
    call.changed(call.argc - 2)
    call.modified_at(LIST, b"lpush" if at_head else b"rpush", 1)
    call.reply.integer(value.length())
    return WRITTEN


# Popping


@LISTS.command(
    "LPOP",
    since="1.0.0",
    arity=-2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(TAKE)],
    arguments=[Key("key"), Integer("count", optional=True, since="6.2.0")],
    history=[("6.2.0", "`count` came.")],
    raw=True,
    complexity="O(N), N being the number of elements popped",
    summary="Takes elements away from the head of a list and gives them.",
)
def lpop(call: Call) -> object:
    return pop(call, True)


@LISTS.command(
    "RPOP",
    since="1.0.0",
    arity=-2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(TAKE)],
    arguments=[Key("key"), Integer("count", optional=True, since="6.2.0")],
    history=[("6.2.0", "`count` came.")],
    raw=True,
    complexity="O(N), N being the number of elements popped",
    summary="Takes elements away from the tail of a list and gives them, the last one first.",
)
def rpop(call: Call) -> object:
    return pop(call, False)


def pop(call: Call, at_head: bool) -> object:
    """One element, or with a count an array of them."""
    if call.argc > 3:
        raise CommandError(errors.wrong_arity(call.command.name))
    if call.argc == 3:
        count = non_negative(call.arg(2), errors.MUST_BE_POSITIVE)
        value = list_to_write(call, 1)
        return NULL_ARRAY if value is None else pop_several(call, value, at_head, count)
    value = list_to_write(call, 1)
    if value is None:
        return None
    value.write_end(call.reply, at_head)
    value.drop_end(at_head)
    popped(call, value, 1, at_head, 1)
    return WRITTEN


def pop_several(call: Call, value: List, at_head: bool, count: Count) -> object:
    """Up to ``count`` elements, the outermost first."""
    length = value.length()
    if count > length:
        count = length
    call.reply.array(count)
    if count:
        take(call, value, at_head, count)
        popped(call, value, 1, at_head, count)
    return WRITTEN


def take(call: Call, value: List, at_head: bool, count: Count) -> None:
    """Write ``count`` elements, which must exist, and take them away."""
    length = value.length()
    value.write_range(call.reply, 0 if at_head else length - 1, count, not at_head)
    value.drop(0 if at_head else length - count, count)


def popped(call: Call, value: List, position: Position, at_head: bool, count: Count) -> None:
    """``count`` elements of the list, whose key is at ``position`` of the request, have been taken away."""
    call.changed(count)
    call.modified_at(LIST, b"lpop" if at_head else b"rpop", position)
    if value.length():
        call.db.remeasure(value)
    else:
        call.db.remove(call.argv[position])
        call.modified_at(GENERIC, b"del", position)


@LISTS.command(
    "LMPOP",
    since="7.0.0",
    arity=-4,
    flags=Flag.WRITE,
    keys=[KeySpec(TAKE, BeginIndex(1), FindCount(0, 1, 1))],
    arguments=[
        Integer("numkeys"),
        Key("key", multiple=True, counted_by="numkeys"),
        OneOf("where", Token("left"), Token("right")),
        Integer("count", "COUNT", optional=True),
    ],
    raw=True,
    complexity="O(N+M), N being the number of keys and M the number of elements popped",
    summary="Takes elements away from the first of several lists that has any.",
)
def lmpop(call: Call) -> object:
    key_count, at_head, count = pop_request(call.args, 1)
    for position in range(2, 2 + key_count):
        value = list_to_write(call, position)
        if value is not None:
            pop_with_key(call, value, position, at_head, count)
            return WRITTEN
    return NULL_ARRAY


def pop_request(words: Sequence[bytes], start: int) -> tuple[int, bool, int]:
    """What LMPOP and BLMPOP are asked for from ``start`` on: number of keys, whether from the left, number of elements."""
    key_count = positive(words[start], errors.KEY_COUNT_NOT_POSITIVE)
    options = words[start + 1 + key_count :]
    if not options:
        raise CommandError(errors.SYNTAX)
    at_head = is_left(options[0])
    if len(options) == 1:
        return key_count, at_head, 1
    if options[1].upper() != b"COUNT" or len(options) == 2:
        raise CommandError(errors.SYNTAX)
    count = positive(options[2], errors.COUNT_NOT_POSITIVE)
    if len(options) > 3:
        raise CommandError(errors.SYNTAX)
    return key_count, at_head, count


def pop_with_key(call: Call, value: List, position: Position, at_head: bool, count: Count) -> None:
    """Write the key and up to ``count`` elements, and take these away."""
    count = min(count, value.length())
    call.reply.array(2)
    call.reply.bulk(call.argv[position])
    call.reply.array(count)
    take(call, value, at_head, count)
    call.propagate(b"LPOP" if at_head else b"RPOP", call.arg(position), b"%d" % count)
    popped(call, value, position, at_head, count)


# Moving


@LISTS.command(
    "LMOVE",
    since="6.2.0",
    arity=5,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(TAKE), KeySpec(INSERT, BeginIndex(2))],
    arguments=[
        Key("source"),
        Key("destination", key_spec_index=1),
        OneOf("wherefrom", Token("left"), Token("right")),
        OneOf("whereto", Token("left"), Token("right")),
    ],
    raw=True,
    complexity="O(1)",
    summary="Takes an element away from an end of one list and pushes it to an end of another or the same.",
)
def lmove(call: Call) -> bytes | None:
    from_head, to_head = is_left(call.arg(3)), is_left(call.arg(4))
    source = list_to_write(call, 1)
    return None if source is None else move(call, source, from_head, to_head)


@LISTS.command(
    "RPOPLPUSH",
    since="1.2.0",
    arity=3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(TAKE), KeySpec(INSERT, BeginIndex(2))],
    arguments=[Key("source"), Key("destination", key_spec_index=1)],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`LMOVE` with `RIGHT` and `LEFT`",
    raw=True,
    complexity="O(1)",
    summary="Takes the last element of a list away and pushes it to the head of another or the same.",
)
def rpoplpush(call: Call) -> bytes | None:
    source = list_to_write(call, 1)
    return None if source is None else move(call, source, False, True)


def move(call: Call, source: List, from_head: bool, to_head: bool) -> bytes:
    """An element from the list at the first key of the request to the one at the second, which may be the same."""
    destination = list_to_write(call, 2)
    element = source.get(0 if from_head else -1)
    assert element is not None
    if destination is None:
        destination = List(call.keyspace.commons)
        destination.push(element, to_head)
        call.db.write_object(call.argv[2], destination, 0, False)
    else:
        destination.push(element, to_head)
        call.db.remeasure(destination)
    if source is destination and from_head == to_head:
        source.drop(1 if from_head else source.length() - 2, 1)
    else:
        source.drop_end(from_head)
    call.modified_at(LIST, b"lpush" if to_head else b"rpush", 2)
    popped(call, source, 1, from_head, 1)
    return element


# Reading


@LISTS.command(
    "LLEN",
    since="1.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="The length of a list.",
)
def llen(call: Call) -> object:
    value = list_to_read(call)
    call.reply.integer(0 if value is None else value.length())
    return WRITTEN


@LISTS.command(
    "LINDEX",
    since="1.0.0",
    arity=3,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Integer("index")],
    raw=True,
    complexity="O(log N), N being the length of the list; O(1) at its ends",
    summary="The element at an index of a list; negative ones count from the end.",
)
def lindex(call: Call) -> object:
    value = list_to_read(call)
    if value is None:
        return None
    index = call.integer(2)
    if index < 0:
        index += value.length()
    if not 0 <= index < value.length():
        return None
    value.write_element_at(call.reply, index)
    return WRITTEN


@LISTS.command(
    "LRANGE",
    since="1.0.0",
    arity=4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Integer("start"), Integer("stop")],
    raw=True,
    complexity="O(log N + M), N being the length of the list and M the number of elements given",
    summary="The elements of a list from one index to another, both included.",
)
def lrange(call: Call) -> object:
    start, stop = call.integer(2), call.integer(3)
    value = list_to_read(call)
    if value is None:
        call.reply.array(0)
        return WRITTEN
    start = first_index(start, value.length())
    count = count_until(start, stop, value.length())
    call.reply.array(count)
    value.write_range(call.reply, start, count, False)
    return WRITTEN


def first_index(start: int, length: int) -> int:
    """Where a range begins that a client asked for."""
    return max(start + length, 0) if start < 0 else start


def count_until(start: int, stop: int, length: int) -> int:
    """How many elements there are from ``start``, which is not negative, to ``stop``, which may be, both included."""
    if stop < 0:
        stop += length
    return max(min(stop, length - 1) - start + 1, 0)


@LISTS.command(
    "LPOS",
    since="6.0.6",
    arity=-3,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        String("element"),
        Integer("rank", "RANK", optional=True),
        Integer("num-matches", "COUNT", optional=True),
        Integer("len", "MAXLEN", optional=True),
    ],
    raw=True,
    complexity="O(N), N being the length of the list, less where RANK, COUNT or MAXLEN end the search",
    summary="The indexes at which a list has an element.",
)
def lpos(call: Call) -> int | list[int] | None:
    rank, count, max_length = search_options(call.args[3:])
    value = list_to_read(call)
    if value is None:
        return None if count is None else []
    if rank == MIN_INTEGER:
        # Has no opposite: Redis' sum overflows, so that every match counts and none is the last.
        rank, count = -1, None if count is None else 0
    found: list[int] = value.positions(call.arg(2), rank, 1 if count is None else count, max_length)
    if count is not None:
        return found
    return found[0] if found else None


def search_options(words: Sequence[bytes]) -> tuple[int, int | None, int]:
    """RANK, COUNT (None: not given) and MAXLEN; errors in the order of the words."""
    rank, count, max_length = 1, None, 0
    for place in range(0, len(words), 2):
        word = words[place].upper()
        if place + 1 == len(words) or word not in (b"RANK", b"COUNT", b"MAXLEN"):
            raise CommandError(errors.SYNTAX)
        amount = words[place + 1]
        if word == b"COUNT":
            count = non_negative(amount, errors.NEGATIVE_COUNT)
        elif word == b"MAXLEN":
            max_length = non_negative(amount, errors.NEGATIVE_MAX_LENGTH)
        else:
            number = parse_integer(amount)
            if number is None:
                raise CommandError(errors.NOT_AN_INTEGER)
            if number == 0:
                raise CommandError(errors.RANK_IS_ZERO)
            rank = number
    return rank, count, max_length


# Changing the middle


@LISTS.command(
    "LSET",
    since="1.0.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.UPDATE)],
    arguments=[Key("key"), Integer("index"), String("element")],
    raw=True,
    complexity="O(log N), N being the length of the list",
    summary="Replaces the element at an index of a list.",
)
def lset(call: Call) -> Status:
    value = list_to_write(call, 1)
    if value is None:
        raise CommandError(errors.NO_SUCH_KEY)
    if not value.set(call.integer(2), call.arg(3)):
        raise CommandError(errors.INDEX_OUT_OF_RANGE)
    call.db.remeasure(value)
    call.changed()
    call.modified_at(LIST, b"lset", 1)
    return OK


@LISTS.command(
    "LINSERT",
    since="2.2.0",
    arity=5,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(INSERT)],
    arguments=[
        Key("key"),
        OneOf("where", Token("before"), Token("after")),
        String("pivot"),
        String("element"),
    ],
    raw=True,
    complexity="O(N), N being the number of elements up to the pivot",
    summary="Inserts an element before or after the first one that equals the pivot.",
)
def linsert(call: Call) -> int:
    where = call.arg(2).upper()
    if where not in (b"BEFORE", b"AFTER"):
        raise CommandError(errors.SYNTAX)
    value = list_to_write(call, 1)
    if value is None:
        return 0
    if not value.insert_beside(call.arg(3), call.arg(4), where == b"AFTER"):
        return -1
    call.db.remeasure(value)
    call.changed()
    call.modified_at(LIST, b"linsert", 1)
    return value.length()


@LISTS.command(
    "LREM",
    since="1.0.0",
    arity=4,
    flags=Flag.WRITE,
    keys=[KeySpec(DELETE)],
    arguments=[Key("key"), Integer("count"), String("element")],
    raw=True,
    complexity="O(N), N being the length of the list",
    summary="Removes elements that are equal: the first ones, with a negative count the last ones, with 0 all.",
)
def lrem(call: Call) -> int:
    count = call.integer(2)
    value = list_to_write(call, 1)
    if value is None:
        return 0
    removed = value.remove_equal(call.arg(3), count)
    if removed:
        call.changed(removed)
        call.modified_at(LIST, b"lrem", 1)
        settle(call, value)
    return removed


@LISTS.command(
    "LTRIM",
    since="1.0.0",
    arity=4,
    flags=Flag.WRITE,
    keys=[KeySpec(DELETE)],
    arguments=[Key("key"), Integer("start"), Integer("stop")],
    raw=True,
    complexity="O(N), N being the number of elements removed",
    summary="Keeps the elements of a list from one index to another, both included, and removes the others.",
)
def ltrim(call: Call) -> Status:
    start, stop = call.integer(2), call.integer(3)
    value = list_to_write(call, 1)
    if value is None:
        return OK
    length = value.length()
    start = first_index(start, length)
    kept = count_until(start, stop, length)
    if kept:
        value.drop(start + kept, length - start - kept)
        value.drop(0, start)
    else:
        value.drop(0, length)
    if kept != length:
        call.changed(length - kept)
    call.modified_at(LIST, b"ltrim", 1)
    settle(call, value)
    return OK


def settle(call: Call, value: List) -> None:
    """Account for a list that has become shorter, or remove its key with it."""
    if value.length():
        call.db.remeasure(value)
    else:
        call.db.remove(call.argv[1])
        call.modified_at(GENERIC, b"del", 1)
