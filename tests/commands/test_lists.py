"""The list commands beside redis-server: replies in both protocols, errors and their order, and events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair
from tests.differential.wire import Reply, Wire

LARGEST = 2**63 - 1
SMALLEST = -(2**63)
TOO_LARGE = 2**63

# Every command is answered as redis-server answers it, in content, type and words.
CONVERSATIONS = conversations(
    rf"""
    lpush l a / lpush l b c / rpush l d e / lrange l 0 -1 / llen l / type l / object encoding l / debug digest-value l
    lpushx l a / rpushx l a / exists l / lpush l x / lpushx l a b / rpushx l c d / lrange l 0 -1
    lpush l "" / lrange l 0 -1 / lpop l / exists l / rpush l \x00\xff \r\n / lrange l 0 -1
    lpush l / lpush / rpush l / lpushx l / rpushx l / llen / llen l l / lindex l / lrange l 0 / lset l 0 / lrem l 0
    rpush l 1 01 -0 0 -1 {LARGEST} {SMALLEST} {TOO_LARGE} 1.0 \x201 / lrange l 0 -1 / lpos l 1 / lpos l 01 / lrem l 0 -0
    rpush l a b c d e / lpop l / rpop l / lpop l 2 / lrange l 0 -1 / rpop l 5 / exists l / lpop l / rpop l / lpop l 1
    rpush l a b c d e / rpop l 3 / lpop l 0 / rpop l 0 / lpop none 0 / rpop none 1 / lpop l 1 / lrange l 0 -1
    rpush l a b c / lpop l -1 / rpop l x / lpop l 1.5 / lpop l "" / lpop l 1 2 / rpop l 1 2 / lpop / lpop l {TOO_LARGE}
    rpush l a b c / rpop l {SMALLEST} / lpop l {LARGEST} / exists l / lpop none x / lpop none -1 / lpop none 1 2
    rpush l a b c / lindex l 0 / lindex l 2 / lindex l 3 / lindex l -1 / lindex l -3 / lindex l -4 / lindex none 0
    rpush l a / lindex l {LARGEST} / lindex l {SMALLEST} / lindex l {TOO_LARGE} / lindex l x / lindex none x / lindex l ""
    rpush l a b c d / lrange l 1 2 / lrange l -2 -1 / lrange l 2 1 / lrange l 3 100 / lrange l 4 5 / lrange l -100 1
    rpush l a b c / lrange l {SMALLEST} {LARGEST} / lrange l {LARGEST} {SMALLEST} / lrange l {LARGEST} {LARGEST}
    rpush l a b / lrange l x 1 / lrange l 0 y / lrange none x 1 / lrange none 0 -1 / lrange l 0 {TOO_LARGE} / lrange l -5 -4
    rpush l a b c / lset l 0 x / lset l -1 z / lrange l 0 -1 / lset l 3 q / lset l -4 q / lset l x q / lset none 0 q
    rpush l a / lset none x q / lset l {LARGEST} q / lset l {SMALLEST} q / lset l {TOO_LARGE} q / lset l 0 123 / lindex l 0
    rpush l a b c / linsert l before b x / linsert l AFTER b y / linsert l before a z / linsert l after c z / lrange l 0 -1
    rpush l a a / linsert l after a b / linsert l before q b / linsert none before a b / linsert l at a b / lrange l 0 -1
    linsert none at a b / linsert l before a / rpush l 5 / linsert l before 5 4 / linsert l after 05 6 / lrange l 0 -1
    rpush l a b a c a / lrem l 1 a / lrange l 0 -1 / lrem l -1 a / lrange l 0 -1 / lrem l 0 a / lrem l 0 x / lrange l 0 -1
    rpush l a a a / lrem l 2 a / lrem l 0 a / exists l / lrem l 0 a / lrem none x a / rpush l a a / lrem l {SMALLEST} a / llen l
    rpush l a b a / lrem l x a / lrem l {TOO_LARGE} a / lrem l {LARGEST} a / lrange l 0 -1 / lrem l -{LARGEST} b / exists l
    rpush l a b c d e / ltrim l 1 3 / lrange l 0 -1 / ltrim l -2 -1 / lrange l 0 -1 / ltrim l 5 9 / exists l / ltrim l 0 0
    rpush l a b c / ltrim l 0 -1 / ltrim l 0 100 / ltrim l -100 -2 / lrange l 0 -1 / ltrim l 1 0 / exists l
    rpush l a b c / ltrim l x 0 / ltrim l 0 x / ltrim none x 0 / ltrim none 0 1 / ltrim l {SMALLEST} {LARGEST} / llen l
    rpush l a b c / ltrim l {LARGEST} {SMALLEST} / exists l / rpush l a b c / ltrim l {LARGEST} {LARGEST} / exists l
    rpush l a b c 1 2 3 c c / lpos l c / lpos l c rank 2 / lpos l c rank -1 / lpos l c rank 4 / lpos l x / lpos l c count 2
    rpush l a b c 1 2 3 c c / lpos l c count 0 / lpos l c rank 2 count 0 / lpos l c rank -1 count 2 / lpos l x count 0
    rpush l a b c 1 2 3 c c / lpos l c maxlen 2 / lpos l c maxlen 3 / lpos l c count 0 maxlen 7 / lpos l c rank -1 maxlen 1
    rpush l a b a / lpos l a rank 0 / lpos l a rank x / lpos l a count -1 / lpos l a count x / lpos l a maxlen -1
    rpush l a b a / lpos l a maxlen x / lpos l a rank / lpos l a what 1 / lpos l a rank 1 rank 2 / lpos l a count 1 count 0
    rpush l a b a / lpos l a rank {LARGEST} / lpos l a rank -{LARGEST} / lpos l a count {LARGEST} / lpos l a maxlen {LARGEST}
    rpush l a b a / lpos l a rank {SMALLEST} / lpos l a rank {SMALLEST} count 1 / lpos l a rank {TOO_LARGE}
    lpos none a / lpos none a count 0 / lpos none a rank 0 / lpos none a what / lpos l / lpos none a count 1 rank
    rpush l a b c / lmove l k left right / lmove l k RIGHT Left / lrange k 0 -1 / lmove l k left left / exists l / lrange k 0 -1
    rpush l a b c / lmove l l left right / lmove l l right left / lmove l l left left / lmove l l right right / lrange l 0 -1
    rpush l a / lmove l l left right / lmove l l left left / lrange l 0 -1 / rpoplpush l l / lrange l 0 -1 / type l
    lmove none k left right / lmove none k up right / lmove none k left down / lmove l k left / rpush l a / lmove l k x right
    rpush l a b c / rpoplpush l k / rpoplpush l k / rpoplpush l k / rpoplpush l k / lrange k 0 -1 / exists l / rpoplpush none k
    rpush l a b c / lmpop 1 l left / lmpop 2 none l right count 5 / exists l / lmpop 1 l left / lmpop 2 l k RIGHT COUNT 1
    rpush k a b c d / lmpop 2 l k right count 2 / lmpop 1 k left count {LARGEST} / exists k / lmpop 1 k left count 1
    lmpop 0 l left / lmpop -1 l left / lmpop x l left / lmpop 1 l up / lmpop 2 l left / lmpop 1 l left count 0 / lmpop 1 l
    lmpop 1 l left count / lmpop 1 l left count -1 / lmpop 1 l left count x / lmpop 1 l left count 1 count 1 / lmpop 5 l left
    lmpop 1 l left what 1 / lmpop {TOO_LARGE} l left / lmpop 1 l left count {TOO_LARGE} / lmpop 1 l left count 1 x / lmpop
    set s x / lpush s a / rpush s a / lpushx s a / rpushx s a / lpop s / rpop s 1 / lpop s 0 / lpop s x / llen s / lindex s 0
    set s x / lindex s x / lrange s 0 1 / lrange s x 1 / lset s 0 a / lset s x a / ltrim s 0 1 / lrem s 0 a / linsert s before a b
    set s x / lpos s a / lpos s a rank 0 / lmove s k left left / rpoplpush s k / lmpop 1 s left / lmpop 2 none s left
    set s x / rpush l a / lmove l s left left / rpoplpush l s / lrange l 0 -1 / lmpop 2 l s left / lmove none s left left
    hset h a 1 / lpush h a / lpop h / llen h / lrange h 0 1 / lmpop 1 h left / rpush l a / lmove l h left left / llen l
    rpush l a b / copy l k / rpush k c / lrange l 0 -1 / lrange k 0 -1 / rename k l / lrange l 0 -1 / object encoding l
    rpush l a / expire l 1000 / rpush l b / ttl l / lpop l / lpop l / rpush l c / ttl l
    """
)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[0])
def test_as_redis(pair: Pair, conversation: list[str]) -> None:
    for command in conversation:
        pair.ask_words(*encode(command))


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number if number % 2 else b"element:%d" % number for number in range(count)]


@pytest.fixture(params=["-2", "-1", "-5", "3", "1", "0", "1000"])
def leaves(request: pytest.FixtureRequest, pair: Pair) -> Iterator[str]:
    """Both servers with nodes of this size."""
    pair.ask(f"config set list-max-listpack-size {request.param}")
    yield request.param
    pair.ask("config set list-max-listpack-size -2")


@pytest.mark.usefixtures("leaves")
def test_a_long_list(pair: Pair) -> None:
    """Of many leaves, whatever their size."""
    elements = numbered(3000)
    pair.ask_words(b"RPUSH", b"l", *elements[1000:])
    pair.ask_words(b"LPUSH", b"l", *elements[999::-1])
    assert texts(pair.ask("lrange l 0 -1")) == elements
    for start in range(0, 3000, 371):
        pair.ask(f"lrange l {start} {start + 599}")
        pair.ask(f"lindex l {start}")
        pair.ask(f"lindex l {-start}")
        pair.ask(f"lset l {start} set:{start}")
        pair.ask(f"linsert l after set:{start} {start}")
        pair.ask(f"lpos l {start} rank -1 count 2")
    pair.ask("lrem l -3 371")
    pair.ask("lpop l 700")
    pair.ask("rpop l 700")
    pair.ask("ltrim l 100 -200")
    pair.ask("lmpop 1 l right count 900")
    pair.ask("lrange l 0 -1")
    pair.ask("debug digest-value l")


@pytest.mark.usefixtures("leaves")
def test_big_elements_among_small_ones(pair: Pair) -> None:
    big = [bytes([97 + number]) * size for number, size in enumerate((4000, 4090, 8170, 8180, 9000, 70000, 1 << 20))]
    for element in big:
        pair.ask_words(b"RPUSH", b"l", b"1", element, b"x")
        pair.ask_words(b"LPUSH", b"l", b"2", element)
    pair.ask("lrange l 0 -1")
    for index in range(0, 35, 4):
        pair.ask_words(b"LSET", b"l", b"%d" % index, big[index % len(big)])
        pair.ask_words(b"LSET", b"l", b"%d" % (index + 1), b"small")
    pair.ask_words(b"LINSERT", b"l", b"BEFORE", big[4], big[5])
    pair.ask_words(b"LPOS", b"l", big[5], b"COUNT", b"0")
    pair.ask_words(b"LREM", b"l", b"-1", big[4])
    pair.ask_words(b"LREM", b"l", b"0", big[0])
    pair.ask("debug digest-value l")
    pair.ask("lmove l l left right")
    pair.ask("lpop l 10")
    pair.ask("rpop l 100")
    pair.ask("exists l")


def texts(reply: Reply) -> list[bytes]:
    """The bulk strings of a reply, in whatever it is nested."""
    if reply.kind == b"$":
        assert reply.value is not None
        return [reply.value]
    return [text for item in reply.items for text in texts(item)]


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
        lpush l a / rpush l b c / lpushx l d / rpushx l e / lpushx none a / llen l / lrange l 0 -1
        rpush l a b c / lpop l / rpop l / lpop l / lpop l / rpop l 5
        rpush l a b c d / lpop l 0 / lpop l 2 / rpop l 9
        rpush l a b c / lset l 0 x / lset l 9 x / linsert l before x y / linsert l after q y
        rpush l a b a / lrem l 0 q / lrem l 1 a / lrem l 0 a / lrem l 0 b
        rpush l a b c / ltrim l 0 -1 / ltrim l 0 0 / ltrim l 1 0 / ltrim l 1 0
        rpush l a b / lmove l k left right / rpoplpush l k / lmove k k left right / lmove l k left left
        rpush l a b c / lmpop 2 k l left count 2 / lmpop 1 l right / lmpop 1 l right
        rpush l a b c / blpop k l 0 / brpop l 0 / blmpop 0 1 l left count 7
        rpush l a b / blmove l k left left 0 / brpoplpush l k 0
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


@pytest.mark.parametrize(
    "change",
    [
        "rpush l x", "lpushx l x", "lpop l", "rpop l 1", "lpop l 0", "lset l 0 x", "lset l 9 x", "linsert l before a x",
        "linsert l before q x", "lrem l 0 a", "lrem l 0 q", "ltrim l 0 -1", "ltrim l 0 0", "lmove l k left left",
        "lmove k l left left", "lmove l l left left", "rpoplpush l l", "lmpop 1 l left", "blpop l 0", "lrange l 0 -1",
        "lpos l a", "llen l", "lindex l 0",
    ],
)  # fmt: skip
def test_who_watches_a_list_is_told(pair: Pair, change: str) -> None:
    """Whatever changes a list aborts a transaction that watches it; what changes nothing does not."""
    for line in ("rpush l a b c", "rpush k a", "watch l", change, "multi", "ping", "exec"):
        pair.ask(line)
