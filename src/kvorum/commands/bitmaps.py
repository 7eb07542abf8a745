# cython: annotation_typing=True
"""The bitmap commands: bits and small numbers in strings.

What they do to memory stands in ``keyspace/bits``. Here are the words of the requests, in the order in which Redis looks at them:
it shows in errors. Effects are the requests themselves, if anything changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvorum import errors
from kvorum.commands.arguments import integer
from kvorum.commands.call import Call
from kvorum.commands.spec import (
    BeginIndex,
    Block,
    FindRange,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    String,
    Token,
)
from kvorum.errors import CommandError
from kvorum.keyspace.bits import AND, CHANGED, NOT, OR, XOR, Bits, Combination
from kvorum.keyspace.events import GENERIC, STRING
from kvorum.resp.numbers import parse_integer

BITMAPS = Group("bitmap")

READ = KeyFlag.RO | KeyFlag.ACCESS
CHANGE = KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.UPDATE
Position = int  # in the request
UNSIGNED_64 = (1 << 64) - 1  # SET takes a negative number for an unsigned field as the one of the same bits
OPERATIONS = {b"AND": AND, b"OR": OR, b"XOR": XOR, b"NOT": NOT}


def bit_offset(call: Call, index: Position) -> int:
    """The position of a bit in a string that may exist; ``index``: where it stands in the request."""
    try:
        offset = call.integer(index)
    except CommandError:
        raise CommandError(errors.BIT_OFFSET) from None
    return checked_offset(call, offset)


def checked_offset(call: Call, offset: int | None) -> int:
    if offset is None or offset < 0 or offset >> 3 >= call.keyspace.max_string_bytes:
        raise CommandError(errors.BIT_OFFSET)
    return offset


@BITMAPS.command(
    "SETBIT",
    since="2.2.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), Integer("offset"), Integer("value")],
    raw=True,
    complexity="O(1)",
    summary="Sets or clears a bit of the string at a key and gives the one before; the string grows as needed.",
)
def setbit(call: Call) -> int:
    offset = bit_offset(call, 2)
    bit = call.arg(3)
    if bit not in (b"0", b"1"):
        raise CommandError(errors.BIT_VALUE)
    before = Bits.set(call.db, call.argv[1], offset, bit == b"1")
    if before & CHANGED:
        call.changed()
        call.modified_at(STRING, b"setbit", 1)
    return before & 1


@BITMAPS.command(
    "GETBIT",
    since="2.2.0",
    arity=3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Integer("offset")],
    raw=True,
    complexity="O(1)",
    summary="A bit of the string at a key; 0 beyond its end.",
)
def getbit(call: Call) -> int:
    offset = bit_offset(call, 2)
    return Bits.get(call.db.read_string(call.argv[1]), offset)


def bit_range(start: int, end: int, size: int, in_bits: bool) -> tuple[int, int]:
    """The first and the last bit of a range of bytes or of bits in a string of ``size`` bytes.

    Negative numbers count from the end. The range is empty where the first is greater than the last.
    """
    total = size * 8 if in_bits else size
    start = max(0, start + total if start < 0 else start)
    end = min(total - 1, max(0, end + total if end < 0 else end))
    return (start, end) if in_bits else (start * 8, end * 8 + 7)


def is_in_bits(unit: bytes) -> bool:
    """Whether a range is meant in bits, by its last word."""
    if unit.upper() not in (b"BIT", b"BYTE"):
        raise CommandError(errors.SYNTAX)
    return len(unit) == 3


@BITMAPS.command(
    "BITCOUNT",
    since="2.6.0",
    arity=-2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Block(
            "index",
            Integer("start"),
            Integer("end"),
            OneOf("index_unit", Token("byte"), Token("bit"), optional=True, since="7.0.0"),
            optional=True,
        ),
    ],
    history=[("7.0.0", "`BYTE` and `BIT` came.")],
    raw=True,
    complexity="O(N), N being the length of the range in bytes",
    summary="How many bits of the string at a key are set.",
)
def bitcount(call: Call) -> int:
    text = call.db.read_string(call.argv[1])
    size = Bits.size(text)
    if size < 0:
        return 0
    first, last = 0, size * 8 - 1
    if call.argc in (4, 5):
        start, end = call.integer(2), call.integer(3)
        if start < 0 and end < 0 and start > end:
            return 0
        first, last = bit_range(start, end, size, call.argc == 5 and is_in_bits(call.arg(4)))
    elif call.argc != 2:
        raise CommandError(errors.SYNTAX)
    return 0 if first > last else Bits.count(text, first, last)


@BITMAPS.command(
    "BITPOS",
    since="2.8.7",
    arity=-3,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Integer("bit"),
        Block(
            "index",
            Integer("start"),
            Block(
                "end_index",
                Integer("end"),
                OneOf("index_unit", Token("byte"), Token("bit"), optional=True, since="7.0.0"),
                optional=True,
            ),
            optional=True,
        ),
    ],
    history=[("7.0.0", "`BYTE` and `BIT` came.")],
    raw=True,
    complexity="O(N), N being the length of the range in bytes",
    summary="Where the first set or clear bit of the string at a key stands.",
)
def bitpos(call: Call) -> int:
    """A string counts as followed by zeros, unless an end was given: then -1 says that there is no clear bit."""
    bit = call.integer(2)
    if bit not in (0, 1):
        raise CommandError(errors.BIT_TO_FIND)
    text = call.db.read_string(call.argv[1])
    size = Bits.size(text)
    if size < 0:
        return -1 if bit else 0
    if call.argc > 6:
        raise CommandError(errors.SYNTAX)
    start = call.integer(3) if call.argc > 3 else 0
    in_bits = call.argc == 6 and is_in_bits(call.arg(5))
    end = call.integer(4) if call.argc > 4 else size - 1
    first, last = bit_range(start, end, size, in_bits)
    if first > last:
        return -1
    found = Bits.find(text, bit == 1, first, last)
    return last + 1 if found < 0 and bit == 0 and call.argc < 5 else found


@BITMAPS.command(
    "BITOP",
    since="2.6.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[
        KeySpec(KeyFlag.OW | KeyFlag.UPDATE, BeginIndex(2)),
        KeySpec(READ, BeginIndex(3), FindRange(-1)),
    ],
    arguments=[String("operation"), Key("destkey"), Key("key", key_spec_index=1, multiple=True)],
    raw=True,
    complexity="O(N), N being the length of all strings",
    summary="Combines strings bit by bit (AND, OR, XOR, NOT) and stores the result; gives its length.",
)
def bitop(call: Call) -> int:
    operation = OPERATIONS.get(call.arg(1).upper())
    if operation is None:
        raise CommandError(errors.SYNTAX)
    if operation == NOT and call.argc != 4:
        raise CommandError(errors.BITOP_NOT_OF_SEVERAL)
    combination = Combination(operation)
    for position in range(3, call.argc):
        combination.add(call.db.read_string(call.argv[position]))
    if combination.result:
        size = combination.store(call.db, call.argv[2])
        call.changed()
        call.modified_at(STRING, b"set", 2)
        return size
    if call.db.remove(call.argv[2]):
        call.changed()
        call.modified_at(GENERIC, b"del", 2)
    return 0


class Operation:
    """One operation of BITFIELD on the number of ``width`` bits at a position."""

    def __init__(self, name: bytes, position: int, signed: bool, width: int, operand: int, overflow: bytes) -> None:
        self.name = name
        self.position = position
        self.signed = signed
        self.width = width
        self.operand = operand
        self.overflow = overflow


def bitfield_operations(call: Call, words: list[bytes]) -> list[Operation]:
    """The operations of a request, in which OVERFLOW holds for those that follow it."""
    operations = []
    overflow = b"WRAP"
    index = 0
    while index < len(words):
        name, rest = words[index].upper(), len(words) - index - 1
        if name == b"OVERFLOW" and rest >= 1:
            overflow = words[index + 1].upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise CommandError(errors.BITFIELD_OVERFLOW)
            index += 2
            continue
        if not ((name == b"GET" and rest >= 2) or (name in (b"SET", b"INCRBY") and rest >= 3)):
            raise CommandError(errors.SYNTAX)
        signed, width = field_type(words[index + 1])
        position = field_position(call, words[index + 2], width)
        operand = 0 if name == b"GET" else integer(words[index + 3])
        operations.append(Operation(name, position, signed, width, operand, overflow))
        index += 3 if name == b"GET" else 4
    return operations


def field_type(word: bytes) -> tuple[bool, int]:
    """Whether a number has a sign, and its width in bits: ``i1`` to ``i64``, ``u1`` to ``u63``."""
    sign = word[:1]
    width = parse_integer(word[1:].split(b"\0", 1)[0])
    if sign not in (b"i", b"u") or width is None or not 1 <= width <= (64 if sign == b"i" else 63):
        raise CommandError(errors.BITFIELD_TYPE)
    return sign == b"i", width


def field_position(call: Call, word: bytes, width: int) -> int:
    """Where a number begins: in bits, or ``#n``: behind n numbers of the same width."""
    if not word.startswith(b"#"):
        return checked_offset(call, parse_integer(word))
    index = parse_integer(word[1:])
    return checked_offset(call, None if index is None else index * width)


