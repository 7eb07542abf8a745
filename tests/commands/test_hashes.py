"""The hash commands beside redis-server: replies in both protocols, errors and their order, forms, and events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvorum.commands import hashes
from kvorum.errors import CommandError
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types.hash import Hash
from kvorum.resp.writer import Writer
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair
from tests.differential.wire import Reply, Wire

LONG = "x" * 65
JUST = "x" * 64

# Every command is answered as redis-server answers it, in content, type and words.
CONVERSATIONS = conversations(
    rf"""
    hset h a 1 / hset h a 2 b 3 / hget h a / hget h none / hget none a / hgetall h / hkeys h / hvals h / hlen h
    hset h a / hset h a 1 b / hmset h a 1 b / hset h / hmset h a / hset / hget h / hgetall / hgetall h x / hlen h h
    hmset h a 1 "" 2 / hgetall h / hmset h a 3 / hmget h a "" c a / hmget h / hmget none a b / hget h ""
    hsetnx h a 1 / hsetnx h a 2 / hget h a / hsetnx h b {LONG} / object encoding h / hsetnx h a / hsetnx s a b c
    hgetall none / hkeys none / hvals none / hlen none / hexists none a / hstrlen none a / hdel none a / hrandfield none
    hset h a 1 b 2 c 3 / hdel h a x a / hdel h b c d / exists h / hdel h b / hdel h / type h
    hset h a hello b -12345 c 00 / hstrlen h a / hstrlen h b / hstrlen h c / hstrlen h d / hexists h a / hexists h d
    hincrby h a 5 / hincrby h a -7 / hget h a / hincrby h a x / hincrby h a 1.0 / hincrby h a 9223372036854775808
    hset h a x b 1.5 c " / hincrby h a 1 / hincrby h b 1 / hset h d \x201 / hincrby h d 1 / hset h e 01 / hincrby h e 1
    hset h a 9223372036854775807 / hincrby h a 1 / hincrby h a -1 / hincrby h a 1 / hget h a / hincrby h b x y
    hset h a -9223372036854775808 / hincrby h a -1 / hincrby h a 1 / hincrby h a 9223372036854775807 / hincrby none a x
    hincrbyfloat h a 1.5 / hincrbyfloat h a -1.5 / hget h a / hincrbyfloat h a x / hincrbyfloat h a nan / hgetall h
    hincrbyfloat h a inf / exists h / hincrbyfloat h a -inf / hset h a x / hincrbyfloat h a 1 / hset h a "" / hincrbyfloat h a 1
    hset h a 1e3 b 0x10 c \x201 d 1\x20 e nan f inf / hincrbyfloat h a 1 / hincrbyfloat h b 1 / hincrbyfloat h c 1
    hset h d 1\x20 e nan f inf / hincrbyfloat h d 1 / hincrbyfloat h e 1 / hincrbyfloat h f 1 / hincrbyfloat h f -inf
    hset h a 5.0e3 / hincrbyfloat h a 2.0e2 / hincrbyfloat h a 0.1 / hincrbyfloat h a 3e-20 / hincrbyfloat h a 1e400
    hset h a 12345678901234567890 / hincrbyfloat h a 1 / hincrby h a 1 / hset h b 3 / hincrbyfloat h b 1.23
    set s x / hset s a 1 / hget s a / hmget s a / hgetall s / hdel s a / hlen s / hexists s a / hkeys s / hvals s
    set s x / hsetnx s a 1 / hincrby s a 1 / hincrby s a x / hincrbyfloat s a 1 / hincrbyfloat s a x / hstrlen s a
    set s x / hscan s 0 / hscan s x / hscan s 0 what / hrandfield s / hrandfield s 1 / hrandfield s x / hrandfield s 1 2
    rpush l x / hset l a 1 / hget l a / hgetall l / hlen l / hscan l 0 / hrandfield l / hincrby l a 1 / hdel l a / type l
    hset h a 1 b 2 / hscan h 0 / hscan h 7 / hscan h 0 count 1 / hscan h 0 match a / hscan h 0 match 1 / hscan h 0 match *
    hset h a 1 b 2 / hscan h / hscan h x / hscan h -1 / hscan h 1x / hscan h "" / hscan h \x201 / hscan h 18446744073709551616
    hset h a 1 b 2 / hscan h 0 count 0 / hscan h 0 count x / hscan h 0 count / hscan h 0 what 1 / hscan h 0 type hash
    hset h a 1 ab 2 abc 3 / hscan h 0 match a* count 100 / hscan h 0 COUNT 5 MATCH a? / hscan h 0 match a match abc
    hscan none 0 / hscan none x / hscan none 0 count 0 / hscan none 0 what
    hset h a 1 / hrandfield h / hrandfield h 1 / hrandfield h 5 / hrandfield h -3 / hrandfield h 0 / hrandfield h 1 withvalues
    hset h a 1 / hrandfield h -2 WithValues / hrandfield h 2 withvalues / hrandfield h 0 withvalues / hrandfield h 1 what
    hset h a 1 / hrandfield h x / hrandfield h x what / hrandfield h 1 withvalues x / hrandfield h 1.5 / hrandfield h ""
    hset h a 1 / hrandfield h -9223372036854775808 / hrandfield h -9223372036854775808 withvalues / hrandfield
    hset h a 1 / hrandfield h 9223372036854775807 / hrandfield h 9223372036854775807 withvalues
    hset h a 1 / hrandfield h -4611686018427387904 withvalues / hrandfield h 4611686018427387904 withvalues
    hset h a 1 / hrandfield h 4611686018427387903 withvalues / hrandfield none 9223372036854775807 withvalues
    hset h a {JUST} / object encoding h / hset h a b {JUST} c / object encoding h / hset h {LONG} a / object encoding h
    hset h a 1 / hset h b 2 c {LONG} / object encoding h / hdel h c / object encoding h / hget h a
    hincrby h {LONG} 1 / object encoding h / hincrbyfloat h2 {LONG} 1 / object encoding h2 / hget h2 {LONG}
    hset h a 1 b {LONG} / copy h i / object encoding i / hset i a 2 / hget h a / rename i h / hget h a / type h
    hset h a 1 / expire h 1000 / hset h b 2 / ttl h / hdel h a b / hset h c 3 / ttl h / debug digest-value h
    """
)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[0])
def test_as_redis(pair: Pair, conversation: list[str]) -> None:
    for command in conversation:
        pair.ask_words(*encode(command))


def test_the_options_of_the_form(pair: Pair) -> None:
    try:
        pair.ask("config set hash-max-listpack-entries 3 hash-max-listpack-value 5")
        pair.ask("config get hash-max-ziplist-entries")
        for line in (
            "hset h a 1 b 2 c 3", "object encoding h", "hset h a 12345", "object encoding h", "hset h d 4",
            "object encoding h", "hset i a 123456", "object encoding i", "hincrby j a 99999", "object encoding j",
            "hincrby j a 1", "object encoding j", "hset k a 1 b 2", "config set hash-max-listpack-entries 1", "hset k a 2",
            "object encoding k", "config set hash-max-listpack-entries 0", "hset m a 1", "object encoding m", "hgetall m",
        ):  # fmt: skip
            pair.ask(line)
    finally:
        pair.ask("config set hash-max-listpack-entries 128 hash-max-listpack-value 64")


def numbered(count: int) -> list[bytes]:
    return [word for number in range(count) for word in (b"field:%d" % number, b"%d" % (number * 1000))]


def texts(reply: Reply) -> list[bytes]:
    """The bulk strings of a reply, in whatever it is nested."""
    if reply.kind == b"$":
        assert reply.value is not None
        return [reply.value]
    return [text for item in reply.items for text in texts(item)]


def items(reply: Reply) -> dict[bytes, bytes]:
    words = texts(reply)
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("count", [100, 1000])
def test_whole_hashes(pair: Pair, count: int) -> None:
    """In a table the order is free, and all else is the same."""
    expected = numbered(count)
    pair.ask_words(b"HSET", b"h", *expected)
    pair.ask("hlen h")
    pair.ask("object encoding h")
    pair.ask("debug digest-value h")
    for ours, theirs in [pair.same_shape(line) for line in ("hgetall h", "hrandfield h 100000 withvalues")]:
        assert items(ours) == items(theirs) == dict(zip(expected[::2], expected[1::2], strict=True))
    for line, half in (("hkeys h", expected[::2]), ("hvals h", expected[1::2]), ("hrandfield h 100000", expected[::2])):
        ours, theirs = pair.same_shape(line)
        assert sorted(texts(ours)) == sorted(texts(theirs)) == sorted(half)


@pytest.mark.parametrize("count", [50, 500])
@pytest.mark.parametrize("wanted", [1, 10, 45, 50, -1, -200])
def test_random_fields(pair: Pair, count: int, wanted: int) -> None:
    known = numbered(count)
    pair.ask_words(b"HSET", b"h", *known)
    ours, theirs = pair.same_shape(f"hrandfield h {wanted}")
    assert len(ours.items) == len(theirs.items) == abs(wanted)
    assert set(texts(ours)) <= set(known[::2])
    if wanted > 0:
        assert len(set(texts(ours))) == wanted
    ours, theirs = pair.same_shape(f"hrandfield h {wanted} withvalues")
    assert len(ours.items) == len(theirs.items)
    assert items(ours).items() <= dict(zip(known[::2], known[1::2], strict=True)).items()
    assert pair.same_shape("hrandfield h")[0].value in known[::2]


def test_a_repeated_draw_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "MAX_REPEATED_BYTES", 10_000)
    value = Hash(Commons())
    value.set(b"field", b"value")
    with pytest.raises(CommandError, match="too long"):
        hashes.write_repeated(Writer(), value, 1 << 61, True)


def test_a_scan_over_many_fields(pair: Pair) -> None:
    """As long as nothing changes every field is shown once, about as many at a time as were asked for."""
    known = numbered(2000)
    pair.ask_words(b"HSET", b"h", *known)
    cursor, found = b"0", []
    while True:
        reply = pair.kvorum.ask(b"HSCAN", b"h", cursor, b"COUNT", b"100")
        cursor = reply.items[0].value or b""
        page = texts(reply.items[1])
        assert len(page) < 2 * 200
        found += page
        if cursor == b"0":
            break
    assert sorted(found) == sorted(known)
    assert sorted(
        texts(pair.kvorum.ask(b"HSCAN", b"h", b"0", b"MATCH", b"field:1?", b"COUNT", b"5000").items[1])
    ) == sorted(word for number in range(10, 20) for word in (b"field:%d" % number, b"%d" % (number * 1000)))


# Events and effects


@pytest.fixture
def listeners(debuggable_server: KvorumServer, redis_server: RedisServer) -> Iterator[Pair]:
    """A connection to each server that is told of all events."""
    with (
        Wire(debuggable_server.host, debuggable_server.port) as kvorum,
        Wire(redis_server.host, redis_server.port) as redis,
    ):
        for wire in (kvorum, redis):
            wire.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"KEA")
            wire.ask(b"PSUBSCRIBE", b"__key*__:*")
        yield Pair(kvorum, redis)


@pytest.mark.parametrize(
    "conversation",
    conversations(
        """
        hset h a 1 / hset h a 1 b 2 / hmset h c 3 / hsetnx h a 1 / hsetnx h d 4
        hincrby h a 1 / hincrbyfloat h a 1.5 / hincrby h a 1
        hset h a 1 b 2 / hdel h x / hdel h a x / hdel h b c
        hset h a 1 / hget h a / hgetall h / hrandfield h / hscan h 0 / hdel none a
        """
    ),
    ids=lambda conversation: conversation[0],
)
def test_events(pair: Pair, listeners: Pair, conversation: list[str]) -> None:
    for wire in (pair.kvorum, pair.redis):
        for command in conversation:
            wire.ask(*encode(command))
        wire.ask(b"SET", b"the end", b"")
        wire.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"")
    heard = [until_the_end(wire) for wire in (listeners.kvorum, listeners.redis)]
    assert heard[0] == heard[1]


def until_the_end(wire: Wire) -> list[list[bytes]]:
    heard: list[list[bytes]] = []
    while not heard or b"the end" not in heard[-1]:
        heard.append(texts(wire.read()))
    return heard


def test_who_watches_a_hash_is_told(pair: Pair) -> None:
    """Whatever changes a hash aborts a transaction that watches it; what changes nothing does not."""
    for change, is_aborted in (
        ("hset h a 1", True),
        ("hdel h x", False),
        ("hsetnx h a 2", False),
        ("hincrby h a 1", True),
    ):
        for line in ("watch h", change, "multi", "hget h a"):
            pair.ask(line)
        assert bool(pair.ask("exec").items) != is_aborted
