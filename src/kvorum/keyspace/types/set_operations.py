"""What is computed from several sets: intersections, unions, differences, to be shown or to be stored.

``sets`` is never empty and has no holes; the same set may come twice. Nothing here changes a set that it was given.
"""

from __future__ import annotations

from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types.set import Set
from kvorum.resp.writer import Writer


def write_intersection(sets: list[Set], reply: Writer) -> None:
    """The members that all of the sets have, as a reply of type set."""
    _write([member for member in sets[0] if all(member in one for one in sets)], reply)


def count_intersection(sets: list[Set], limit: int) -> int:
    """How many members all of the sets have; no more than a limit, 0: none."""
    count = sum(all(member in one for one in sets) for member in sets[0])
    return min(count, limit) if limit else count


def intersection(sets: list[Set], commons: Commons) -> Set:
    """The set of the members that all of the sets have."""
    return _set_of([member for member in sets[0] if all(member in one for one in sets)], commons)


def union(sets: list[Set], commons: Commons) -> Set:
    """The set of the members that any of the sets has."""
    return _set_of([member for one in sets for member in one], commons)


def write_difference(sets: list[Set], reply: Writer) -> None:
    """The members that the first has and no other, as a reply of type set."""
    _write([member for member in sets[0] if not any(member in one for one in sets[1:])], reply)


def difference(sets: list[Set], commons: Commons) -> Set:
    """The set of the members that the first has and no other.

    Two ways as in Redis, which differ in how the result is kept: if the others are many compared with their size, their
    members are taken out of a copy of the first, which stays a hash table if it had to be one.
    """
    if sets[0] in sets[1:]:
        return Set(commons)
    if len(sets[0]) * len(sets) // 2 <= sum(map(len, sets)):
        return _set_of([member for member in sets[0] if not any(member in one for one in sets[1:])], commons)
    result = _set_of(list(sets[0]), commons)
    for one in sets[1:]:
        for member in one:
            result.remove(member)
    return result


def _write(members: list[bytes], reply: Writer) -> None:
    reply.set(len(members))
    for member in members:
        reply.string(member)


def _set_of(members: list[bytes], commons: Commons) -> Set:
    made = Set(commons)
    for member in members:
        made.add(member)
    return made
