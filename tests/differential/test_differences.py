"""The comparison itself: it lets through what is meant and nothing else."""

from __future__ import annotations

import pytest

from tests.differential.differences import equivalent
from tests.differential.machine import Entry
from tests.differential.wire import Reply, read_reply


def reply(text: bytes) -> Reply:
    found = read_reply(text, 0)
    assert found is not None
    assert found[1] == len(text)
    return found[0]


@pytest.mark.parametrize(
    ("command", "theirs", "ours", "allowed"),
    [
        (b"GET k", b"$1\r\na\r\n", b"$1\r\na\r\n", True),
        (b"GET k", b"$1\r\na\r\n", b"$1\r\nb\r\n", False),
        (b"GET k", b"$-1\r\n", b"*-1\r\n", False),
        (b"GET k", b"$-1\r\n", b"_\r\n", False),
        (b"GET k", b"-ERR a\r\n", b"-ERR b\r\n", False),
        (b"SET k v", b"+OK\r\n", b"$2\r\nOK\r\n", False),
        (b"TTL k", b":100\r\n", b":99\r\n", True),
        (b"TTL k", b":100\r\n", b":10\r\n", False),
        (b"TTL k", b":-1\r\n", b":-2\r\n", False),
        (b"TTL k", b":0\r\n", b":-2\r\n", False),
        (b"INCR k", b":100\r\n", b":99\r\n", False),
        (b"KEYS *", b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n", True),
        (b"KEYS *", b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+b\r\n", False),
        (b"KEYS *", b"*1\r\n+a\r\n", b"~1\r\n+a\r\n", False),
        (b"SCAN 0", b"*2\r\n+0\r\n*1\r\n+a\r\n", b"*2\r\n+1\r\n*1\r\n+a\r\n", False),
        (b"RANDOMKEY", b"$1\r\na\r\n", b"$1\r\nb\r\n", True),
        (b"RANDOMKEY", b"$1\r\na\r\n", b"$-1\r\n", False),
        (b"OBJECT ENCODING k", b"$6\r\nembstr\r\n", b"$3\r\nint\r\n", True),
        (b"OBJECT ENCODING k", b"$3\r\nraw\r\n", b"$6\r\nembstr\r\n", False),
    ],
)
def test_replies_are_compared(command: bytes, theirs: bytes, ours: bytes, allowed: bool) -> None:
    assert equivalent(command.split(), reply(theirs), reply(ours)) is allowed


def test_states_are_compared() -> None:
    entry = Entry(b"string", b"raw", b"v", 4_000_000_000_000)
    assert entry.like(Entry(b"string", b"raw", b"v", 4_000_000_000_100))
    assert not entry.like(Entry(b"string", b"raw", b"v", -1))
    assert not entry.like(Entry(b"string", b"raw", b"v", 4_000_000_100_000))
    assert not entry.like(Entry(b"string", b"embstr", b"v", 4_000_000_000_000))
    assert not entry.like(Entry(b"string", b"raw", b"w", 4_000_000_000_000))


def test_replies_are_read_only_when_complete() -> None:
    text = b"%2\r\n$3\r\nkey\r\n*2\r\n:1\r\n_\r\n$-1\r\n=7\r\ntxt:abc\r\n"
    assert all(read_reply(text[:size], 0) is None for size in range(len(text)))
    assert read_reply(text + b"+more", 0) == (reply(text), len(text))
