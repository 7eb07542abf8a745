"""The slow log without a server around it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvorum.observe.slowlog import MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, SlowLog, shorten


def session(*arguments: bytes) -> Any:
    return SimpleNamespace(
        call=SimpleNamespace(args=list(arguments), now_ms=1_700_000_000_999),
        connection=SimpleNamespace(peer=b"127.0.0.1:4321"),
        name=b"me",
    )


def test_an_entry_says_who_did_what_when() -> None:
    log = SlowLog(slower_than_us=10)
    log.offer(session(b"GET", b"key"), 10)
    [entry] = log.newest(10)
    assert (entry.id, entry.time_s, entry.microseconds) == (0, 1_700_000_000, 10)
    assert (entry.arguments, entry.address, entry.client_name) == ([b"GET", b"key"], b"127.0.0.1:4321", b"me")


def test_only_what_is_slow_enough_is_kept() -> None:
    log = SlowLog(slower_than_us=10)
    for microseconds in (9, 10, 11):
        log.offer(session(b"PING"), microseconds)
    assert [entry.microseconds for entry in log.newest(-1)] == [11, 10]
    log.slower_than_us = -1
    log.offer(session(b"PING"), 10**9)
    assert len(log) == 2


def test_limits_for_the_pipeline() -> None:
    assert SlowLog(slower_than_us=10).limit_ns == 10_000
    assert SlowLog(slower_than_us=0).limit_ns == 0
    assert SlowLog(slower_than_us=-1).limit_ns is None


def test_the_newest_come_first_and_the_oldest_go() -> None:
    log = SlowLog(slower_than_us=0, max_length=3)
    for number in range(5):
        log.offer(session(b"ECHO", b"%d" % number), 1)
    assert [entry.id for entry in log.newest(2)] == [4, 3]
    assert [entry.id for entry in log.newest(-1)] == [4, 3, 2]
    log.set_max_length(1)
    assert [entry.id for entry in log.newest(-1)] == [4]
    log.reset()
    log.offer(session(b"PING"), 1)
    assert [entry.id for entry in log.newest(-1)] == [5]
    log.set_max_length(0)
    assert len(log) == 0


@given(st.lists(st.binary(max_size=300), max_size=80))
def test_entries_are_bounded(arguments: list[bytes]) -> None:
    kept = shorten(arguments)
    assert len(kept) == min(len(arguments), MAX_ARGUMENTS)
    assert all(len(word) <= MAX_ARGUMENT_BYTES + len("... (300 more bytes)") for word in kept)
    if len(arguments) <= MAX_ARGUMENTS and all(len(word) <= MAX_ARGUMENT_BYTES for word in arguments):
        assert kept == arguments


def test_cuts_are_noted() -> None:
    assert shorten([b"x" * 130]) == [b"x" * 128 + b"... (2 more bytes)"]
    assert shorten([b"x"] * 40)[-1] == b"... (9 more arguments)"
