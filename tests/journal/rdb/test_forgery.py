"""A seeded share of what ``tests/fuzz/fuzz_rdb.py`` does without end, and the finds of it."""

from __future__ import annotations

import random
import resource
from types import ModuleType

import pytest

from kvorum.journal.rdb import values
from kvorum.testing.twins import load_plain
from tests.journal.rdb.encodings import seal
from tests.journal.rdb.forgery import VALID, forged, judge, outcome_of_value

SEEDS = 20
FORGERIES = 400
MIB = 1 << 10  # in units of ru_maxrss
PLAIN: ModuleType = load_plain("kvorum.journal.rdb.values")
vars(PLAIN).update(
    ziplist_elements=load_plain("kvorum.journal.rdb.ziplist").ziplist_elements,
    zipmap_elements=load_plain("kvorum.journal.rdb.zipmap").zipmap_elements,
)


def test_the_originals_are_valid() -> None:
    assert all(judge(written) for written in VALID)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_forgeries_are_refused_or_harmless(seed: int) -> None:
    chance = random.Random(seed)
    most_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    came = sum(judge(forged(chance)) for _ in range(FORGERIES))
    assert 0 < came < FORGERIES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_before < 100 * MIB


@pytest.mark.parametrize("cut", [0, 1, 2, 5])
def test_payloads_that_end_anywhere(cut: int) -> None:
    for written in VALID:
        for end in range(1, len(written) - 10):
            judge(seal(written[:end] + bytes([cut]) * cut))


@pytest.mark.parametrize("seed", range(20))
def test_both_twins_judge_forgeries_alike(seed: int) -> None:
    """Those that are built with the server, and those that one reads."""
    chance = random.Random(seed)
    for _ in range(100):
        written = forged(chance)
        for strict in (True, False):
            outcomes = [outcome_of_value(module, written, strict) for module in (values, PLAIN)]
            assert outcomes[0] == outcomes[1], written.hex()
