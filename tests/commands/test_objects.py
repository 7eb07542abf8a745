"""OBJECT beside redis-server, and KIND, which is kvorum's own."""

from __future__ import annotations

import pytest

from tests.commands.observation import Pair

VALUES = (
    b"",
    b"0",
    b"-1",
    b"9999",
    b"10000",
    b"007",
    b"9223372036854775807",
    b"9223372036854775808",
    b"x" * 44,
    b"x" * 45,
)


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "allkeys-lfu"])
@pytest.mark.parametrize("maxmemory", ["0", "1gb"])
def test_encoding_references_and_access(pair: Pair, policy: str, maxmemory: str) -> None:
    pair.ask(f"config set maxmemory-policy {policy} maxmemory {maxmemory}")
    for number, value in enumerate(VALUES):
        key = b"key%d" % number
        pair.ask_words(b"SET", key, value)
        pair.ask_words(b"OBJECT", b"ENCODING", key)
        pair.ask_words(b"OBJECT", b"REFCOUNT", key)
        # Clocks tick between the two, and Redis' shared integers are older than the key.
        pair.same_shape(f"object idletime {key.decode()}")
        pair.same_shape(f"object freq {key.decode()}")
    for subcommand in ("encoding", "refcount", "idletime", "freq"):
        pair.ask(f"object {subcommand} missing")


def test_errors_of_access_clocks(pair: Pair) -> None:
    pair.ask("set key value")
    assert pair.ask("object freq key").is_error
    pair.ask("config set maxmemory-policy volatile-lfu")
    assert pair.ask("object idletime key").is_error


def test_looking_does_not_touch(pair: Pair) -> None:
    pair.ask("config set maxmemory-policy allkeys-lfu")
    pair.ask_words(b"SET", b"key", b"value")
    for _ in range(20):
        pair.ask("object encoding key")
        pair.ask("object freq key")


def test_counters_are_shared_integers(pair: Pair) -> None:
    for line in (
        "set a 9998", "incr a", "object refcount a", "incr a", "object refcount a", "append a 0", "object encoding a",
        "object refcount a", "decr b", "object refcount b", "incr b", "object refcount b",
    ):  # fmt: skip
        pair.ask(line)


@pytest.mark.parametrize("wrong", ["object", "object what a", "object encoding", "object freq a b", "object help x"])
def test_wrong_requests(pair: Pair, wrong: str) -> None:
    assert pair.ask(wrong).is_error


def test_help(pair: Pair) -> None:
    ours, _ = pair.same_shape("object help")
    text = b"\n".join(item.value or b"" for item in ours.items)
    assert all(name in text for name in (b"ENCODING", b"FREQ", b"IDLETIME", b"KIND", b"REFCOUNT", b"HELP"))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"42", b"number"), (b"4 apples", b"number"), (b"-1", b"string"), (b"", b"string"), (b"text", b"string"),
        (b'{"a": 1}', b"json"), (b"[1, 2]", b"json"), (b'"quoted"', b"json"), (b" {", b"string"), (b"\xb2", b"string"),
    ],
)  # fmt: skip
def test_kind(pair: Pair, value: bytes, kind: bytes) -> None:
    pair.kvorum.ask(b"SET", b"key", value)
    assert pair.kvorum.ask(b"OBJECT", b"KIND", b"key").value == kind


def test_kind_of_nothing(pair: Pair) -> None:
    assert pair.kvorum.ask(b"OBJECT", b"KIND", b"missing") == pair.redis.ask(b"GET", b"missing")
