"""Every command that names keys, over keys of every type, beside redis-server: who is refused, and that nothing changes then."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from kvorum import errors
from kvorum.commands import all_groups
from kvorum.commands.command import Command
from kvorum.commands.keyspecs import has_keys
from kvorum.commands.registry import Registry
from kvorum.commands.spec import Flag
from tests.commands.requests import shortest
from tests.differential.machine import Pair
from tests.differential.vocabulary import SORTED_BY_SORT

# One element each: a random choice among them is none.
VALUES: dict[str, list[str]] = {
    "nothing": [],
    "string": ["SET * 10"],
    "list": ["RPUSH * 10"],
    "set": ["SADD * 10"],
    "hash": ["HSET * 10 10"],
    "zset": ["ZADD * 10 10"],
}
# SORT of redis-server may change the encoding of these two.
KEYS = (*SORTED_BY_SORT, b"third", b"fourth")
# Their shortest requests speak of milliseconds, and one would be over before the replies are compared.
LONGER_LIVES = {b"pexpire": b"100000", b"psetex": b"100000"}
EXCEPTIONS = {
    b"migrate": "It needs a server to talk to.",
    b"object|kind": "redis-server has no such command.",
    b"spublish": "It names a channel.",
    b"ssubscribe": "It names a channel.",
    b"sunsubscribe": "It names a channel.",
}
COMMANDS = [
    command
    for command in Registry(all_groups()).everything()
    if has_keys(command.declaration) and command.name not in EXCEPTIONS
]


def request_of(command: Command) -> tuple[list[bytes], int]:
    """The shortest request with keys of their own, and how many keys it names."""
    words = shortest(command.declaration)
    if command.name in LONGER_LIVES:
        words[2] = LONGER_LIVES[command.name]
    positions = [position for position, _ in command.keys(words)]
    for key, position in zip(KEYS, positions, strict=False):
        words[position] = key
    return words, len(positions)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name.decode())
def test_every_type_is_taken_or_refused_by_the_same_commands(
    open_pair: Callable[[int], Pair], command: Command
) -> None:
    request, count = request_of(command)
    assert count > 0, "it names no key"
    pair = open_pair(3)
    # In a transaction nobody waits.
    requests = [[b"MULTI"], request, [b"EXEC"]] if command.flags & Flag.BLOCKING else [request]
    for kinds in product(VALUES, repeat=min(count, 2)):
        pair.start_over()
        for key, kind in zip(KEYS, kinds, strict=False):
            pair.send_all([words.replace("*", key.decode()).encode().split() for words in VALUES[kind]])
        before = pair.ours.ask(b"DEBUG", b"DIGEST")
        replies = pair.send_all(requests)
        pair.compare_states()
        ours = replies[-1][1]
        if errors.WRONG_TYPE in (ours.value, *(item.value for item in ours.items)):
            assert pair.ours.ask(b"DEBUG", b"DIGEST") == before, kinds


def test_the_exceptions_exist() -> None:
    assert EXCEPTIONS.keys() <= {command.name for command in Registry(all_groups()).everything()}
