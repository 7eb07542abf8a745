"""One value of any type: from the bytes that RDB has for it, and back.

A value in RDB is a type and a body; in a file the key stands between the two. The type says both what the value is and how
it is encoded: there were lists as plain strings, as ziplists, as chains of ziplists and as chains of listpacks. ``READERS``
has all of them that Redis 2.8 to 7.2 wrote. Written are those that Redis 7.0 writes, so that it can read them back.

Small values are one block of bytes in memory as in RDB (listpack, intset): they are taken over whole. A block from outside
is first walked through; with ``strict`` (RESTORE) it is also taken apart and put together again, and refused for what only a
forger writes: a field that is there twice, a score that is no number. Without it (files with a right checksum) the block stays
as it is, which is many times faster; what is not safe in memory is refused either way.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.journal.rdb import EmptyValueError, RdbError, UnsupportedTypeError
from kvorum.journal.rdb.encoding import RdbReader, RdbWriter
from kvorum.journal.rdb.ziplist import ziplist_elements
from kvorum.journal.rdb.zipmap import zipmap_elements
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.intset import is_intset
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.listpack import pack, unpack, validate
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.values import Value
from kvorum.resp.numbers import parse_float

STRING = 0
LIST = 1
SET = 2
ZSET = 3
HASH = 4
ZSET_2 = 5
MODULE = 6
MODULE_2 = 7
HASH_ZIPMAP = 9
LIST_ZIPLIST = 10
SET_INTSET = 11
ZSET_ZIPLIST = 12
HASH_ZIPLIST = 13
LIST_QUICKLIST = 14
STREAM = 15
HASH_LISTPACK = 16
ZSET_LISTPACK = 17
LIST_QUICKLIST_2 = 18
STREAM_2 = 19
SET_LISTPACK = 20
STREAM_3 = 21

# What a node of a quicklist is.
PLAIN_NODE = 1
PACKED_NODE = 2
PAIRS_AT_A_TIME = 1000
EMPTY_LISTPACK_BYTES = 7

Reader = Callable[[RdbReader, Commons, bool], bytes | Value]


# Writing


def type_of(value: bytes | Value) -> int:
    """The RDB type of a value as it is now."""
    if isinstance(value, bytes):
        return STRING
    if isinstance(value, List):
        return LIST_QUICKLIST_2
    if isinstance(value, Hash):
        return HASH_LISTPACK if value.encoding() == b"listpack" else HASH
    if isinstance(value, SortedSet):
        return ZSET_LISTPACK if value.encoding() == b"listpack" else ZSET_2
    if isinstance(value, Set):
        return SET_INTSET if value.encoding() == b"intset" else SET
    raise UnsupportedTypeError(f"values of the type {value.kind.decode()} cannot be written yet")


def write_body(writer: RdbWriter, value: bytes | Value) -> None:
    """What follows the type (and, in a file, the key)."""
    if isinstance(value, bytes):
        writer.string(value)
    elif isinstance(value, List):
        write_list(writer, value)
    elif isinstance(value, Hash):
        write_hash(writer, value)
    elif isinstance(value, SortedSet):
        write_sorted_set(writer, value)
    elif isinstance(value, Set):
        write_set(writer, value)


def write_list(writer: RdbWriter, value: List) -> None:
    """A chain of nodes."""
    nodes = list(value.nodes())
    writer.length(len(nodes))
    for plain, blob in nodes:
        writer.length(PLAIN_NODE if plain else PACKED_NODE)
        writer.string(blob)


def write_hash(writer: RdbWriter, value: Hash) -> None:
    packed = value.packed()
    if packed is not None:
        writer.string(packed)
        return
    writer.length(len(value))
    for field, content in value.items():
        writer.string(field)
        writer.string(content)


def write_set(writer: RdbWriter, value: Set) -> None:
    packed = value.packed()
    if packed is not None:
        writer.string(packed)
        return
    writer.length(len(value))
    for member in value:
        writer.string(member)


def write_sorted_set(writer: RdbWriter, value: SortedSet) -> None:
    """The highest score comes first, as Redis has it."""
    packed = value.packed()
    if packed is not None:
        writer.string(packed)
        return
    writer.length(len(value))
    for start in range(0, len(value), PAIRS_AT_A_TIME):
        for member, score in value.pairs(start, PAIRS_AT_A_TIME, reverse=True):
            writer.string(member)
            writer.binary_double(score)


# Reading


def read_value(reader: RdbReader, kind: int, commons: Commons, strict: bool) -> bytes | Value:
    """The value of this type that the reader stands at."""
    if kind == STRING:
        return reader.string()
    read = READERS.get(kind)
    if read is not None:
        return read(reader, commons, strict)
    if kind in (STREAM, STREAM_2, STREAM_3):
        raise UnsupportedTypeError("streams are not supported yet")
    if kind in (MODULE, MODULE_2):
        raise UnsupportedTypeError("values of modules are not supported")
    raise RdbError(f"an unknown type of value, {kind}, before byte {reader.position}")


def some(reader: RdbReader, least_bytes: int) -> int:
    """A number of elements, which is not 0."""
    count = reader.count(least_bytes)
    if count == 0:
        raise EmptyValueError(f"a collection without elements before byte {reader.position}")
    return count


def unpacked(blob: bytes) -> list[bytes]:
    """The elements of what is to be a listpack."""
    try:
        return unpack(blob)
    except ValueError:
        raise RdbError("a broken listpack") from None


def check_pairs(elements: list[bytes]) -> None:
    """Fields or members, each of them once, and a value for each."""
    if not elements:
        raise EmptyValueError("a collection without elements")
    if len(elements) & 1 or len(set(elements[::2])) != len(elements) // 2:
        raise RdbError("pairs that are none, or two with the same name")


def sound_listpack(blob: bytes) -> bool:
    """Whether it can be taken over without looking at its elements: a listpack with at least one pair."""
    return validate(blob) and len(blob) > EMPTY_LISTPACK_BYTES and not blob[4] & 1


def read_list(reader: RdbReader, commons: Commons, strict: bool) -> List:
    return list_of(commons, [reader.string() for _ in range(some(reader, 1))])


def read_list_ziplist(reader: RdbReader, commons: Commons, strict: bool) -> List:
    return list_of(commons, ziplist_elements(reader.string()))


def read_quicklist(reader: RdbReader, commons: Commons, strict: bool) -> List:
    value = List(commons)
    for _ in range(some(reader, 1)):
        value.push_packed(pack(ziplist_elements(reader.string())))
    return filled(value)


def read_quicklist_2(reader: RdbReader, commons: Commons, strict: bool) -> List:
    value = List(commons)
    for _ in range(some(reader, 2)):
        kind = reader.length()
        blob = reader.string()
        if not blob or kind not in (PLAIN_NODE, PACKED_NODE):
            raise RdbError(f"a broken node of a list before byte {reader.position}")
        if kind == PLAIN_NODE:
            value.push(blob)
        elif strict:
            value.push_packed(pack(unpacked(blob)))
        elif validate(blob):
            value.push_packed(blob)
        else:
            raise RdbError("a broken listpack")
    return filled(value)


def filled(value: List) -> List:
    """The list, which is to have elements: nodes may be empty."""
    if len(value) == 0:
        raise EmptyValueError("a list without elements")
    return value


def list_of(commons: Commons, elements: list[bytes]) -> List:
    value = List(commons)
    for element in elements:
        value.push(element)
    return filled(value)


def read_set(reader: RdbReader, commons: Commons, strict: bool) -> Set:
    return set_of(commons, [reader.string() for _ in range(some(reader, 1))])


def set_of(commons: Commons, members: list[bytes]) -> Set:
    if not members:
        raise EmptyValueError("a set without elements")
    value = Set(commons)
    for member in members:
        if not value.add(member):
            raise RdbError("a set that has a member twice")
    return value


def read_set_intset(reader: RdbReader, commons: Commons, strict: bool) -> Set:
    blob = reader.string()
    if not is_intset(blob, strict):
        raise RdbError(f"a broken intset before byte {reader.position}")
    return Set.from_packed(commons, blob)


def read_set_listpack(reader: RdbReader, commons: Commons, strict: bool) -> Set:
    return set_of(commons, unpacked(reader.string()))


def read_hash(reader: RdbReader, commons: Commons, strict: bool) -> Hash:
    value = Hash(commons)
    for _ in range(some(reader, 2)):
        if not value.set(reader.string(), reader.string()):
            raise RdbError("a hash that has a field twice")
    return value


def read_hash_zipmap(reader: RdbReader, commons: Commons, strict: bool) -> Hash:
    return hash_of(commons, zipmap_elements(reader.string()))


def read_hash_ziplist(reader: RdbReader, commons: Commons, strict: bool) -> Hash:
    return hash_of(commons, ziplist_elements(reader.string()))


def read_hash_listpack(reader: RdbReader, commons: Commons, strict: bool) -> Hash:
    blob = reader.string()
    if not strict and sound_listpack(blob):
        return Hash.from_packed(commons, blob)
    return hash_of(commons, unpacked(blob))


def hash_of(commons: Commons, elements: list[bytes]) -> Hash:
    """From fields and values in turns."""
    check_pairs(elements)
    return Hash.from_packed(commons, pack(elements))


def read_sorted_set(reader: RdbReader, commons: Commons, strict: bool) -> SortedSet:
    count = some(reader, 2)
    return sorted_set_of(commons, [(reader.string(), a_number(reader.text_double())) for _ in range(count)])


def read_sorted_set_2(reader: RdbReader, commons: Commons, strict: bool) -> SortedSet:
    count = some(reader, 9)
    return sorted_set_of(commons, [(reader.string(), a_number(reader.binary_double())) for _ in range(count)])


def a_number(score: float) -> float:
    """The score, which may be infinite, but not NaN."""
    if score != score:
        raise RdbError("a sorted set with a score that is no number")
    return score


def sorted_set_of(commons: Commons, pairs: list[tuple[bytes, float]]) -> SortedSet:
    """A big one is never compact on the way: that would lose the sign of -0.0, which only big ones keep, as in Redis."""
    longest = max(len(member) for member, _ in pairs)
    value = SortedSet.from_items(
        commons, pairs, len(pairs) > commons.zset_max_entries or longest > commons.zset_max_value
    )
    if len(value) != len(pairs):
        raise RdbError("a sorted set that has a member twice")
    return value


def read_sorted_set_ziplist(reader: RdbReader, commons: Commons, strict: bool) -> SortedSet:
    return sorted_set_of_elements(commons, ziplist_elements(reader.string()))


def read_sorted_set_listpack(reader: RdbReader, commons: Commons, strict: bool) -> SortedSet:
    blob = reader.string()
    if not strict and sound_listpack(blob):
        return SortedSet.from_packed(commons, blob)
    return sorted_set_of_elements(commons, unpacked(blob))


def sorted_set_of_elements(commons: Commons, elements: list[bytes]) -> SortedSet:
    """From members and scores in turns."""
    check_pairs(elements)
    if any(parse_float(text) is None for text in elements[1::2]):
        raise RdbError("a sorted set with a score that is no number")
    return SortedSet.from_packed(commons, pack(elements))


READERS: dict[int, Reader] = {
    LIST: read_list,
    LIST_ZIPLIST: read_list_ziplist,
    LIST_QUICKLIST: read_quicklist,
    LIST_QUICKLIST_2: read_quicklist_2,
    SET: read_set,
    SET_INTSET: read_set_intset,
    SET_LISTPACK: read_set_listpack,
    ZSET: read_sorted_set,
    ZSET_2: read_sorted_set_2,
    ZSET_ZIPLIST: read_sorted_set_ziplist,
    ZSET_LISTPACK: read_sorted_set_listpack,
    HASH: read_hash,
    HASH_ZIPMAP: read_hash_zipmap,
    HASH_ZIPLIST: read_hash_ziplist,
    HASH_LISTPACK: read_hash_listpack,
}
