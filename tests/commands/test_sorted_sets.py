"""The commands on members of sorted sets beside redis-server: replies in both protocols, errors, forms, events."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from kvorum.commands import sorted_sets
from kvorum.errors import CommandError
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types.sorted_set import SortedSet
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
    zadd z 1 a / zadd z 2 a 3 b / zadd z 2 a / zscore z a / zscore z none / zscore none a / zcard z / zcard none / type z
    zadd z 1 / zadd z 1 a 2 / zadd z / zadd z x a / zadd z 1 a x b / zcard z / zadd z nan a / zadd z "" a / zadd z \x201 a
    zadd z 0x10 a 1e3 b +inf c -inf d 1e400 e / zadd z 0x10 a 1e3 b +inf c -inf d / zrange z 0 -1 withscores / zadd z 5e-324 e
    zadd z 1 a 1 a 2 a / zrange z 0 -1 withscores / zadd z 1 "" 2 "" / zscore z "" / zadd z 1 a 2 b 3 a
    zadd z 1 a 1 a 2 a / zrange z 0 -1 withscores
    zadd z nx 1 a 2 b / zadd z NX 5 a 3 c / zadd z xx 7 a 7 q / zadd z XX ch 8 a 8 q / zadd z ch 9 a 1 d
    zadd z nx 1 a 2 b / zrange z 0 -1 withscores
    zadd z 5 a / zadd z gt 4 a / zadd z gt ch 6 a / zadd z lt 7 a / zadd z LT CH 3 a / zadd z gt 1 new / zadd z gt xx 9 a 9 newer
    zadd z nx xx 1 a / zadd z gt lt 1 a / zadd z nx gt 1 a / zadd z lt nx 1 a / zadd z nx / zadd z xx 1 / zadd z ch / zadd z incr
    zadd z nx gt lt xx x a / zadd z xx nx 1 a 2 / zadd z incr 1 a 2 b / zadd z incr incr 1 a / zadd z ch ch nx nx 1 b
    zadd z nx gt lt xx x a / zadd z foo 1 a
    zadd z incr 5 a / zadd z INCR 2.5 a / zadd z incr nx 1 a / zadd z incr xx 1 b / zadd z incr gt -1 a / zadd z incr lt -1 a
    zadd z incr x a / zadd z incr nan a / zadd z incr inf a / zadd z incr -inf a / zscore z a / zadd z incr gt -inf a
    zadd none xx 1 a / exists none / zadd none xx incr 1 a / zadd none xx ch 1 a 2 b / exists none / zadd none lt incr 1 a
    zincrby z 5 a / zincrby z -2.5 a / zincrby z x a / zincrby z 1 / zincrby z 1 a b / zincrby z inf a / zincrby z -inf a
    zincrby z nx a / zincrby z ch 1 / zincrby z 1e308 b / zincrby z 1e308 b / zincrby z 0 c / zincrby z -0 d / zincrby z 0.1 e
    zincrby z nx a / zincrby z 0.2 e
    zadd z -0 a / zscore z a / zadd z 0 a / zadd z -0 {LONG} / zadd z -0 b / zadd z 0 c / zrange z 0 -1 withscores
    zadd z -0 a / zincrby z 0 b
    zadd z 1e15 a 1e16 b 1e17 c 1e18 d 4611686018427387904 e 9223372036854775807 f 123456789012345680 g / zrange z 0 -1 withscores
    zadd z 0.1 a 1.5 b 3.0 c 1e-7 d 123456.789 e 1e21 f 1.7976931348623157e308 g / zrange z 0 -1 withscores / zscan z 0
    zadd z 1 a 2 b 3 c / zrem z a x / zrem z a / zrem z b c d / exists z / zrem z b / zrem z / zrem none a
    zadd z 1 a 2 b / zmscore z a b c a / zmscore none a b / zmscore z / zscore z / zscore z a b / zcard / zcard z z
    zadd z 1 a 2 b 2 c 3 d / zrank z a / zrank z c / zrank z x / zrank none a / zrevrank z a / zrevrank z c / zrevrank z x
    zadd z 1 a 2 b 2 c 3 d / zrank z
    set s x / zadd s 1 a / zadd s x a / zadd s 1 / zadd s xx 1 a / zincrby s 1 a / zincrby s x a / zrem s a / zscore s a
    set s x / zcard s
    set s x / zmscore s a / zrank s a / zrevrank s a / zrandmember s / zrandmember s 1 / zrandmember s x / zscan s 0 / zscan s x
    sadd t a / zadd t 1 a / zscore t a / zrem t a / zrandmember t 1 withscores / zscan t 0 / type t / rpush l a / zadd l 1 a
    zadd z 1 a 2 b / zscan z 0 / zscan z 7 / zscan z 0 count 1 / zscan z 0 match a / zscan z 0 match 1 / zscan z 0 match *
    zadd z 1 a 2 b / zscan z / zscan z x / zscan z -1 / zscan z 1x / zscan z "" / zscan z 18446744073709551616
    zadd z 1 a 2 b / zscan z 0 count 0 / zscan z 0 count x / zscan z 0 count / zscan z 0 what 1 / zscan z 0 type zset
    zadd z 1 a 2.5 ab inf abc / zscan z 0 match a* count 100 / zscan z 0 COUNT 5 MATCH a? / zscan z 0 match a match abc
    zscan none 0 / zscan none x / zscan none 0 count 0 / zscan none 0 what
    zadd z 1 a / zrandmember z / zrandmember z 1 / zrandmember z 5 / zrandmember z -3 / zrandmember z 0
    zadd z 1 a / zrandmember z 1 withscores
    zadd z 1 a / zrandmember z -2 WithScores / zrandmember z 2 withscores / zrandmember z 0 withscores / zrandmember z 1 what
    zadd z 1 a / zrandmember z x / zrandmember z x what / zrandmember z 1 withscores x / zrandmember z 1.5 / zrandmember z ""
    zadd z 1 a / zrandmember z -9223372036854775808 / zrandmember z -9223372036854775808 withscores / zrandmember
    zadd z 1 a / zrandmember z 9223372036854775807 / zrandmember z 9223372036854775807 withscores / zrandmember none 0
    zadd z 1 a / zrandmember z -4611686018427387904 withscores / zrandmember z 4611686018427387904 withscores
    zadd z 1 a / zrandmember z 4611686018427387903 withscores / zrandmember none 9223372036854775807 withscores
    zadd z 1 a / zrandmember none
    zadd z 1 {JUST} / object encoding z / zadd z 1 {LONG} / object encoding z / zrem z {LONG} / object encoding z
    zadd z 1 {JUST} / zscore z {JUST}
    zadd z 1 {LONG} / object encoding z / zadd y 1 a / zincrby y 1 {LONG} / object encoding y / zrange y 0 -1 withscores
    zadd z 1 a 2 {LONG} / copy z y / object encoding y / zadd y 2 a / zscore z a / rename y z / zscore z a / type z
    zadd z 1 a / expire z 1000 / zadd z 2 b / ttl z / zrem z a b / zadd z 3 c / ttl z / debug digest-value z
    zadd z 1 10 2 9 3 -5 4 007 5 12345678901234567890 / zrange z 0 -1 / zscore z 10 / zscore z 007 / zscore z 7 / zrank z -5
    zadd z 5 b 5 a 5 aa 5 "" 5 B 5 \xff 5 1 5 10 5 9 / zrange z 0 -1 / zrevrange z 0 -1 / zrank z aa / zadd z 4 aa
    zadd z 5 b 5 a 5 aa 5 "" 5 B 5 \xff 5 1 5 10 5 9 / zrange z 0 -1
    """
)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[0])
def test_as_redis(pair: Pair, conversation: list[str]) -> None:
    for command in conversation:
        pair.ask_words(*encode(command))