def fitted(operation: Operation, number: int) -> int | None:
    """The number as the field can hold it, by what its overflow says; None: it shall not be written."""
    lowest, highest = limits(operation)
    if lowest <= number <= highest:
        return number
    if operation.overflow == b"FAIL":
        return None
    if operation.overflow == b"SAT":
        return highest if number > highest else lowest
    number &= (1 << operation.width) - 1
    return number - (1 << operation.width) if operation.signed and number > highest else number


def limits(operation: Operation) -> tuple[int, int]:
    """The least and the greatest number that the field can hold."""
    if operation.signed:
        return -(1 << (operation.width - 1)), (1 << (operation.width - 1)) - 1
    return 0, (1 << operation.width) - 1


def bitfield_keys(args: Sequence[bytes]) -> list[tuple[int, KeyFlag]]:
    """BITFIELD only reads if it has nothing but GET and OVERFLOW."""
    index = 2
    while index < len(args):
        name, rest = args[index].upper(), len(args) - index - 1
        if name == b"GET" and rest >= 2:
            index += 3
        elif name == b"OVERFLOW" and rest >= 1:
            index += 2
        else:
            return [(1, CHANGE)]
    return [(1, READ)]


@BITMAPS.command(
    "BITFIELD",
    since="3.2.0",
    arity=-2,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(CHANGE | KeyFlag.VARIABLE_FLAGS, notes="It only reads the key if all operations are GET.")],
    find_keys=bitfield_keys,
    arguments=[
        Key("key"),
        OneOf(
            "operation",
            Block("encoding_offset", String("encoding"), Integer("offset"), token="GET"),
            Block(
                "write",
                OneOf("wrap_sat_fail", Token("wrap"), Token("sat"), Token("fail"), token="OVERFLOW", optional=True),
                OneOf(
                    "write_operation",
                    Block(
                        "encoding_offset_value", String("encoding"), Integer("offset"), Integer("value"), token="SET"
                    ),
                    Block(
                        "encoding_offset_increment",
                        String("encoding"),
                        Integer("offset"),
                        Integer("increment"),
                        token="INCRBY",
                    ),
                ),
            ),
            optional=True,
            multiple=True,
        ),
    ],
    raw=True,
    complexity="O(1) for each operation",
    summary="Reads, sets and adds to numbers of any width inside the string at a key.",
)
def bitfield(call: Call) -> list[int | None]:
    operations = bitfield_operations(call, call.args[2:])
    if all(operation.name == b"GET" for operation in operations):
        return read_fields(call, operations)
    return change_fields(call, operations)


