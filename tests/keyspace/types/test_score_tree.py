"""The order of big sorted sets: nodes that split, join and go, by every pattern of changes."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator

import pytest

from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types import sorted_set

Item = tuple[float, bytes]
SortedSet = sorted_set.SortedSet

pytestmark = pytest.mark.skipif(sorted_set.__file__.endswith(".py"), reason="the tree is compiled")

LEAF = 62
INNER = 31

ORDERS: dict[str, Callable[[int], Iterator[Item]]] = {
    "rising": lambda count: ((float(number), b"m") for number in range(count)),
    "falling": lambda count: ((-number / 3, b"m") for number in range(count)),
    "shuffled": lambda count: ((float(number * 7919 % count), b"m") for number in range(count)),
    "equal scores": lambda count: ((1.5, b"%d" % (number * 7919 % count)) for number in range(count)),
    "few scores": lambda count: ((float(number % 5), b"%08d" % number) for number in range(count)),
    "from both ends": lambda count: ((float(number if number % 2 else -number), b"m") for number in range(count)),
    "into the middle": lambda count: ((1 / (number + 1) * (-1) ** number, b"m") for number in range(count)),
}  # fmt: skip


def commons() -> Commons:
    made = Commons()
    made.zset_max_entries = 0
    return made


def named(items: Iterator[Item]) -> list[Item]:
    """With members that differ."""
    return [(score, b"%s:%d" % (member, number)) for number, (score, member) in enumerate(items)]


def filled(items: list[Item]) -> sorted_set.SortedSet:
    made = SortedSet(commons())
    for score, member in items:
        made.add(member, score)
    return made


def same(made: sorted_set.SortedSet, expected: list[Item]) -> None:
    made.check()
    assert [(score, member) for member, score in made.items()] == expected


@pytest.mark.parametrize("count", [1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF + 1, LEAF * INNER, 7000])
@pytest.mark.parametrize("order", list(ORDERS))
def test_whatever_comes_is_in_order(order: str, count: int) -> None:
    items = named(ORDERS[order](count))
    same(filled(items), sorted(items))


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("removal", ["as they came", "in reverse", "by chance", "every other", "from the middle"])
def test_whatever_goes_leaves_the_others_in_order(order: str, removal: str) -> None:
    items = named(ORDERS[order](3000))
    made = filled(items)
    left = sorted(items)
    going = list(items)
    if removal == "in reverse":
        going.reverse()
    elif removal == "by chance":
        random.Random(1).shuffle(going)
    elif removal == "every other":
        going = left[::2] + left[1::2]
    elif removal == "from the middle":
        going = left[1000:2000] + left[:1000][::-1] + left[2000:]
    for number, item in enumerate(going):
        assert made.remove(item[1])
        del left[bisect_left(left, item)]
        if number % 250 == 0:
            same(made, left)
    same(made, [])


@pytest.mark.parametrize("seed", range(4))
def test_growing_and_shrinking_by_chance(seed: int) -> None:
    chance = random.Random(seed)
    made = SortedSet(commons())
    scores: dict[bytes, float] = {}
    for step in range(12):
        for _ in range(800):
            member = b"%d" % chance.randrange(4000)
            if chance.random() < (0.2 if step % 4 < 2 else 0.9):
                assert made.remove(member) == (scores.pop(member, None) is not None)
            else:
                score = chance.choice((chance.random(), float(chance.randrange(10))))
                assert made.add(member, score) == (member not in scores)
                scores[member] = score
        same(made, sorted((score, member) for member, score in scores.items()))


def test_ranks_lead_there_and_back() -> None:
    items = named(ORDERS["few scores"](5000))
    made = filled(items)
    for rank, (score, member) in enumerate(sorted(items)):
        assert made.rank(member) == rank
        assert made.rank(member, reverse=True) == 4999 - rank
        assert made.pairs(rank, 1) == [(member, score)]


@pytest.mark.parametrize("scores", [[0.0] * 3000, [float(number // 7) for number in range(3000)]])
def test_ranges_begin_and_end_where_they_should(scores: list[float]) -> None:
    items = named((score, b"m") for score in scores)
    made = filled(items)
    for low in (-1, 0, 1, 2.5, 100, 428, 429):
        for high in (-1, 0, 2, 300, 428):
            inside = [number for number, score in enumerate(scores) if low <= score <= high]
            assert made.find(b"%g" % low, b"%g" % high, True)[1] == len(inside)
            inner = [number for number, score in enumerate(scores) if low < score < high]
            first, length = made.find(b"(%g" % low, b"(%g" % high, True)
            assert length == len(inner)
            if inner:
                assert first == inner[0]


def test_sections_are_removed_whole() -> None:
    items = sorted(named(ORDERS["shuffled"](5000)))
    made = filled(items)
    for first, count in ((100, 1), (0, 70), (4000, 929), (1000, 2500), (3, 62), (0, 5000)):
        expected = items[first : first + count]
        assert made.remove_pairs(first, count) == len(expected)
        del items[first : first + count]
        same(made, items)


def test_a_score_that_changes_little_stays_in_its_place() -> None:
    items = sorted(named(ORDERS["rising"](1000)))
    made = filled(items)
    before = made.used_bytes()
    for number, (score, member) in enumerate(items):
        made.add(member, score + 0.5)
        items[number] = (score + 0.5, member)
    assert made.used_bytes() == before
    same(made, items)


def test_the_first_and_the_last_may_move_past_all_others() -> None:
    made = filled(named(ORDERS["rising"](500)))
    for step in range(600):
        made.add(made.pairs(0, 1)[0][0], 1000.0 + step)
        made.add(made.pairs(499, 1)[0][0], -1000.0 - step)
    made.check()
    assert len(made) == 500


@pytest.mark.parametrize(
    ("order", "most"),
    [("rising", 17), ("falling", 17), ("shuffled", 22), ("few scores", 20), ("into the middle", 21)],
)
def test_memory_per_item(order: str, most: float) -> None:
    """What a set of as many members needs more than the same members in a table alone: 16 bytes and some air."""
    items = named(ORDERS[order](20_000))
    made = filled(items)
    table = sum((16 + len(member) + 8 + 7) // 8 * 8 for _, member in items)
    buckets = 15.2 * 20_000
    assert 16 * 20_000 < made.used_bytes() - table - buckets < most * 20_000


def test_what_is_left_of_many_needs_the_memory_of_few() -> None:
    items = named(ORDERS["shuffled"](20_000))
    made = filled(items)
    full = made.used_bytes()
    for _, member in items[:-200]:
        made.remove(member)
    made.check()
    assert made.used_bytes() < full / 40
    for _, member in items[-200:]:
        made.remove(member)
    assert made.used_bytes() < 200
