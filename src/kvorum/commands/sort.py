"""SORT and SORT_RO: the elements of a list, set or sorted set in an order of their own or of other keys.

Weights are computed once per element; the sorting itself is Python's, which compares floats and bytes in C.
By numbers the order is total: elements of the same weight stand in the order of their bytes. By texts of other keys
(``ALPHA`` with ``BY``) elements of the same weight stay as they were, and those without a weight come first.

Redis compares texts by the locale of its process; here it is always their bytes, as with LC_ALL=C.

Effects follow redis-server 7.0.15: SORT with STORE is its own effect, word for word. With one exception: where different
elements have the same text as their weight, their order is that of a hash table, or of a sorting that is not stable;
there the list itself is logged, which is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from sys import float_info
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.arguments import integer
from kvorum.commands.spec import (
    BeginUnknown,
    Block,
    Category,
    FindUnknown,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    Pattern,
    Token,
)
from kvorum.errors import CommandError, WrongTypeError
from kvorum.keyspace.events import GENERIC
from kvorum.keyspace.events import LIST as LIST_EVENTS
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.resp.numbers import parse_float

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.keyspace.table import Database

KEYS = Group("generic")

READ = KeyFlag.RO | KeyFlag.ACCESS
SORTED_KEY = KeySpec(READ)
PATTERN_KEYS = KeySpec(
    READ, BeginUnknown(), FindUnknown(), notes="For the patterns of BY and GET: the keys follow from the elements."
)
STORED_KEY = KeySpec(
    KeyFlag.OW | KeyFlag.UPDATE, BeginUnknown(), FindUnknown(), notes="For STORE, which may stand anywhere."
)
SPACES = b" \t\n\v\f\r"  # that C's strtod skips
# Words that SORT's arguments may contain although they are no options, since another option takes them.
TAKEN_WORDS = {b"LIMIT": 2, b"GET": 1, b"BY": 1}
STORED_AT_ONCE = 1000  # elements of one RPUSH in the log
COMPLEXITY = "O(N+M*log(M)), N being the number of elements and M of those that are returned; O(N) without sorting"


def keys_of_sort(args: Sequence[bytes]) -> list[tuple[int, KeyFlag]]:
    """The sorted key, and where the result goes: the last STORE counts."""
    found = [(1, READ)]
    position = 2
    while position < len(args):
        word = args[position].upper()
        if word == b"STORE" and position + 1 < len(args):
            found[1:] = [(position + 1, KeyFlag.OW | KeyFlag.UPDATE)]
        position += 1 + TAKEN_WORDS.get(word, 0)
    return found


def key_of_sort_ro(args: Sequence[bytes]) -> list[tuple[int, KeyFlag]]:
    """Only the sorted key is known."""
    return [(1, READ)]


SORT_ARGUMENTS = [
    Key("key"),
    Pattern("pattern", "BY", key_spec_index=1, optional=True),
    Block("offset_count", Integer("offset"), Integer("count"), token="LIMIT", optional=True),
    Pattern("pattern", "GET", key_spec_index=1, optional=True, multiple=True, multiple_token=True),
    OneOf("order", Token("asc"), Token("desc"), optional=True),
    Token("sorting", "ALPHA", optional=True),
]


@KEYS.command(
    "SORT",
    since="1.0.0",
    arity=-2,
    flags=Flag.WRITE | Flag.DENYOOM,
    categories=Category.DANGEROUS | Category.LIST | Category.SET | Category.SORTEDSET,
    keys=[SORTED_KEY, PATTERN_KEYS, STORED_KEY],
    find_keys=keys_of_sort,
    arguments=[*SORT_ARGUMENTS, Key("destination", "STORE", key_spec_index=2, optional=True)],
    decode=False,
    complexity=COMPLEXITY,
    summary="Sorts the elements of a list, set or sorted set, and returns them or stores them as a list.",
)
def sort(call: Call, args: list[bytes]) -> list[bytes | None] | int:
    order = parse_order(args, may_store=True)
    result = sorted_result(call, args[0], order)
    return result if order.store is None else store(call, order.store, result, order.ambiguous)


@KEYS.command(
    "SORT_RO",
    since="7.0.0",
    arity=-2,
    flags=Flag.READONLY,
    categories=Category.DANGEROUS | Category.LIST | Category.SET | Category.SORTEDSET,
    keys=[SORTED_KEY, PATTERN_KEYS],
    find_keys=key_of_sort_ro,
    arguments=SORT_ARGUMENTS,
    decode=False,
    complexity=COMPLEXITY,
    summary="Sorts the elements of a list, set or sorted set; SORT without STORE, for replicas.",
)
def sort_ro(call: Call, args: list[bytes]) -> list[bytes | None]:
    return sorted_result(call, args[0], parse_order(args, may_store=False))


# What is wanted


class Lookup:
    """A pattern of BY or GET: says for an element which string it stands for.

    ``#`` is the element itself. The first ``*`` is replaced by the element; what follows ``->`` behind it is the field of
    a hash. Like C, Redis looks for all three only up to a NUL.
    """

    __slots__ = ("_field", "_prefix", "_suffix", "constant", "is_element")

    def __init__(self, pattern: bytes) -> None:
        visible = pattern.split(b"\0", 1)[0]
        star = visible.find(b"*")
        arrow = visible.find(b"->", star + 1)
        self.is_element = visible == b"#"
        self.constant = star < 0
        """The pattern names no other keys."""
        self._field: bytes | None = None
        if 0 <= star < arrow < len(visible) - 2:
            self._field = pattern[arrow + 2 :]
            pattern = pattern[:arrow]
        self._prefix, self._suffix = pattern[:star], pattern[star + 1 :]

    def find(self, database: Database, element: bytes) -> bytes | None:
        """The string, or None if there is no such key or field, or it is of another type."""
        if self.is_element:
            return element
        if self.constant:
            return None
        key = self._prefix + element + self._suffix
        if self._field is not None:
            value = database.get(key)
            return value.get(self._field) if isinstance(value, Hash) else None
        try:
            return database.get_string(key)
        except WrongTypeError:
            return None


@dataclass(slots=True)
class Order:
    """What the words after the key say."""

    descending: bool = False
    alphabetical: bool = False
    offset: int = 0
    count: int = -1
    by: Lookup | None = None
    store: bytes | None = None
    get: list[Lookup] = field(default_factory=list)
    unsorted: bool = False
    """A BY names no other keys: the elements stay as they are, whatever another BY says."""
    ambiguous: bool = False
    """Found while sorting: different elements have the same text as their weight."""

    def bounds(self, size: int) -> tuple[int, int]:
        """Which of ``size`` elements LIMIT leaves, as for a slice."""
        start = min(max(self.offset, 0), size)
        return start, size if self.count < 0 else min(start + self.count, size)


def parse_order(args: list[bytes], may_store: bool) -> Order:
    """The options, checked from left to right; of each the last one counts."""
    order = Order()
    words = iter(args[1:])
    left = len(args) - 1
    for word in words:
        left -= 1
        option = word.upper()
        if option in (b"ASC", b"DESC"):
            order.descending = option == b"DESC"
        elif option == b"ALPHA":
            order.alphabetical = True
        elif option == b"LIMIT" and left >= 2:
            order.offset, order.count = integer(next(words)), integer(next(words))
            left -= 2
        elif left and (option in (b"BY", b"GET") or (option == b"STORE" and may_store)):
            take_value(order, option, next(words))
            left -= 1
        else:
            raise CommandError(errors.SYNTAX)
    return order


def take_value(order: Order, option: bytes, value: bytes) -> None:
    if option == b"BY":
        order.by = Lookup(value)
        order.unsorted = order.unsorted or order.by.constant
    elif option == b"GET":
        order.get.append(Lookup(value))
    else:
        order.store = value


# Sorting


def sorted_result(call: Call, key: bytes, order: Order) -> list[bytes | None]:
    """What is returned or stored: the elements, or what GET finds for each of them."""
    value = call.db.get(key)
    elements = elements_of(value)
    unsorted = order.unsorted
    if unsorted and isinstance(value, Set) and order.store is not None:
        # The order of a set is no order that a replica would have too.
        elements.sort(reverse=order.descending)
    elif unsorted:
        if order.descending and not isinstance(value, Set):
            elements.reverse()
    else:
        put_in_order(call.db, elements, order)
    start, end = order.bounds(len(elements))
    chosen = elements[start:end]
    if not order.get:
        return [*chosen]
    return [lookup.find(call.db, element) for element in chosen for lookup in order.get]


def elements_of(value: object) -> list[bytes]:
    """What is to be sorted, in the value's own order; nothing if there is no value."""
    if value is None:
        return []
    if isinstance(value, List | Set):
        return list(value)
    if isinstance(value, SortedSet):
        return [member for member, _ in value.items()]
    raise WrongTypeError