def test_the_options_of_the_form(pair: Pair) -> None:
    try:
        pair.ask("config set zset-max-listpack-entries 3 zset-max-listpack-value 5")
        pair.ask("config get zset-max-ziplist-entries")
        for line in (
            "zadd z 1 a 2 b 3 c", "object encoding z", "zadd z 12345678 a", "object encoding z", "zadd z 4 d",
            "object encoding z", "zadd y 1 123456", "object encoding y", "zadd x 1 12345", "object encoding x",
            "zunionstore u 2 x y", "object encoding u", "zunionstore v 1 x", "object encoding v", "zrangestore w z 0 2",
            "object encoding w", "zrangestore w z 0 -1", "object encoding w", "config set zset-max-listpack-entries 0",
            "zadd x 2 12345", "object encoding x", "zadd q 1 a", "object encoding q", "zrange q 0 -1 withscores",
        ):  # fmt: skip
            pair.ask(line)
    finally:
        pair.ask("config set zset-max-listpack-entries 128 zset-max-listpack-value 64")


def test_ranks_with_scores(debuggable_server: KvorumServer) -> None:
    """As Redis 7.2 answers; redis-server 7.0 knows no such option."""
    with Wire(debuggable_server.host, debuggable_server.port) as wire:
        wire.ask(b"FLUSHALL")
        wire.ask(b"ZADD", b"z", b"1", b"a", b"2.5", b"b")
        assert wire.ask(b"ZRANK", b"z", b"b", b"withscore") == array(integer(1), Reply(b"$", b"2.5"))
        assert wire.ask(b"ZREVRANK", b"z", b"a", b"WITHSCORE") == array(integer(1), Reply(b"$", b"1"))
        for words in (b"ZRANK z x withscore", b"ZREVRANK none a withscore"):
            assert wire.ask(*words.split()) == Reply(b"*", None)
        assert wire.ask(b"ZRANK", b"z", b"b", b"withscores").value == b"ERR syntax error"
        assert b"wrong number of arguments for 'zrevrank'" in (
            wire.ask(*b"ZREVRANK z b withscore x".split()).value or b""
        )
        wire.ask(b"HELLO", b"3")
        assert wire.ask(b"ZRANK", b"z", b"b", b"withscore") == array(integer(1), Reply(b",", b"2.5"))
        assert wire.ask(b"ZRANK", b"z", b"x", b"withscore") == Reply(b"_", b"")


