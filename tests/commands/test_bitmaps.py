"""Bitmaps and bit fields: beside redis-server, and against a string of zeros and ones."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair
from tests.differential.wire import Reply, Wire

KEYS = [b"one", b"two"]
OFFSETS = st.one_of(st.integers(0, 40), st.integers(0, 3000))

# Every command is answered as redis-server answers it, in content, type and words.
CONVERSATIONS = conversations(
    r"""
    setbit k 7 1 / getbit k 7 / getbit k 8 / setbit k 7 0 / setbit k 7 1 / get k / object encoding k
    setbit k 100 0 / strlen k / setbit k -1 1 / setbit k x 1 / setbit k 4294967296 1 / setbit k 1 2 / setbit k 1 x
    setbit k 99999999999999999999 1 / setbit k +1 1 / setbit k 01 1 / setbit k "" 1 / exists k / setbit k 1 -1
    getbit k -1 / getbit k x / getbit k 4294967295 / getbit k 4294967296 / getbit k 4294967303
    set k 123 / object encoding k / getbit k 2 / getbit k 23 / getbit k 24 / bitcount k / bitpos k 1 / setbit k 0 0
    set k 123 / setbit k 0 0 / object encoding k / get k / setbit k 1 1 / get k
    bitcount none / bitcount none 1 / bitcount none 1 2 3 / bitcount none x y bit z
    set k foobar / bitcount k / bitcount k 0 / bitcount k 0 0 / bitcount k 1 1 / bitcount k 0 -5 / bitcount k 5 30 bit
    set k foobar / bitcount k 0 -1 bit / bitcount k -3 -2 byte / bitcount k 1 2 nibble / bitcount k -1 -2 nibble
    set k foobar / bitcount k 1 2 bit bit / bitcount k x 2 / bitcount k 1 x / bitcount k 100 200 / bitcount k -100 -90
    set k foobar / bitcount k 9 9 bit / bitcount k 7 8 bit / bitcount k 0 1000000 bit / bitcount k 40 -1 bit
    set k foobar / bitcount k -9223372036854775808 9223372036854775807 / bitcount k 5 -200 / bitcount k -200 5
    set k "" / bitcount k / bitcount k 0 -1 / bitpos k 0 / bitpos k 1 / bitpos k 0 0 / bitpos k 0 0 -1 bit
    bitpos none 0 / bitpos none 1 / bitpos none 2 / bitpos none x / bitpos none 1 x y z / bitpos none 1 1 2 bit w
    set k \xff\xf0\x00 / bitpos k 0 / bitpos k 1 / bitpos k 1 2 / bitpos k 0 2 / bitpos k 0 0 0 / bitpos k 0 0 1
    set k \xff\xff\xff / bitpos k 0 / bitpos k 0 1 / bitpos k 0 0 -1 / bitpos k 0 0 -1 bit / bitpos k 0 3 / bitpos k 0 -1
    set k \x00\xff\xf0 / bitpos k 1 7 15 bit / bitpos k 1 7 7 bit / bitpos k 0 8 12 bit / bitpos k 0 8 -1 bit
    set k \x00\xff\xf0 / bitpos k 1 2 1 / bitpos k 1 1 -1 byte / bitpos k 2 / bitpos k 0 0 1 byt / bitpos k 1 0 x bit
    set k \x00\xff\xf0 / bitpos k 1 0 1 bit 5 / bitpos k 1 x 1 what / bitpos k 1 x / bitpos k 1 0 -1 Bit / bitpos k 1 -1
    set a abc / set b xy / bitop and d a b / get d / bitop or d a b / get d / bitop xor d a b / get d / bitop not d a / get d
    set a abc / bitop not d a a / bitop nand d a / bitop not d none / exists d / bitop and d a none / get d / strlen d
    set d x / bitop or d none / exists d / set d x / bitop and d none none2 / exists d / bitop or d none
    set a 1 / set b 2 / bitop or d a b / object encoding d / get d / incr d / bitop or a a b / get a
    set a 1 / expire a 1000 / set b 2 / bitop or a a b / ttl a / bitop xor a a a / get a / set a "" / bitop not b a
    bitfield k / bitfield k overflow sat / bitfield k get u8 0 / exists k / bitfield k set u8 0 255 get u8 0 / get k
    bitfield k incrby i5 100 1 get u4 0 / strlen k / bitfield k set i8 #2 -1 get i8 #2 get u8 #2 get i3 17
    bitfield k get u64 0 / bitfield k get i65 0 / bitfield k get u0 0 / bitfield k get x8 0 / bitfield k get u 0
    bitfield k get u8x 0 / bitfield k get U8 0 / bitfield k get i08 0 / bitfield k get u8 -1 / bitfield k get u8 #-1
    bitfield k get u8 # / bitfield k get u8 ## / bitfield k get u8 x / bitfield k get u8 4294967296 / bitfield k get u8
    bitfield k get u8 4294967295 / bitfield k get u8 #536870911 / bitfield k get u8 #536870912 / bitfield k get "" 0
    bitfield k set u8 0 / bitfield k set u8 0 x / bitfield k incrby u8 0 1.5 / bitfield k overflow / bitfield k wrap
    bitfield k overflow what set u8 0 1 / bitfield k get u8 0 get / bitfield k set u8 0 1 set x 0 1 / exists k
    bitfield k overflow sat incrby u8 0 300 incrby u8 0 -1 incrby u8 0 -999 / bitfield k overflow sat set u8 0 -5 get u8 0
    bitfield k overflow fail incrby u8 0 300 / exists k / strlen k / bitfield k overflow fail set i4 0 8 set i4 0 7 get i4 0
    bitfield k set u8 0 -5 get u8 0 / bitfield k set u63 1 -1 get u63 1 / bitfield k set u8 0 256 get u8 0
    bitfield k incrby i64 0 9223372036854775807 incrby i64 0 1 / bitfield k overflow sat incrby i64 0 -9223372036854775808
    bitfield k overflow fail incrby i64 3 9223372036854775807 incrby i64 3 1 overflow wrap incrby i64 3 1 get i64 3
    bitfield k set i4 0 8 get i4 0 set i4 0 -9 get i4 0 / bitfield k overflow sat set i4 0 8 get i4 0 set i4 0 -9 get i4 0
    bitfield k Set u4 1 5 gEt u4 1 OverFlow sAt INCRBY u4 1 100 / set k 77 / bitfield k incrby u8 0 1 / get k
    bitfield_ro k / bitfield_ro k get u8 0 get i3 9 / bitfield_ro k set u8 0 1 / bitfield_ro k overflow sat / exists k
    bitfield_ro k get u8 / bitfield_ro k set u8 0 x / bitfield_ro k incrby u8 0 1 get u99 1 / set k ab / bitfield_ro k get i8 8
    rpush l x / setbit l 1 1 / getbit l 1 / bitcount l / bitcount l x / bitpos l 1 / bitpos l 2 / bitfield l get u8 0
    rpush l x / bitfield l set u8 0 1 / bitfield l / bitop or d l / bitop not l none / exists l / bitfield_ro l get u8 0
    """
)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[0])
def test_as_redis(pair: Pair, conversation: list[str]) -> None:
    for command in conversation:
        pair.ask_words(*encode(command))


def test_a_limit_of_the_length_of_strings(pair: Pair) -> None:
    pair.ask("config set proto-max-bulk-len 1048576")
    try:
        for line in (
            "setbit k 8388607 1", "setbit k 8388608 1", "getbit k 8388608", "bitfield k get u8 8388608",
            "bitfield k set u8 8388600 1", "bitfield k set u8 #1048575 1", "bitfield k set u8 #1048576 1", "strlen k",
        ):  # fmt: skip
            pair.ask(line)
    finally:
        pair.ask("config set proto-max-bulk-len 536870912")


def test_long_strings(pair: Pair) -> None:
    for line in (
        "setbit a 800000 1", "setbit b 3 1", "bitop or c a b", "bitcount c", "strlen c", "bitop not c c", "bitcount c",
        "bitpos c 0", "bitpos c 0 1", "bitpos c 1", "bitpos a 1 1", "bitcount c 17 799999 bit", "bitop and c c a b",
        "bitcount c", "setbit c 900000 1", "bitop xor c c a", "bitpos c 1 1", "strlen c", "object encoding c",
    ):  # fmt: skip
        pair.ask(line)


CHANGES = (
    "setbit k 3 1", "setbit k 3 1", "setbit k 3 0", "setbit k 90 0", "bitfield k get u8 0", "bitfield k set u8 0 0",
    "bitfield k set u8 0 1 incrby u8 0 1", "bitfield new overflow fail set u2 0 9", "bitfield new incrby u2 0 1",
    "bitop or d k new", "bitop or d none", "bitop or d none", "setbit k 3 x", "bitop not k k", "setbit end 0 1",
)  # fmt: skip


def events(server: KvorumServer | RedisServer) -> list[Reply]:
    """What happens to keys by ``CHANGES``."""
    heard: list[Reply] = []
    with Wire(server.host, server.port) as wire, Wire(server.host, server.port) as listener:
        wire.ask_all([(b"FLUSHALL",), (b"CONFIG", b"SET", b"notify-keyspace-events", b"EA")])
        listener.ask(b"PSUBSCRIBE", b"__keyevent@0__:*")
        for line in CHANGES:
            wire.ask(*(word.encode() for word in line.split()))
        while not heard or heard[-1].items[-1].value != b"end":
            heard.append(listener.read())
        wire.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"")
    return heard


def test_events_are_those_of_redis(debuggable_server: KvorumServer, redis_server: RedisServer) -> None:
    ours = events(debuggable_server)
    assert ours == events(redis_server)
    assert len(ours) == 9


class Model(RuleBasedStateMachine):
    """The commands against strings of zeros and ones."""

    server: KvorumServer

    def __init__(self) -> None:
        super().__init__()
        self.wire = Wire(self.server.host, self.server.port)
        self.bits: dict[bytes, str] = {}

    def teardown(self) -> None:
        self.wire.close()

    @initialize()
    def empty(self) -> None:
        self.wire.ask(b"FLUSHALL")

    def number(self, *words: bytes | int) -> int | None:
        return self.wire.ask(*(b"%d" % word if isinstance(word, int) else word for word in words)).integer

    def padded(self, key: bytes, end: int) -> str:
        """The bits of a key up to a position at least, in whole bytes."""
        return self.bits.get(key, "").ljust((end + 7) // 8 * 8, "0")

    @rule(key=st.sampled_from(KEYS), offset=OFFSETS, bit=st.integers(0, 1))
    def set_bit(self, key: bytes, offset: int, bit: int) -> None:
        before = self.padded(key, offset + 1)
        assert self.number(b"SETBIT", key, offset, bit) == int(before[offset])
        self.bits[key] = before[:offset] + str(bit) + before[offset + 1 :]

    @rule(key=st.sampled_from(KEYS), offset=OFFSETS)
    def get_bit(self, key: bytes, offset: int) -> None:
        assert self.number(b"GETBIT", key, offset) == int(self.padded(key, offset + 1)[offset])

    @rule(key=st.sampled_from(KEYS), first=OFFSETS, length=st.integers(1, 200))
    def count(self, key: bytes, first: int, length: int) -> None:
        part = self.bits.get(key, "")[first : first + length]
        assert self.number(b"BITCOUNT", key, first, first + length - 1, b"BIT") == part.count("1")

    @precondition(lambda self: self.bits)
    @rule(first=OFFSETS, length=st.integers(1, 200), bit=st.integers(0, 1), data=st.data())
    def find(self, first: int, length: int, bit: int, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.bits)))
        found = self.bits[key][: first + length].find(str(bit), first)
        assert self.number(b"BITPOS", key, bit, first, first + length - 1, b"BIT") == found

    @rule(
        operation=st.sampled_from([b"AND", b"OR", b"XOR", b"NOT"]),
        sources=st.lists(st.sampled_from([*KEYS, b"none"]), min_size=1, max_size=3),
    )
    def combine(self, operation: bytes, sources: list[bytes]) -> None:
        if operation == b"NOT":
            sources = sources[:1]
        size = max(len(self.bits.get(key, "")) for key in sources)
        numbers = [int("0" + self.bits.get(key, "").ljust(size, "0"), 2) for key in sources]
        result = numbers[0]
        for number in numbers[1:]:
            result = {b"AND": result & number, b"OR": result | number}.get(operation, result ^ number)
        if operation == b"NOT":
            result ^= (1 << size) - 1
        assert self.number(b"BITOP", operation, KEYS[0], *sources) == size // 8
        self.bits.pop(KEYS[0], None)
        if size:
            self.bits[KEYS[0]] = f"{result:0{size}b}"

    @rule(
        key=st.sampled_from(KEYS), signed=st.booleans(), width=st.integers(1, 63), position=OFFSETS,
        number=st.integers(-(2**63), 2**63 - 1),
    )  # fmt: skip
    def set_field(self, key: bytes, signed: bool, width: int, position: int, number: int) -> None:
        before = self.padded(key, position + width)
        old = int(before[position : position + width], 2)
        if signed and old >> (width - 1):
            old -= 1 << width
        kind = b"%c%d" % (b"i" if signed else b"u", width)
        reply = self.wire.ask(b"BITFIELD", key, b"SET", kind, b"%d" % position, b"%d" % number)
        assert [item.integer for item in reply.items] == [old]
        digits = f"{number & ((1 << width) - 1):0{width}b}"
        self.bits[key] = before[:position] + digits + before[position + width :]

    @rule(key=st.sampled_from(KEYS))
    def whole(self, key: bytes) -> None:
        text = self.wire.ask(b"GET", key).value
        digits = self.bits.get(key)
        assert text == (None if digits is None else int("1" + digits, 2).to_bytes(len(digits) // 8 + 1, "big")[1:])


def test_any_sequence(debuggable_server: KvorumServer) -> None:
    class Bound(Model):
        server = debuggable_server

    Bound.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
    Bound.TestCase("runTest").runTest()