def read_fields(call: Call, operations: list[Operation]) -> list[int | None]:
    """The replies to operations that are all GET."""
    text = call.db.read_string(call.argv[1])
    return [Bits.field(text, one.position, one.width, one.signed) for one in operations]


def change_fields(call: Call, operations: list[Operation]) -> list[int | None]:
    """The replies to operations of which some write.

    The string first grows to where the last of them ends, even if then every one fails. Redis does not tell its replicas in
    that case; here they learn of it, so that they stay equal.
    """
    end = max(one.position + one.width for one in operations if one.name != b"GET")
    grown = Bits.extend(call.db, call.argv[1], (end + 7) >> 3)
    replies: list[int | None] = []
    changes = 0
    for one in operations:
        old = Bits.stored_field(call.db, call.argv[1], one.position, one.width, one.signed)
        if one.name == b"GET":
            replies.append(old)
            continue
        wanted = one.operand if one.signed else one.operand & UNSIGNED_64
        number = fitted(one, old + one.operand if one.name == b"INCRBY" else wanted)
        if number is None:
            replies.append(None)
            continue
        Bits.store_field(call.db, call.argv[1], one.position, one.width, number)
        replies.append(number if one.name == b"INCRBY" else old)
        changes += grown or number != old
    if changes or grown:
        call.changed(max(changes, 1))
    if changes:
        call.modified_at(STRING, b"setbit", 1)
    return replies


@BITMAPS.command(
    "BITFIELD_RO",
    since="6.0.0",
    arity=-2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Block(
            "encoding_offset",
            String("encoding"),
            Integer("offset"),
            token="GET",
            optional=True,
            multiple=True,
            multiple_token=True,
        ),
    ],
    raw=True,
    complexity="O(1) for each operation",
    summary="Reads numbers of any width inside the string at a key.",
)
def bitfield_ro(call: Call) -> list[int | None]:
    operations = bitfield_operations(call, call.args[2:])
    if any(operation.name != b"GET" for operation in operations):
        raise CommandError(errors.BITFIELD_READ_ONLY)
    return read_fields(call, operations)