def put_in_order(database: Database, elements: list[bytes], order: Order) -> None:
    """Sort the elements in place."""
    by, descending = order.by, order.descending
    if by is not None:
        found = {element: by.find(database, element) for element in elements}
        if order.alphabetical:
            texts = {element: (text is not None, text or b"") for element, text in found.items()}
            order.ambiguous = len(set(texts.values())) < len(texts)
            elements.sort(key=texts.__getitem__, reverse=descending)
        else:
            weights = {element: weight(text) for element, text in found.items()}
            elements.sort(key=weights.__getitem__, reverse=descending)
            sort_equals(elements, weights.__getitem__, descending)
    elif order.alphabetical:
        elements.sort(reverse=descending)
    else:
        elements.sort(key=weight, reverse=descending)
        sort_equals(elements, weight, descending)


def sort_equals(elements: list[bytes], weigh: Callable[[bytes], float], descending: bool) -> None:
    """Sort neighbours of the same weight by their bytes. Floats alone sort several times faster than pairs would."""
    start = 0
    common = None
    for place, element in enumerate(elements):
        current = weigh(element)
        if current != common:
            if place - start > 1:
                elements[start:place] = sorted(elements[start:place], reverse=descending)
            start, common = place, current
    elements[start:] = sorted(elements[start:], reverse=descending)