def array(*items: Reply) -> Reply:
    return Reply(b"*", None, items)


def integer(number: int) -> Reply:
    return Reply(b":", b"%d" % number)


def numbered(count: int) -> list[bytes]:
    return [word for number in range(count) for word in (b"%d" % (number * 7919 % count), b"member:%d" % number)]


def texts(reply: Reply) -> list[bytes]:
    """The strings of a reply, in whatever they are nested."""
    if reply.value is not None:
        return [reply.value]
    return [text for item in reply.items for text in texts(item)]


@pytest.mark.parametrize("count", [100, 1000, 5000])
def test_whole_sorted_sets(pair: Pair, count: int) -> None:
    pair.ask_words(b"ZADD", b"z", *numbered(count))
    for line in (
        "zcard z", "object encoding z", "debug digest-value z", "zrange z 0 -1 withscores", "zrevrange z 10 70",
        "zrank z member:9", "zrange z 17 83 byscore rev", "zrange z 83 17 byscore rev withscores", "zcount z (10 80",
        "zrangebyscore z 5 +inf limit 3 90", "zremrangebyscore z 20 (60", "zrange z 0 -1 withscores", "zrevrank z member:99",
        "zremrangebyrank z -30 -3", "zpopmax z 7", "zpopmin z 9", "zrange z 0 -1 withscores", "debug digest-value z",
    ):  # fmt: skip
        pair.ask(line)


@pytest.mark.parametrize("count", [50, 500])
@pytest.mark.parametrize("wanted", [1, 10, 45, 50, -1, -2000])
def test_random_members(pair: Pair, count: int, wanted: int) -> None:
    known = numbered(count)
    pair.ask_words(b"ZADD", b"z", *known)
    ours, theirs = pair.same_shape(f"zrandmember z {wanted}")
    assert len(ours.items) == len(theirs.items) == abs(wanted)
    assert set(texts(ours)) <= set(known[1::2])
    if wanted > 0:
        assert len(set(texts(ours))) == wanted
    ours, theirs = pair.same_shape(f"zrandmember z {wanted} withscores")
    assert len(ours.items) == len(theirs.items)
    words = texts(ours)
    assert set(zip(words[1::2], words[::2], strict=True)) <= set(zip(known[::2], known[1::2], strict=True))
    assert pair.same_shape("zrandmember z")[0].value in known[1::2]


