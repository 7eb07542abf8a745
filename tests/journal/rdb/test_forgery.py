"""A seeded share of what ``tests/fuzz/fuzz_rdb.py`` does without end, and the finds of it."""

from __future__ import annotations

import random
import resource
from types import ModuleType

import pytest

from kvorum.journal.rdb import RdbError, values
from kvorum.journal.rdb.encoding import RdbReader
from kvorum.journal.rdb.payload import FOOTER_BYTES
from kvorum.keyspace.table import Keyspace
from kvorum.keyspace.values import Value
from kvorum.observe.digest import digest_of_value
from kvorum.testing.twins import load_plain
from tests.journal.rdb.encodings import seal
from tests.journal.rdb.forgery import VALID, forged, judge

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
            outcomes = [outcome(module, written, strict) for module in (values, PLAIN)]
            assert outcomes[0] == outcomes[1], written.hex()


def outcome(module: ModuleType, written: bytes, strict: bool) -> str:
    """The digest of the value and how it is kept, or the kind of the error."""
    keyspace = Keyspace(1)
    if len(written) <= FOOTER_BYTES:
        return ""
    reader = RdbReader(written, 1, len(written) - FOOTER_BYTES)
    try:
        value = module.read_value(reader, written[0], keyspace.commons, strict)
    except RdbError as error:
        return type(error).__name__
    keyspace.databases[0].put_value(b"key", value)
    encoding = value.encoding().decode() if isinstance(value, Value) else ""
    return digest_of_value(keyspace.databases[0], b"key").hexadecimal.decode() + encoding