def weight(text: bytes | None) -> float:
    """The number that a text is to C's strtod, which skips spaces before it and ends at a NUL; of nothing it is 0."""
    if not text:
        return 0.0
    number = parse_float(text)
    if number is None:
        number = parse_float(text.split(b"\0", 1)[0].lstrip(SPACES)) if text[0] else 0.0
    if number is None or 0 < abs(number) < float_info.min:  # too small to be exact
        raise CommandError(errors.NOT_SORTABLE)
    return number


def store(call: Call, key: bytes, result: list[bytes | None], ambiguous: bool) -> int:
    """Make the result a list at a key, or remove the key if there is none; the number of elements.

    ``ambiguous``: whoever sorts once more might get another result.
    """
    if result:
        value = List(call.keyspace.commons)
        for element in result:
            value.push(element or b"")
        call.db.put_value(key, value)
        call.changed(len(result))
        if ambiguous:
            propagate_list(call, key, [element or b"" for element in result])
        call.modified(LIST_EVENTS, b"sortstore", key)
    elif call.db.delete(key):
        call.changed()
        call.modified(GENERIC, b"del", key)
    return len(result)


def propagate_list(call: Call, key: bytes, elements: list[bytes]) -> None:
    """Log what the list is now."""
    call.propagate(b"DEL", key)
    for start in range(0, len(elements), STORED_AT_ONCE):
        call.propagate(b"RPUSH", key, *elements[start : start + STORED_AT_ONCE])
