"""SLOWLOG on a running server, beside redis-server."""

from __future__ import annotations

import pytest

from tests.commands.observation import Pair
from tests.differential.wire import Reply

Entry = tuple[Reply, ...]


def arguments(entries: Reply) -> list[list[bytes | None]]:
    return [[word.value for word in entry.items[3].items] for entry in entries.items]


def log_everything(pair: Pair) -> None:
    """Both note every command from now on, and have noted nothing yet."""
    pair.ask("config set slowlog-log-slower-than 0")
    pair.ask("slowlog reset")


def test_entries_are_alike(pair: Pair) -> None:
    log_everything(pair)
    pair.ask("client setname me")
    pair.ask_words(b"SET", b"key", b"v" * 200)
    pair.ask_words(b"MSET", *(b"word%d" % number for number in range(60)))
    pair.ask_words(b"SET", b"\x00\xff", b"")
    pair.ask("nonsense")
    pair.ask("get")
    ours, theirs = pair.same_shape("slowlog get -1")
    assert arguments(ours) == arguments(theirs)
    assert b"... (72 more bytes)" in (arguments(ours)[2][2] or b"")
    assert arguments(ours)[1][31] == b"... (30 more arguments)"
    assert ours.items[0].items[5].value == b"me"


def test_numbers_grow_and_times_make_sense(pair: Pair) -> None:
    log_everything(pair)
    pair.ask("ping")
    pair.ask("ping")
    ours, theirs = pair.same_shape("slowlog get")
    for entries in (ours, theirs):
        ids = [entry.items[0].integer or 0 for entry in entries.items]
        assert ids == list(range(ids[0], ids[0] - len(ids), -1))
        assert all((entry.items[2].integer or 0) >= 0 for entry in entries.items)
        assert all((entry.items[4].value or b"").startswith(b"127.0.0.1:") for entry in entries.items)


def test_secrets_are_hidden(pair: Pair) -> None:
    log_everything(pair)
    for line in (
        "config set masterauth secret", "config set slowlog-max-len 100 masteruser secret", "auth secret",
        "auth default secret", "hello 3 auth default secret setname a", "hello 2 setname auth",
        "acl setuser secret on >secret", "config set nonsense secret requirepass",
    ):  # fmt: skip
        pair.kvorum.ask(*line.encode().split())
        pair.redis.ask(*line.encode().split())
    ours, theirs = pair.kvorum.ask(b"SLOWLOG", b"GET", b"-1"), pair.redis.ask(b"SLOWLOG", b"GET", b"-1")
    shown = [words for words in arguments(ours) if words[0] != b"acl"]
    assert shown == [words for words in arguments(theirs) if words[0] != b"acl"]
    pair.redis.ask(b"ACL", b"DELUSER", b"secret")
    for wire in (pair.kvorum, pair.redis):
        wire.ask(b"CONFIG", b"SET", b"masterauth", b"", b"masteruser", b"")


@pytest.mark.parametrize(
    "line",
    [
        "slowlog get 0", "slowlog get 2", "slowlog get -1", "slowlog get -2", "slowlog get x", "slowlog get 1 2",
        "slowlog get 99999999999999999999", "slowlog len", "slowlog len x", "slowlog what", "slowlog", "slowlog reset",
    ],
)  # fmt: skip
def test_requests(pair: Pair, line: str) -> None:
    pair.same_shape(line)


def test_requests_of_an_empty_log(pair: Pair) -> None:
    for line in ("slowlog get", "slowlog get -1", "slowlog len", "slowlog reset", "slowlog get -2", "slowlog get x"):
        pair.ask(line)


def test_the_log_is_bounded_and_can_be_turned_off(pair: Pair) -> None:
    log_everything(pair)
    pair.ask("config set slowlog-max-len 3")
    for _ in range(5):
        pair.ask("ping")
    pair.ask("slowlog len")
    pair.ask("config set slowlog-log-slower-than -1")
    for _ in range(3):
        pair.ask("ping")
    pair.ask("slowlog len")
    pair.ask("config set slowlog-log-slower-than 1000000")
    pair.ask("slowlog reset")
    pair.ask("ping")
    pair.ask("slowlog len")


def test_help(pair: Pair) -> None:
    pair.same_shape("slowlog help")
