"""RESTORE, SORT and COPY are told to replicas as redis-server tells them."""

from __future__ import annotations

import pytest

from tests.differential.effects import EffectPair
from tests.journal.rdb.encodings import payload, string

HELLO = payload(0, string(b"hello"), version=10)
FAR = b"4000000000000"


@pytest.mark.parametrize(
    ("words", "effects"),
    [
        ([b"RESTORE", b"k", b"0", HELLO], ["RESTORE k 0 PAYLOAD"]),
        ([b"restore", b"k", b"0", HELLO, b"replace"], ["restore k 0 PAYLOAD replace"]),
        ([b"RESTORE", b"k", b"100000", HELLO], ["RESTORE k * PAYLOAD ABSTTL"]),
        ([b"RESTORE", b"k", b"100000", HELLO, b"REPLACE"], ["RESTORE k * PAYLOAD REPLACE ABSTTL"]),
        ([b"RESTORE", b"k", FAR, HELLO, b"absttl"], [f"RESTORE k {FAR.decode()} PAYLOAD absttl"]),
        ([b"RESTORE", b"k", b"1", HELLO, b"ABSTTL"], []),
        ([b"RESTORE", b"old", b"1", HELLO, b"ABSTTL", b"REPLACE"], ["DEL old"]),
        ([b"RESTORE", b"old", b"0", HELLO], []),
        ([b"RESTORE", b"k", b"0", HELLO[:-1] + b"?"], []),
        ([b"RESTORE", b"k", b"100000", HELLO, b"IDLETIME", b"5"], ["RESTORE k * PAYLOAD IDLETIME 5 ABSTTL"]),
        ([b"DUMP", b"old"], []),
        ([b"SORT", b"list"], []),
        ([b"SORT", b"list", b"DESC", b"STORE", b"out"], ["SORT list DESC STORE out"]),
        ([b"SORT", b"nothing", b"STORE", b"old"], ["SORT nothing STORE old"]),
        ([b"SORT", b"nothing", b"STORE", b"out"], []),
        ([b"SORT", b"words", b"STORE", b"out"], []),
        ([b"COPY", b"list", b"out", b"REPLACE"], ["COPY list out REPLACE"]),
        ([b"COPY", b"list", b"old"], []),
    ],
)
def test_a_command_is_told_to_replicas_in_these_words(
    servers: EffectPair,
    words: list[bytes],
    effects: list[str],
) -> None:
    servers.compare(
        [[b"SET", b"old", b"value"], [b"RPUSH", b"list", b"3", b"1", b"2"], [b"RPUSH", b"words", b"a", b"b"]]
    )
    theirs = servers.compare([words])
    assert [" ".join(map(shown, effect.command)) for effect in theirs] == effects


def shown(word: bytes) -> str:
    """The payload, and a time that was computed, have no words of their own."""
    if word == HELLO:
        return "PAYLOAD"
    return "*" if word.isdigit() and len(word) == len(FAR) and word != FAR else word.decode()