def test_a_repeated_draw_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_sets, "MAX_REPEATED_BYTES", 10_000)
    value = SortedSet(Commons())
    value.add(b"member", 1.0)
    with pytest.raises(CommandError, match="too long"):
        sorted_sets.write_repeated(Writer(), value, 1 << 61, True)


def test_a_repeated_draw_of_long_members_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_sets, "MAX_REPEATED_BYTES", 2_000_000)
    value = SortedSet(Commons())
    value.add(b"x" * 1_000_000, 1.0)
    tracemalloc.start()
    with pytest.raises(CommandError, match="too long"):
        sorted_sets.write_repeated(Writer(), value, 1000, False)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10_000_000


def test_a_scan_over_many_members(pair: Pair) -> None:
    """As long as nothing changes every member is shown once, about as many at a time as were asked for."""
    known = numbered(2000)
    pair.ask_words(b"ZADD", b"z", *known)
    cursor, found = b"0", []
    while True:
        reply = pair.kvorum.ask(b"ZSCAN", b"z", cursor, b"COUNT", b"100")
        cursor = reply.items[0].value or b""
        page = texts(reply.items[1])
        assert len(page) < 2 * 200
        found += page
        if cursor == b"0":
            break
    assert sorted(found) == sorted(known)


# Events


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
        zadd z 1 a / zadd z 1 a / zadd z 2 a 3 b / zadd z nx 1 a / zadd z xx 5 a / zadd none xx 1 a / zadd z x a
        zadd z 1 a / zadd z incr 1 a
        zincrby z 1 a / zincrby z 0 a / zincrby z inf a / zincrby z -inf a / zadd z incr 0 b / zadd z incr nx 1 b
        zadd z 1 a 2 b / zrem z x / zrem z a x / zrem z b c / zrem z b
        zadd z 1 a 2 b 3 c 4 d 5 e / zremrangebyrank z 0 0 / zremrangebyrank z 9 10 / zremrangebyscore z 2 3
        zadd z 1 a 2 b 3 c 4 d 5 e / zremrangebylex z - +
        zadd z 1 a 2 b 3 c / zpopmin z / zpopmax z 0 / zpopmax z 5 / zpopmin z
        zadd z 1 a 2 b 3 c / zmpop 2 y z min / zmpop 1 z max count 10 / zmpop 1 z min / bzpopmin z 0.01
        zadd z 1 a 2 b 3 c / bzpopmin z 0 / bzpopmax y z 0 / bzmpop 0 1 z min
        zadd z 1 a 2 b / zadd y 2 b 3 c / zunionstore u 2 z y / zinterstore u 2 z y / zdiffstore u 2 z y / zinterstore u 1 none
        zadd z 1 a 2 b / zunionstore u 1 none / zrangestore u z 0 -1 / zrangestore u z 5 9 / zrangestore u z 5 9
        zadd z 1 a / zrange z 0 -1 / zscore z a / zrandmember z / zscan z 0 / zcard none / zcount z 1 2 / zrank z a
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


def test_who_watches_a_sorted_set_is_told(pair: Pair) -> None:
    """Whatever changes it aborts a transaction that watches it; what changes nothing does not."""
    for change, is_aborted in (
        ("zadd z 1 a 2 b 3 c 4 d 5 e", True),
        ("zadd z 1 a", False),
        ("zadd z xx 1 q", False),
        ("zincrby z 0 a", False),
        ("zincrby z 1 a", True),
        ("zrem z q", False),
        ("zrem z a", True),
        ("zremrangebyrank z 7 9", False),
        ("zremrangebyrank z 0 0", True),
        ("zpopmin z 0", False),
        ("zpopmin z", True),
        ("zmpop 1 z max", True),
        ("bzpopmax z 0", True),
        ("zunionstore z 1 none", False),
        ("zadd y 1 a", False),
        ("zrangestore z y 0 -1", True),
        ("zinterstore z 1 y", True),
        ("zdiffstore z 1 none", True),
    ):
        for line in ("watch z", change, "multi", "zcard z"):
            pair.ask(line)
        assert bool(pair.ask("exec").items) != is_aborted, change
