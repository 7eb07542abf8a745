"""The checker of histories: it accepts what one copy of the data could have done, and finds what it could not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kvorum.testing.linearizability import (
    History,
    Operation,
    RedisKey,
    UndecidedError,
    Violation,
    check,
    check_key,
)

KEY = b"k"


def operation(began: int, ended: int | None, reply: object, *words: bytes) -> Operation:
    name, *arguments = words
    return Operation(0, (name, KEY, *arguments), reply, began, ended)


def found(*operations: Operation) -> Violation | None:
    return check_key(operations)


# What must be found.


def test_a_stale_read() -> None:
    violation = found(
        operation(0, 1, b"OK", b"SET", b"a"),
        operation(2, 3, b"OK", b"SET", b"b"),
        operation(4, 5, b"a", b"GET"),
    )
    assert violation is not None
    assert violation.operation.words == (b"GET", KEY)
    assert violation.states == (b"b",)
    assert "value could have been b" in str(violation)


def test_a_write_that_was_lost() -> None:
    assert found(operation(0, 1, 1, b"INCR"), operation(2, 3, 1, b"INCR"))
    assert found(operation(0, 1, 1, b"RPUSH", b"a"), operation(2, 3, (), b"LRANGE", b"0", b"-1"))


def test_a_value_that_nobody_wrote() -> None:
    assert found(operation(0, 1, b"a", b"GET"))


def test_a_read_that_sees_the_future() -> None:
    assert found(operation(0, 1, b"a", b"GET"), operation(2, 3, b"OK", b"SET", b"a"))


def test_two_readers_who_disagree_about_the_order() -> None:
    writes = [operation(0, 9, b"OK", b"SET", b"a"), operation(0, 9, b"OK", b"SET", b"b")]
    seen = [b"a", b"b", b"a"]
    reads = [operation(at, at + 1, value, b"GET") for at, value in zip((1, 3, 5), seen, strict=True)]
    assert found(*writes, *reads[:2]) is None
    assert found(*writes, *reads)


def test_a_write_without_a_reply_acts_once() -> None:
    lost = operation(0, None, None, b"INCR")
    assert found(lost, operation(1, 2, b"1", b"GET"), operation(3, 4, b"1", b"GET")) is None
    assert found(lost, operation(1, 2, b"2", b"GET"))
    assert found(lost, lost, operation(1, 2, b"2", b"GET")) is None
    assert found(lost, operation(1, 2, b"1", b"GET"), operation(3, 4, None, b"GET"))


def test_an_element_that_appears_in_another_place_later() -> None:
    pushes = [operation(0, 1, 1, b"RPUSH", b"a"), operation(2, None, None, b"RPUSH", b"b")]
    both = operation(3, 4, (b"a", b"b"), b"LRANGE", b"0", b"-1")
    turned = operation(5, 6, (b"b", b"a"), b"LRANGE", b"0", b"-1")
    assert found(*pushes, both) is None
    assert found(*pushes, both, turned)


def test_a_transaction_that_is_seen_in_halves() -> None:
    exec_words = (b"EXEC", KEY, (b"INCR", KEY), (b"INCR", KEY))
    transaction = Operation(0, exec_words, (1, 2), 0, 5)
    assert found(transaction, operation(1, 2, None, b"GET"), operation(3, 4, b"2", b"GET")) is None
    assert found(transaction, operation(1, 2, b"1", b"GET"))


# What must be accepted.


def test_a_write_without_a_reply_may_act_late_or_never() -> None:
    lost = operation(0, None, None, b"SET", b"a")
    others = [operation(1, 2, None, b"GET"), operation(3, 4, b"OK", b"SET", b"b"), operation(5, 6, b"b", b"GET")]
    assert found(lost, *others) is None
    assert found(lost, *others, operation(7, 8, b"a", b"GET")) is None


def test_what_is_concurrent_may_be_seen_in_any_order() -> None:
    first, second = operation(0, 5, 2, b"INCR"), operation(0, 5, 1, b"INCR")
    assert found(first, second) is None
    assert found(first, replace(second, began=6, ended=7))


def test_moments_that_are_the_same_count_as_concurrent() -> None:
    assert found(operation(0, 1, b"a", b"GET"), operation(1, 2, b"OK", b"SET", b"a")) is None


@pytest.mark.parametrize(
    ("before", "words", "after", "reply"),
    [
        (None, (b"GETSET", b"v"), b"v", None),
        (b"old", (b"GETDEL",), None, b"old"),
        (b"old", (b"SET", b"v", b"NX"), b"old", None),
        (None, (b"SET", b"v", b"XX"), None, None),
        (b"old", (b"SET", b"v", b"GET"), b"v", b"old"),
        (b"old", (b"SETNX", b"v"), b"old", 0),
        (b"5", (b"DECRBY", b"7"), b"-2", -2),
        (b"ab", (b"APPEND", b"c"), b"abc", 3),
        (b"ab", (b"STRLEN",), b"ab", 2),
        (b"ab", (b"DEL",), None, 1),
        (None, (b"EXISTS",), None, 0),
        ((b"a",), (b"LPUSH", b"b", b"c"), (b"c", b"b", b"a"), 3),
        ((b"a",), (b"RPOP",), None, b"a"),
        ((b"a", b"b"), (b"LPOP",), (b"b",), b"a"),
        (None, (b"LPOP",), None, None),
        ((b"a", b"b", b"c"), (b"LRANGE", b"-2", b"-1"), (b"a", b"b", b"c"), (b"b", b"c")),
        ((b"a", b"b", b"c"), (b"LRANGE", b"-9", b"1"), (b"a", b"b", b"c"), (b"a", b"b")),
        ((b"a",), (b"LLEN",), (b"a",), 1),
    ],
)
def test_what_a_key_does(before: object, words: tuple[bytes, ...], after: object, reply: object) -> None:
    name, *arguments = words
    assert RedisKey().apply(before, (name, KEY, *arguments)) == (after, reply)


# Histories that come from one copy of the data, and some that do not.


def random_words(rng: random.Random, kind: str, number: int) -> tuple[bytes, ...]:
    value = b"%d" % number
    choices: dict[str, list[tuple[bytes, ...]]] = {
        "register": [(b"GET",), (b"SET", value), (b"GETSET", value), (b"DEL",)],
        "counter": [(b"INCR",), (b"INCR",), (b"INCRBY", b"2"), (b"GET",)],
        "list": [(b"RPUSH", value), (b"LPUSH", value), (b"LRANGE", b"0", b"-1"), (b"LPOP",), (b"LLEN",)],
    }
    return rng.choice(choices[kind])


def atomic_history(
    rng: random.Random, kind: str, clients: int, count: int, key: bytes = KEY, lost: float = 0.1
) -> list[Operation]:
    """Each operation acts at one random moment between its beginning and its end; some have no reply."""
    model, state = RedisKey(), None
    history = History()
    free = list(range(clients))
    begun: list[tuple[int, tuple[Any, ...]]] = []
    acted: list[tuple[int, object]] = []
    owners: dict[int, int] = {}
    made = 0
    while made < count or begun or acted:
        ways = [made < count and bool(free), bool(begun), bool(acted)]
        way = rng.choice([way for way, possible in enumerate(ways) if possible])
        if way == 0:
            name, *arguments = random_words(rng, kind, made)
            words = (name, key, *arguments)
            client = free.pop(rng.randrange(len(free)))
            number = history.begin(client, *words)
            owners[number] = client
            begun.append((number, words))
            made += 1
        elif way == 1:
            number, words = begun.pop(rng.randrange(len(begun)))
            if rng.random() < lost / 2:
                history.lose(number)
                free.append(owners[number])
                continue
            state, reply = model.apply(state, words)
            acted.append((number, reply))
        else:
            number, reply = acted.pop(rng.randrange(len(acted)))
            free.append(owners[number])
            if rng.random() < lost:
                history.lose(number)
            else:
                history.end(number, reply)
    return history.close()


KINDS = ("register", "counter", "list")


@pytest.mark.parametrize("kind", KINDS)
def test_histories_of_one_copy_are_accepted_within_few_steps(kind: str) -> None:
    """Some thousand operations, and no more configurations than a few for each of them."""
    for seed in range(3):
        operations = atomic_history(random.Random(seed), kind, 8, 1000, lost=0.01)
        assert check(operations, most_configurations=100_000) == []


def brute_force(operations: Sequence[Operation]) -> bool:
    """All orders of all subsets: the definition."""
    model = RedisKey()
    known = [one for one in operations if one.ended is not None]
    unknown = [one for one in operations if one.ended is None]
    chosen_sets = itertools.chain.from_iterable(
        itertools.combinations(unknown, size) for size in range(len(unknown) + 1)
    )
    return any(
        is_explained(model, order) for chosen in chosen_sets for order in itertools.permutations((*known, *chosen))
    )


def is_explained(model: RedisKey, order: Sequence[Operation]) -> bool:
    state: Any = None
    latest_begin = -1
    for one in order:
        if one.ended is not None and one.ended < latest_begin:
            return False
        latest_begin = max(latest_begin, one.began)
        state, reply = model.apply(state, one.words)
        if one.ended is not None and reply != one.reply:
            return False
    return True


def damaged(rng: random.Random, operations: list[Operation]) -> list[Operation]:
    """With the replies of two operations exchanged, or one forgotten."""
    changed = list(operations)
    one, other = rng.randrange(len(changed)), rng.randrange(len(changed))
    if rng.random() < 0.3:
        del changed[one]
        return changed
    changed[one], changed[other] = (
        replace(changed[one], reply=changed[other].reply),
        replace(changed[other], reply=changed[one].reply),
    )
    return changed


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_the_definition_says(kind: str) -> None:
    verdicts = set()
    for seed in range(120):
        rng = random.Random(seed)
        operations = atomic_history(rng, kind, 3, 6, lost=0.3)
        assert check_key(operations) is None
        changed = damaged(rng, operations)
        verdict = brute_force(changed)
        verdicts.add(verdict)
        assert (check_key(changed) is None) == verdict, changed
    assert verdicts == {True, False}


def drop_a_write(operations: list[Operation], rng: random.Random) -> list[Operation]:
    """Its client has a reply, and nobody else has seen it."""
    at = rng.randrange(len(operations) // 2)
    counted = [one for one in operations if one.words[0] == b"INCR" and one.ended is not None]
    victim = counted[at % len(counted)]
    return [
        replace(one, reply=one.reply - 1)
        if one.words[0] != b"GET" and isinstance(one.reply, int) and one.began > (victim.ended or 0)
        else one
        for one in operations
    ]


def move_a_read(operations: list[Operation], rng: random.Random) -> list[Operation]:
    """What it saw was replaced long before it began."""
    reads = [one for one in operations if one.words[0] == b"GET" and one.reply is not None and one.ended is not None]
    victim = reads[len(reads) // 4 + rng.randrange(len(reads) // 4)]
    end = max(one.ended or 0 for one in operations)
    return [replace(one, began=end + 1, ended=end + 2) if one is victim else one for one in operations]


@pytest.mark.parametrize(("kind", "damage"), [("counter", drop_a_write), ("register", move_a_read)])
def test_one_wrong_reply_among_a_thousand_is_found(
    kind: str, damage: Callable[[list[Operation], random.Random], list[Operation]]
) -> None:
    for seed in range(5):
        rng = random.Random(seed)
        operations = atomic_history(rng, kind, 6, 1000, lost=0.005)
        violations = check(damage(operations, rng), most_configurations=200_000)
        assert [violation.key for violation in violations] == [KEY]


def test_keys_are_independent() -> None:
    rng = random.Random(1)
    operations = [one for name in (b"a", b"b", b"c") for one in atomic_history(rng, "counter", 3, 50, name, lost=0)]
    wrong = Operation(9, (b"GET", b"b"), b"no", 10**6, 10**6 + 1)
    assert check(operations) == []
    assert [violation.key for violation in check([*operations, wrong])] == [b"b"]


def test_a_search_that_gets_too_long_ends() -> None:
    pushes = [operation(0, None, None, b"RPUSH", b"%d" % number) for number in range(12)]
    with pytest.raises(UndecidedError, match="more than 1000"):
        check_key([*pushes, operation(1, 2, 99, b"LLEN")], most_configurations=1000)


def test_what_was_refused_is_not_part_of_the_history() -> None:
    history = History()
    refused = history.begin(1, b"SET", KEY, b"x")
    read = history.begin(2, b"LRANGE", KEY, b"0", b"-1")
    history.refuse(refused)
    history.end(read, [])
    open_one = history.begin(1, b"INCR", KEY)
    (first, second) = history.close()
    assert (first.client, first.reply) == (2, ())
    assert (second.began, second.ended) == (open_one, None)
    assert check(history.operations) == []
