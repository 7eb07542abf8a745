"""Where the keys of a request stand: extraction from declared key specs.

Cluster slots, access control, ``COMMAND GETKEYS`` and client-side caching all ask the same question; the answer comes
from the key specs of the declaration alone. Only where a spec says itself that it is not the whole truth (INCOMPLETE,
VARIABLE_FLAGS, unknown) does the declaration's ``find_keys`` function speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvorum.commands.spec import (
    BeginIndex,
    BeginKeyword,
    BeginUnknown,
    Declaration,
    FindCount,
    FindRange,
    FindUnknown,
    KeyFlag,
    KeySpec,
)
from kvorum.resp.numbers import parse_integer

Found = list[tuple[int, KeyFlag]]


@dataclass(frozen=True, slots=True)
class LegacyRange:
    """First key, last key (negative: from the end) and step as COMMAND has shown them since 2.8; zeros: none.

    ``movable``: the range does not cover all keys.
    """

    first: int = 0
    last: int = 0
    step: int = 0
    movable: bool = False


def legacy_range(specs: Sequence[KeySpec]) -> LegacyRange:
    """The one range that covers most of what the specs say."""
    if len(specs) == 1:
        begin, find = specs[0].begin, specs[0].find
        if isinstance(begin, BeginIndex) and isinstance(find, FindRange):
            last = find.last_key + begin.index if find.last_key >= 0 else find.last_key
            return LegacyRange(begin.index, last, find.step, bool(specs[0].flags & KeyFlag.INCOMPLETE))
    return _joined_range(specs)


def _joined_range(specs: Sequence[KeySpec]) -> LegacyRange:
    """Ranges that follow each other without a gap become one; everything else only makes the command movable."""
    first = last = previous = 0
    movable = False
    for spec in specs:
        begin, find = spec.begin, spec.find
        if not (isinstance(begin, BeginIndex) and isinstance(find, FindRange)) or find.step != 1:
            movable = True
            continue
        if previous and previous != begin.index - 1:
            movable = True
            continue
        movable = movable or bool(spec.flags & KeyFlag.INCOMPLETE)
        first = min(first, begin.index) if first else begin.index
        end = find.last_key + begin.index if find.last_key >= 0 else find.last_key
        # A range that is open to the end is longer than any that is not.
        last = end if end < 0 or (last >= 0 and end > last) else last
        previous = last
    return LegacyRange(first, last, 1 if first else 0, movable)


def has_keys(declaration: Declaration) -> bool:
    """Whether requests of this command can name keys."""
    return declaration.find_keys is not None or any(not spec.flags & KeyFlag.NOT_KEY for spec in declaration.key_specs)


def find_keys(declaration: Declaration, request: Sequence[bytes]) -> Found:
    """Positions and flags of all keys in a request (name at 0); empty if there are none or the request is malformed."""
    certain = not any(spec.flags & KeyFlag.VARIABLE_FLAGS for spec in declaration.key_specs)
    if certain or declaration.find_keys is None:
        found = _find_by_specs(declaration.key_specs, request)
        if found is not None:
            return found
    return [] if declaration.find_keys is None else declaration.find_keys(request)


def _find_by_specs(specs: Sequence[KeySpec], request: Sequence[bytes]) -> Found | None:
    """All keys that the specs find; None if one of them does not fit or does not tell everything."""
    found: Found = []
    for spec in specs:
        if spec.flags & KeyFlag.NOT_KEY:
            continue
        positions = positions_of(spec, request)
        if positions is None or (positions and spec.flags & KeyFlag.INCOMPLETE):
            return None
        found += [(position, spec.flags) for position in positions]
    return found


def positions_of(spec: KeySpec, request: Sequence[bytes]) -> range | None:
    """Where one spec finds keys; an empty range if its keyword does not occur, None if the request does not fit."""
    first = _begin(spec.begin, request)
    if first is None:
        return None
    if first == 0:
        return range(0)
    if isinstance(spec.find, FindUnknown):
        return None
    if isinstance(spec.find, FindRange):
        last, step = _end(spec.find, first, len(request)), spec.find.step
    else:
        count = _count(spec.find, first, request)
        if count is None:
            return None
        first += spec.find.first_key
        last, step = first + count - 1, spec.find.step
    return range(first, last + 1, step) if first <= last < len(request) else None


def _begin(begin: BeginIndex | BeginKeyword | BeginUnknown, request: Sequence[bytes]) -> int | None:
    """Where the search begins; 0 if its keyword does not occur."""
    if isinstance(begin, BeginUnknown):
        return None
    if isinstance(begin, BeginIndex):
        return begin.index
    word = begin.keyword.upper().encode()
    if begin.start_from > 0:
        places = range(begin.start_from, len(request) - 1)
    else:
        places = range(len(request) + begin.start_from, 1, -1)
    return next((place + 1 for place in places if 1 <= place < len(request) and request[place].upper() == word), 0)


def _end(find: FindRange, first: int, size: int) -> int:
    """Position of the last key."""
    if find.last_key >= 0:
        return first + find.last_key
    if find.limit == 0:
        return size + find.last_key
    return first + (size - first) // find.limit + find.last_key


def _count(find: FindCount, first: int, request: Sequence[bytes]) -> int | None:
    """How many keys the request says that it has."""
    place = first + find.count_index
    number = parse_integer(request[place]) if place < len(request) else None
    return None if number is None or number < 0 else number
