# cython: wraparound=False, cdivision=True
"""One value of any type: see ``values.py`` for what is read, written and checked.

Here elements go from where they lie in the file straight into the value, and what Redis kept as a block of memory becomes
one listpack, which the value takes over. A collection that will be too big for a compact form gets the other form at once.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport isnan
from libc.stdint cimport uint32_t

from kvorum.journal.rdb import EmptyValueError, RdbError, UnsupportedTypeError

from kvorum.journal.rdb.encoding cimport RdbReader, RdbWriter
from kvorum.journal.rdb.ziplist cimport listpack_of_ziplist
from kvorum.journal.rdb.zipmap cimport listpack_of_zipmap
from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.types.hash cimport Hash
from kvorum.keyspace.types.intset cimport intset_from, intset_validate
from kvorum.keyspace.types.list cimport List
from kvorum.keyspace.types.list_tree cimport Slot
from kvorum.keyspace.types.listpack cimport (
    LP_END,
    Element,
    element_bytes,
    element_text,
    lp_append,
    lp_begin,
    lp_bytes,
    lp_count,
    lp_free,
    lp_from,
    lp_get,
    lp_new,
    lp_skip,
    lp_validate,
)
from kvorum.keyspace.types.set cimport INTEGERS, Set
from kvorum.keyspace.types.sorted_listpack cimport is_regular
from kvorum.keyspace.types.sorted_set cimport SortedSet
from kvorum.resp.numbers cimport parse_double_text
from kvorum.resp.span cimport Span

cdef enum:
    PAIRS_AT_A_TIME = 1000
    LARGEST_LEAF = 65536        # bytes of a listpack that a list takes over whole
    NUMBER_BYTES = 24           # room for the text of an integer


# Writing

cpdef int type_of(object value) except -1:
    if type(value) is bytes:
        return STRING
    if type(value) is List:
        return LIST_QUICKLIST_2
    if type(value) is Hash:
        return HASH_LISTPACK if (<Hash>value).lp != NULL else HASH
    if type(value) is SortedSet:
        return ZSET_LISTPACK if (<SortedSet>value).lp != NULL else ZSET_2
    if type(value) is Set:
        return SET_INTSET if (<Set>value).encoding() == b"intset" else SET
    raise UnsupportedTypeError(f"values of the type {value.kind.decode()} cannot be written yet")


cpdef int write_body(RdbWriter writer, object value) except -1:
    if type(value) is bytes:
        return writer.string(value)
    if type(value) is List:
        nodes = list(value.nodes())
        writer.length(len(nodes))
        for plain, blob in nodes:
            writer.length(PLAIN_NODE if plain else PACKED_NODE)
            writer.string(blob)
        return 0
    packed = value.packed()
    if packed is not None:
        return writer.string(packed)
    writer.length(len(value))
    if type(value) is Hash:
        for field, content in value.items():
            writer.string(field)
            writer.string(content)
    elif type(value) is SortedSet:
        for start in range(0, len(value), PAIRS_AT_A_TIME):
            for member, score in value.pairs(start, PAIRS_AT_A_TIME, reverse=True):
                writer.string(member)
                writer.binary_double(score)
    else:
        for member in value:
            writer.string(member)
    return 0


# Reading

cpdef object read_value(RdbReader reader, int kind, Commons commons, bint strict):
    if kind == STRING:
        return reader.string()
    if kind == HASH_LISTPACK:
        return hash_from(commons, taken_listpack(reader, strict), strict)
    if kind == ZSET_LISTPACK:
        return sorted_set_from(commons, taken_listpack(reader, strict), strict)
    if kind == LIST_QUICKLIST_2:
        return read_quicklist_2(reader, commons, strict)
    if kind == SET_INTSET:
        return read_set_intset(reader, commons, strict)
    if kind == SET_LISTPACK:
        return set_from(commons, taken_listpack(reader, False))
    if kind == LIST:
        return read_list(reader, commons)
    if kind == SET:
        return read_set(reader, commons)
    if kind == HASH:
        return read_hash(reader, commons)
    if kind == ZSET or kind == ZSET_2:
        return read_sorted_set(reader, commons, kind == ZSET_2)
    if kind == HASH_ZIPMAP:
        return hash_from(commons, taken_zipmap(reader), True)
    if kind == HASH_ZIPLIST:
        return hash_from(commons, taken_ziplist(reader), True)
    if kind == ZSET_ZIPLIST:
        return sorted_set_from(commons, taken_ziplist(reader), True)
    if kind == LIST_ZIPLIST:
        return filled(push_listpack(List(commons), taken_ziplist(reader), False))
    if kind == LIST_QUICKLIST:
        return read_quicklist(reader, commons)
    if kind == STREAM or kind == STREAM_2 or kind == STREAM_3:
        raise UnsupportedTypeError("streams are not supported yet")
    if kind == MODULE or kind == MODULE_2:
        raise UnsupportedTypeError("values of modules are not supported")
    raise RdbError(f"an unknown type of value, {kind}, before byte {reader.position}")


cdef Py_ssize_t some(RdbReader reader, Py_ssize_t least_bytes) except -1:
    """A number of elements, which is not 0."""
    cdef Py_ssize_t count = reader.count(least_bytes)
    if count == 0:
        raise EmptyValueError(f"a collection without elements before byte {reader.position}")
    return count


# Blocks of memory: what these return is the caller's

cdef unsigned char* taken_ziplist(RdbReader reader) except NULL:
    cdef Span blob = reader.span()
    return listpack_of_ziplist(<const unsigned char*>blob.data, blob.size)


cdef unsigned char* taken_zipmap(RdbReader reader) except NULL:
    cdef Span blob = reader.span()
    return listpack_of_zipmap(<const unsigned char*>blob.data, blob.size)


cdef unsigned char* taken_listpack(RdbReader reader, bint strict) except NULL:
    """A valid listpack; ``strict``: with each element in its one right form."""
    cdef Span blob = reader.span()
    cdef unsigned char* listpack
    if not lp_validate(blob.data, blob.size, True):
        raise RdbError("a broken listpack")
    listpack = rebuilt(<const unsigned char*>blob.data) if strict else lp_from(blob.data, blob.size)
    if listpack == NULL:
        raise MemoryError
    return listpack


cdef unsigned char* rebuilt(const unsigned char* listpack) noexcept:
    """The same elements in the forms that they would get here; NULL: no memory."""
    cdef unsigned char* made = lp_new(lp_bytes(listpack))
    cdef unsigned char* grown
    cdef const unsigned char* place = lp_begin(listpack)
    cdef char[NUMBER_BYTES] room
    cdef const char* text
    cdef uint32_t size
    cdef Element element
    while made != NULL and place[0] != LP_END:
        place += lp_get(place, &element)
        size = element_text(&element, room, &text)
        grown = lp_append(made, text, size)
        if grown == NULL:
            lp_free(made)
        made = grown
    return made


cdef int check_pairs(unsigned char* listpack, bint strict) except -1:
    """Fields or members and a value for each, at least one; ``strict``: each of them once."""
    cdef set names
    cdef const unsigned char* place = lp_begin(listpack)
    cdef Element element
    cdef uint32_t count = lp_count(listpack)
    if count == 0:
        raise EmptyValueError("a collection without elements")
    if count & 1:
        raise RdbError("pairs that are none, or two with the same name")
    if strict:
        names = set()
        while place[0] != LP_END:
            place = lp_skip(place + lp_get(place, &element))
            names.add(element_bytes(&element))
        if <uint32_t>len(names) != count >> 1:
            raise RdbError("pairs that are none, or two with the same name")
    return 0


# Hashes

cdef Hash hash_from(Commons commons, unsigned char* listpack, bint strict):
    """Of fields and values in turns; the listpack is taken over."""
    cdef Hash value
    try:
        check_pairs(listpack, strict)
        value = Hash(commons)
    except BaseException:
        lp_free(listpack)
        raise
    lp_free(value.lp)
    value.lp = listpack
    if <Py_ssize_t>(lp_count(listpack) >> 1) > commons.hash_max_entries:
        value.convert()
    return value


cdef Hash read_hash(RdbReader reader, Commons commons):
    cdef Py_ssize_t count = some(reader, 2)
    cdef Py_ssize_t i
    cdef Hash value = Hash(commons)
    cdef Span field, content
    if count > commons.hash_max_entries:
        value.convert()
    for i in range(count):
        field = reader.span()
        content = reader.span()
        if not value.write_field(field, content):
            raise RdbError("a hash that has a field twice")
    return value


# Sets

cdef Set read_set(RdbReader reader, Commons commons):
    cdef Py_ssize_t count = some(reader, 1)
    cdef Py_ssize_t i
    cdef Set value = Set(commons)
    if count > commons.set_max_intset_entries and count > commons.set_max_listpack_entries:
        value.make_table()
    for i in range(count):
        if not value.insert(reader.span()):
            raise RdbError("a set that has a member twice")
    return value


cdef Set read_set_intset(RdbReader reader, Commons commons, bint strict):
    cdef Span blob = reader.span()
    cdef Set value
    cdef unsigned char* block
    if not intset_validate(blob.data, blob.size, strict):
        raise RdbError(f"a broken intset before byte {reader.position}")
    value = Set(commons)
    block = intset_from(&commons.heap, blob.data, blob.size)
    if block == NULL:
        raise MemoryError
    value.block = <size_t>block | INTEGERS
    if value.size() > commons.set_max_intset_entries:
        value.make_table()
    return value


cdef Set set_from(Commons commons, unsigned char* listpack):
    """Of members in no order; the listpack is given back."""
    cdef const unsigned char* place = lp_begin(listpack)
    cdef Set value
    cdef char[NUMBER_BYTES] room
    cdef Element element
    cdef Span member
    member.owner = NULL
    try:
        if place[0] == LP_END:
            raise EmptyValueError("a set without elements")
        value = Set(commons)
        while place[0] != LP_END:
            place += lp_get(place, &element)
            member.size = element_text(&element, room, &member.data)
            if not value.insert(member):
                raise RdbError("a set that has a member twice")
    finally:
        lp_free(listpack)
    return value


# Sorted sets

cdef SortedSet sorted_set_from(Commons commons, unsigned char* listpack, bint strict):
    """Of members and scores in turns; the listpack is taken over."""
    cdef SortedSet value
    try:
        check_pairs(listpack, strict)
        if strict:
            check_scores(listpack)
        if not is_regular(listpack, commons.zset_max_entries, commons.zset_max_value):
            return SortedSet.from_packed(commons, PyBytes_FromStringAndSize(<char*>listpack, lp_bytes(listpack)))
        value = SortedSet(commons)
        value.lp, listpack = listpack, value.lp
        return value
    finally:
        lp_free(listpack)


cdef int check_scores(unsigned char* listpack) except -1:
    cdef const unsigned char* place = lp_begin(listpack)
    cdef double score
    cdef Element element
    while place[0] != LP_END:
        place = lp_skip(place)
        place += lp_get(place, &element)
        if element.data != NULL and not parse_double_text(<const char*>element.data, element.size, &score):
            raise RdbError("a sorted set with a score that is no number")
    return 0


cdef double score_from(RdbReader reader, bint binary) except? -1:
    cdef double score = reader.binary_double() if binary else reader.text_double()
    if isnan(score):
        raise RdbError("a sorted set with a score that is no number")
    return score


cdef SortedSet read_sorted_set(RdbReader reader, Commons commons, bint binary):
    cdef Py_ssize_t count = some(reader, 9 if binary else 2)
    cdef Py_ssize_t i
    cdef SortedSet value
    cdef Span member
    if count <= commons.zset_max_entries:
        return read_small_sorted_set(reader, commons, binary, count)
    value = SortedSet(commons)
    value.convert()
    for i in range(count):
        member = reader.span()
        if not value.change(member, score_from(reader, binary), 0).added:
            raise RdbError("a sorted set that has a member twice")
    return value


cdef SortedSet read_small_sorted_set(RdbReader reader, Commons commons, bint binary, Py_ssize_t count):
    """Of few items, but perhaps long ones: it is known after the last one whether it is compact."""
    cdef list items = []
    cdef Py_ssize_t longest = 0
    cdef Py_ssize_t i
    cdef SortedSet value
    cdef bytes member
    for i in range(count):
        member = reader.string()
        longest = max(longest, len(member))
        items.append((member, score_from(reader, binary)))
    value = SortedSet.from_items(commons, items, longest > commons.zset_max_value)
    if value.length() != count:
        raise RdbError("a sorted set that has a member twice")
    return value


# Lists

cdef List read_list(RdbReader reader, Commons commons):
    cdef Py_ssize_t count = some(reader, 1)
    cdef Py_ssize_t i
    cdef List value = List(commons)
    for i in range(count):
        value.push_span(reader.span(), False)
    return value


cdef List read_quicklist(RdbReader reader, Commons commons):
    cdef Py_ssize_t count = some(reader, 1)
    cdef Py_ssize_t i
    cdef List value = List(commons)
    for i in range(count):
        push_listpack(value, taken_ziplist(reader), True)
    return filled(value)


cdef List read_quicklist_2(RdbReader reader, Commons commons, bint strict):
    cdef Py_ssize_t count = some(reader, 2)
    cdef Py_ssize_t i
    cdef unsigned long long kind
    cdef List value = List(commons)
    cdef Span element
    for i in range(count):
        kind = reader.length()
        if kind == PACKED_NODE:
            push_listpack(value, taken_listpack(reader, strict), True)
            continue
        element = reader.span()
        if kind != PLAIN_NODE or element.size == 0:
            raise RdbError(f"a broken node of a list before byte {reader.position}")
        value.push_span(element, False)
    return filled(value)


cdef List push_listpack(List value, unsigned char* listpack, bint whole):
    """Append its elements. It is taken over as a leaf if it may be one, with ``whole``, and else given back."""
    cdef const unsigned char* place = lp_begin(listpack)
    cdef char[NUMBER_BYTES] room
    cdef Slot leaf
    cdef Element element
    cdef Span text
    text.owner = NULL
    leaf.count = lp_count(listpack)
    if whole and leaf.count > 0 and lp_bytes(listpack) <= LARGEST_LEAF:
        leaf.at = <size_t>listpack
        value.append_leaf(leaf)
        return value
    try:
        while place[0] != LP_END:
            place += lp_get(place, &element)
            text.size = element_text(&element, room, &text.data)
            value.push_span(text, False)
    finally:
        lp_free(listpack)
    return value


cdef List filled(List value):
    """The list, which is to have elements: nodes may be empty."""
    if value.length() == 0:
        raise EmptyValueError("a list without elements")
    return value
