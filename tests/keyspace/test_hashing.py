"""Slots are part of the cluster protocol; hashes must be the same in both twins."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvorum.keyspace import hashing as compiled
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.keyspace.hashing")
ANY_KEY = st.one_of(st.binary(max_size=80), st.text("{}ab", max_size=12).map(str.encode))


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 12739),
        (b"", 0),
        (b"foo", 12182),
        (b"bar", 5061),
        (b"foo{bar}baz", 5061),
        (b"{foo}", 12182),
        (b"{bar}{foo}", 5061),
    ],
)
@pytest.mark.parametrize("hashing", [compiled, plain], ids=["compiled", "plain"])
def test_slots_are_those_of_redis_cluster(hashing: object, key: bytes, slot: int) -> None:
    assert hashing.key_slot(key) == slot  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", [b"foo{}{bar}", b"a{b", b"}a{"])
@pytest.mark.parametrize("hashing", [compiled, plain], ids=["compiled", "plain"])
def test_what_is_no_hash_tag_counts_whole(hashing: object, key: bytes) -> None:
    slot = hashing.key_slot  # type: ignore[attr-defined]
    assert slot(key) == slot(b"{" + key.replace(b"}", b"") + b"}") or b"}" in key
    assert slot(key) != slot(b"bar")


@given(ANY_KEY)
@example(b"foo{}{bar}")
@example(b"foo{{bar}}zap")
def test_both_twins_give_the_same_slot(key: bytes) -> None:
    assert compiled.key_slot(key) == plain.key_slot(key)


@given(ANY_KEY, st.integers(0, 2**64 - 1))
def test_both_twins_give_the_same_hash(key: bytes, seed: int) -> None:
    assert compiled.key_hash(key, seed) == plain.key_hash(key, seed)


def test_every_bit_of_the_hash_varies_about_evenly() -> None:
    hashes = [compiled.key_hash(b"key:%d" % number, 42) for number in range(4000)]
    for bit in range(64):
        assert 1800 < sum(one >> bit & 1 for one in hashes) < 2200
    assert len(set(hashes)) == len(hashes)


def test_another_seed_gives_other_hashes() -> None:
    assert compiled.key_hash(b"key", 1) != compiled.key_hash(b"key", 2)
