"""Payloads with a right checksum over content that is wrong in places: what RESTORE has to survive.

The content is that of a valid value of some encoding, changed here and there: bytes, lengths, pieces cut out, put in twice or
taken from another value. What comes of it is either refused by ``RdbError`` or a value that can be used like any other.
"""

from __future__ import annotations

import random
import struct
from types import ModuleType

from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.encoding import RdbReader
from kvorum.journal.rdb.payload import FOOTER_BYTES, check_footer, dump_payload, load_payload
from kvorum.journal.rdb.values import read_value
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.table import Keyspace
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.listpack import pack
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.values import Value
from kvorum.observe.digest import digest_of_value
from tests.journal.rdb.encodings import (
    binary_double,
    intset,
    length,
    payload,
    seal,
    string,
    strings,
    text_double,
    ziplist,
    zipmap,
)

TEXTS = [b"one", b"2", b"-300", b"", b"x" * 70, b"1234567890123", b"\x00\xff", b"ab" * 40]
PAIRS = [(b"a", b"1"), (b"2", b"2.5"), (b"long" * 20, b"-3"), (b"", b"1e9")]
FLAT = [text for pair in PAIRS for text in pair]
COMPRESSED = b"\xc3\x06\x0e\x01ab\xe0\x03\x01"

VALID = [
    payload(0, string(b"hello")),
    payload(0, b"\xc2\x00\x00\x01\x00"),
    payload(0, COMPRESSED),
    payload(1, length(len(TEXTS)), strings(TEXTS)),
    payload(2, length(len(TEXTS)), strings(TEXTS)),
    payload(3, length(2), string(b"a"), text_double(1.5), string(b"b"), text_double(float("inf"))),
    payload(4, length(len(PAIRS)), strings(FLAT)),
    payload(5, length(2), string(b"a"), binary_double(1.5), COMPRESSED, binary_double(-1)),
    payload(9, string(zipmap(PAIRS, unused=2))),
    payload(10, string(ziplist(TEXTS))),
    payload(11, string(intset([-5, 1, 70000], 4))),
    payload(12, string(ziplist(FLAT))),
    payload(13, string(ziplist(FLAT))),
    payload(14, length(2), string(ziplist(TEXTS[:3])), string(ziplist(TEXTS[3:]))),
    payload(16, string(pack(FLAT))),
    payload(17, string(pack(FLAT))),
    payload(18, length(3), length(2), string(pack(TEXTS)), length(1), COMPRESSED, length(2), string(pack([b"a"]))),
    payload(20, string(pack(TEXTS))),
]

NUMBERS = [0, 1, 2, 5, 6, 7, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0xBF, 0xC0, 0xC3, 0xF0, 0xF4, 0xFE, 0xFF]
LENGTHS = [0, 1, 63, 64, 16384, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, (1 << 64) - 1]
LONGEST_VALUE = 100  # times the payload: what compression makes possible


def forged(chance: random.Random) -> bytes:
    """A payload that nobody wrote, most likely."""
    content = bytearray(chance.choice(VALID)[:-FOOTER_BYTES])
    for _ in range(chance.randrange(1, 5)):
        change(content, chance)
    return seal(bytes(content), chance.choice([6, 9, 10, 11]))


def change(content: bytearray, chance: random.Random) -> None:
    """Something, somewhere."""
    at = chance.randrange(len(content)) if content else 0
    what = chance.randrange(7)
    if what == 0:
        content[at : at + 1] = bytes([chance.choice(NUMBERS)])
    elif what == 1:
        content[at : at + 1] = bytes([chance.randrange(256)])
    elif what == 2:
        content[at:at] = length(chance.choice(LENGTHS))
    elif what == 3:
        content[at : at + 4] = struct.pack(chance.choice("<>") + "I", chance.choice([0, 1, 255, 1 << 16, 0xFFFFFFFF]))
    elif what == 4:
        del content[at : at + chance.randrange(1, 20)]
    elif what == 5:
        content[at:at] = content[at : at + chance.randrange(1, 20)]
    else:
        other = chance.choice(VALID)
        content[at:at] = other[chance.randrange(len(other)) :][: chance.randrange(1, 40)]


def judge(written: bytes) -> bool:
    """Restore a payload, strictly and as a file is read, and use what comes of it; whether anything came."""
    commons = Commons()
    try:
        check_footer(written)
        value = load_payload(written, commons)
    except RdbError:
        judge_file(written)
        return False
    use(written, value)
    judge_file(written)
    return True


def judge_file(written: bytes) -> None:
    """The same bytes in a file: what is wrong there may be there, but must not do harm."""
    if len(written) <= FOOTER_BYTES:
        return
    reader = RdbReader(written, 1, len(written) - FOOTER_BYTES)
    try:
        value = read_value(reader, written[0], Commons(), False)
    except RdbError:
        return
    if isinstance(value, Value):
        value.copy()
        dump_payload(value)


def use(written: bytes, value: bytes | Value) -> None:
    """Look at the value in all ways, change it, and let it go."""
    keyspace = Keyspace(1)
    database = keyspace.databases[0]
    database.put_value(b"key", value)
    digest = digest_of_value(database, b"key").hexadecimal
    again = load_payload(dump_payload(value), keyspace.commons)
    database.put_value(b"again", again)
    assert digest_of_value(database, b"again").hexadecimal == digest
    if isinstance(value, Value):
        assert digest_of_copy(database.copy(b"key", database, b"copy"), keyspace) == digest
        assert len(value) > 0  # type: ignore[arg-type]
        use_elements(value)
        database.remeasure(value)
    else:
        assert len(value) <= LONGEST_VALUE * len(written)
    database.flush()


def digest_of_copy(copied: bool, keyspace: Keyspace) -> bytes:
    assert copied
    return digest_of_value(keyspace.databases[0], b"copy").hexadecimal


def use_elements(value: Value) -> None:
    """Every element is found where it is said to be, and one more can be added."""
    if isinstance(value, Hash):
        fields = dict(value.items())
        assert len(fields) == len(value)
        assert all(value.get(field) == content for field, content in fields.items())
        value.set(b"a new one", b"x" * 100)
        assert value.get(b"a new one") == b"x" * 100
    elif isinstance(value, Set):
        members = set(value)
        assert len(members) == len(value)
        assert all(member in value for member in members)
        assert value.add(b"a new one")
    elif isinstance(value, SortedSet):
        pairs = list(value.items())
        assert pairs == sorted(pairs, key=lambda pair: (pair[1], pair[0]))
        assert all(value.score(member) == score for member, score in pairs)
        assert value.add(b"a new one" * 20, 0.5)
    elif isinstance(value, List):
        elements = list(value)
        assert len(elements) == len(value)
        assert [value.get(index) for index in range(len(elements))] == elements
        value.push(b"a new one")
        assert value.pop() == b"a new one"


def outcome_of_value(module: ModuleType, written: bytes, strict: bool) -> str:
    """The digest of the value and how it is kept, or the kind of the error."""
    keyspace = Keyspace(1)
    if len(written) <= FOOTER_BYTES:
        return ""
    reader = RdbReader(written, 1, len(written) - FOOTER_BYTES)
    try:
        value = module.read_value(reader, written[0], keyspace.commons, strict)
    except RdbError as error:
        return type(error).__name__
    keyspace.databases[0].put_value(b"key", value)
    encoding = value.encoding().decode() if isinstance(value, Value) else ""
    return digest_of_value(keyspace.databases[0], b"key").hexadecimal.decode() + encoding
