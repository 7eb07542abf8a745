"""Commands whose reply is chance: not compared, but checked for being one that redis-server could have given.

For each there is a question that is asked just before, whose answer tells what there was to choose from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.differential.wire import Reply

Command = Sequence[bytes]

QUESTIONS: dict[bytes, list[bytes]] = {
    b"SRANDMEMBER": [b"SMEMBERS"],
    b"SPOP": [b"SMEMBERS"],
    b"HRANDFIELD": [b"HGETALL"],
    b"ZRANDMEMBER": [b"ZRANGE", b"0", b"-1", b"WITHSCORES"],
}


def question(command: Command) -> list[bytes] | None:
    """What to ask before a command of chance; None: it is none, or names no key."""
    words = QUESTIONS.get(command[0].upper())
    if words is None or len(command) < 2:
        return None
    return [words[0], command[1], *words[1:]]


def plausible(command: Command, before: Reply, theirs: Reply, ours: Reply) -> bool:
    """Whether ``ours`` is a choice from ``before`` of the form that ``theirs`` has."""
    if theirs == ours:
        return True
    if theirs.kind != ours.kind or len(theirs.items) != len(ours.items) or theirs.is_error:
        return False
    stock = Counter(_choices(before, paired=command[0].upper() not in (b"SRANDMEMBER", b"SPOP")))
    if not theirs.items:  # a single one
        return theirs.value is not None and ours.value is not None and any(ours == one[0] for one in stock)
    with_values = len(command) > 3
    chosen = Counter(_choices(ours, paired=True) if with_values else [(item,) for item in ours.items])
    if not with_values:
        stock = Counter((one[0],) for one in stock)
    if int(command[2]) < 0:
        return chosen.keys() <= stock.keys()
    return chosen <= stock


def _choices(reply: Reply, *, paired: bool) -> list[tuple[Reply, ...]]:
    """The members of a reply, or its pairs, whether they stand flat or nested."""
    if not paired:
        return [(item,) for item in reply.items]
    if reply.kind == b"*" and reply.items and reply.items[0].items:
        return [item.items for item in reply.items]
    return list(zip(reply.items[::2], reply.items[1::2], strict=True))
