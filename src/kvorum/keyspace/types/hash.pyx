# cython: wraparound=False, initializedcheck=False, cdivision=True
"""Hashes: fields with values under one key. ``hash.py`` is the twin and documents what a hash does.

A small hash is one listpack, searched from its begin: for some hundred short elements in one piece of memory that is not
slower than hashing, and it is the reply to HGETALL nearly as it stands. A big one is a table of ``keyspace/members``, whose
entries bear the values.

The object is 64 bytes; listpack and table are exclusive, and there is always one of them. Memory is counted as it was
allocated, in O(1): the table keeps its sum, the listpack is asked.

No memory: the method raises MemoryError and the hash is as it was, if perhaps already a table.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from kvorum import errors
from kvorum.errors import CommandError
from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.entry cimport Entry, chunk_bytes, key_of, value_of
from kvorum.keyspace.members cimport (
    MemberWalk,
    Members,
    begin_chain,
    begin_walk,
    clear_members,
    copy_members,
    find_member,
    free_members,
    member_count,
    next_in_chain,
    next_member,
    put_member,
    random_member,
    remove_member,
)
from kvorum.keyspace.types.listpack cimport (
    LP_END,
    Element,
    element_bytes,
    element_text,
    lp_allocated,
    lp_append_pair,
    lp_begin,
    lp_bytes,
    lp_copy,
    lp_count,
    lp_delete_some,
    lp_find,
    lp_fits,
    lp_free,
    lp_from,
    lp_get,
    lp_new,
    lp_replace,
    lp_seek,
    lp_skip,
    write_element,
    write_elements,
)
from kvorum.keyspace.values cimport Value
from kvorum.resp.numbers cimport parse_integer_text, write_integer
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer

cdef enum:
    NUMBER_BYTES = 24           # room for the text of an integer
    STEP = 64                   # so many fields at a time are shown by an iteration
    VISITS_PER_FIELD = 10       # a scan looks at so many buckets per field that it was asked for
    MANY = 1 << 30              # counts beyond this mean the same

cdef long long OBJECT_BYTES


cdef inline Span span_of(bytes text):
    cdef Span span
    span.data = PyBytes_AS_STRING(text)
    span.size = PyBytes_GET_SIZE(text)
    span.owner = NULL
    return span


cdef inline bytes field_bytes(Entry* entry):
    return PyBytes_FromStringAndSize(key_of(entry), entry.key_size)


cdef inline bytes value_bytes(Entry* entry):
    return PyBytes_FromStringAndSize(value_of(entry), entry.value_size)


cdef tuple pair_at(const unsigned char* p):
    cdef Element field, value
    lp_get(p + lp_get(p, &field), &value)
    return element_bytes(&field), element_bytes(&value)


@cython.final
@cython.no_gc
cdef class Hash(Value):
    kind = b"hash"

    def __cinit__(self, Commons commons not None):
        self.commons = commons
        self.lp = lp_new(0)
        if self.lp == NULL:
            raise MemoryError

    def __init__(self, commons):
        self.accounted_bytes = 0

    def __dealloc__(self):
        lp_free(self.lp)
        if self.table != NULL:
            clear_members(&self.commons.heap, self.table)
            free(self.table)

    def __len__(self):
        return member_count(self.table) if self.lp == NULL else lp_count(self.lp) >> 1

    # ---- As a value of the keyspace

    cpdef long long used_bytes(self) except -1:
        if self.lp != NULL:
            return OBJECT_BYTES + lp_allocated(self.lp)
        return OBJECT_BYTES + chunk_bytes(self.table) + self.table.bytes

    cpdef bytes encoding(self):
        return b"hashtable" if self.lp == NULL else b"listpack"

    cpdef Py_ssize_t elements(self) except -1:
        return member_count(self.table) if self.lp == NULL else 1

    def copy(self):
        cdef Hash copied = Hash(self.commons)
        cdef unsigned char* lp = NULL
        if self.lp != NULL:
            lp = lp_copy(self.lp)
            if lp == NULL:
                raise MemoryError
        else:
            copied.table = new_table()
            if copy_members(&self.commons.heap, self.table, copied.table) < 0:
                raise MemoryError
        lp_free(copied.lp)
        copied.lp = lp
        return copied

    def release_some(self, uint64_t budget):
        if self.lp != NULL:
            return 0
        return free_members(&self.commons.heap, self.table, &self.released, budget)

    def add_to_digest(self, digest):
        for field, value in self.items():
            part = type(digest)()
            part.mix(field)
            part.mix(value)
            digest.add(part.raw)

    # ---- One field

    cdef bint find(self, Span field, Element* value) noexcept:
        """The value shows memory of the hash: valid until its next change."""
        cdef unsigned char* p
        cdef Entry* entry
        if self.lp != NULL:
            p = lp_find(self.lp, lp_begin(self.lp), field.data, field.size, 1)
            if p == NULL:
                return False
            lp_get(lp_skip(p), value)
            return True
        entry = find_member(&self.commons.heap, self.table, field.data, field.size)
        if entry == NULL:
            return False
        value.data = <const unsigned char*>value_of(entry)
        value.size = entry.value_size
        return True

    cdef bint has_field(self, Span field) noexcept:
        cdef Element value
        return self.find(field, &value)

    cdef Py_ssize_t field_size(self, Span field) noexcept:
        cdef Element value
        cdef char room[NUMBER_BYTES]
        cdef const char* text
        if not self.find(field, &value):
            return 0
        return element_text(&value, room, &text)

    cdef int read_field(self, Writer writer, Span field) except -1:
        cdef Element value
        if self.find(field, &value):
            return write_element(writer, &value)
        return writer.null()

    cdef int fit(self, Span text) except -1:
        if self.lp != NULL and text.size > self.commons.hash_max_value:
            self.convert()
        return 0

    cdef int write_field(self, Span field, Span value) except -1:
        cdef unsigned char* lp
        cdef unsigned char* p
        cdef Entry* entry
        cdef int added
        if self.lp != NULL:
            if field.size > self.commons.hash_max_value or value.size > self.commons.hash_max_value:
                self.convert()
            else:
                p = lp_find(self.lp, lp_begin(self.lp), field.data, field.size, 1)
                if <Py_ssize_t>(lp_count(self.lp) >> 1) + (p == NULL) > self.commons.hash_max_entries:
                    self.convert()
                else:
                    if p == NULL:
                        lp = lp_append_pair(self.lp, field.data, field.size, value.data, value.size)
                    else:
                        p = lp_skip(p)
                        lp = lp_replace(self.lp, &p, value.data, value.size)
                    if lp != NULL:
                        self.lp = lp
                        return 1 if p == NULL else 0
                    if lp_fits(self.lp, field.size + value.size):
                        raise MemoryError
                    self.convert()
        added = put_member(
            &self.commons.heap, self.table, field.data, field.size, value.data, value.size, &entry
        )
        if added < 0:
            raise MemoryError
        return added

    cdef bint remove_field(self, Span field) except -1:
        cdef unsigned char* p
        if self.lp == NULL:
            return remove_member(&self.commons.heap, self.table, field.data, field.size)
        p = lp_find(self.lp, lp_begin(self.lp), field.data, field.size, 1)
        if p == NULL:
            return False
        self.lp = lp_delete_some(self.lp, p, 2, NULL)
        return True

    cdef long long increment_field(self, Span field, long long delta) except? -1:
        cdef Element value
        cdef char room[NUMBER_BYTES]
        cdef Span text
        cdef long long number = 0
        if self.find(field, &value):
            if value.data == NULL:
                number = value.number
            elif not parse_integer_text(<const char*>value.data, value.size, &number):
                raise CommandError(errors.HASH_VALUE_NOT_AN_INTEGER)
        if (delta < 0 and number < -9223372036854775807 - 1 - delta) or (delta > 0 and number > 9223372036854775807 - delta):
            raise CommandError(errors.INCREMENT_OVERFLOW)
        number += delta
        text.data = room
        text.size = write_integer(room, number)
        text.owner = NULL
        self.write_field(field, text)
        return number

    # ---- The whole

    cdef int convert(self) except -1:
        """To a table."""
        cdef Members* table = new_table()
        cdef const unsigned char* p = lp_begin(self.lp)
        cdef Element field, value
        cdef char[2][NUMBER_BYTES] rooms
        cdef const char* field_text
        cdef const char* value_text
        cdef uint32_t field_size, value_size
        cdef Entry* entry
        while p[0] != LP_END:
            p += lp_get(p, &field)
            p += lp_get(p, &value)
            field_size = element_text(&field, rooms[0], &field_text)
            value_size = element_text(&value, rooms[1], &value_text)
            if put_member(&self.commons.heap, table, field_text, field_size, value_text, value_size, &entry) < 0:
                clear_members(&self.commons.heap, table)
                free(table)
                raise MemoryError
        lp_free(self.lp)
        self.lp = NULL
        self.table = table
        return 0

    cpdef int write_all(self, Writer writer, bint fields, bint values) except -1:
        cdef unsigned char* p
        if self.lp == NULL:
            return self.write_table(writer, fields, values)
        p = lp_begin(self.lp)
        if fields and values:
            return write_elements(writer, p, lp_count(self.lp), 0)
        if values and p[0] != LP_END:
            p = lp_skip(p)
        return write_elements(writer, p, lp_count(self.lp) >> 1, 1)

    cdef int write_table(self, Writer writer, bint fields, bint values) except -1:
        cdef MemberWalk walk
        cdef Entry* entry
        begin_walk(&walk, self.table)
        while True:
            entry = next_member(&walk)
            if entry == NULL:
                return 0
            if fields:
                writer.bulk_data(key_of(entry), entry.key_size, NULL)
            if values:
                writer.bulk_data(value_of(entry), entry.value_size, NULL)

    def scan(self, uint64_t cursor, long long count=10):
        cdef list found = []
        cdef MemberWalk walk
        cdef Entry* entry
        cdef const unsigned char* p
        cdef long long visits
        if self.lp != NULL:
            p = lp_begin(self.lp)
            while p[0] != LP_END:
                found.append(pair_at(p))
                p = lp_skip(lp_skip(p))
            return 0, found
        count = min(count, MANY)
        for visits in range(count * VISITS_PER_FIELD):
            cursor = begin_chain(&walk, self.table, cursor)
            entry = next_in_chain(&walk)
            while entry != NULL:
                found.append((field_bytes(entry), value_bytes(entry)))
                entry = next_in_chain(&walk)
            if cursor == 0 or len(found) >= count:
                break
        return cursor, found

    def random_item(self):
        cdef Entry* entry
        if len(self) == 0:
            raise KeyError("an empty hash")
        if self.lp != NULL:
            return pair_at(lp_seek(self.lp, self.commons.random_number(lp_count(self.lp) >> 1) * 2))
        entry = random_member(self.table, &self.commons.random_state)
        return field_bytes(entry), value_bytes(entry)

    def sample(self, uint64_t count):
        if count >= <uint64_t>len(self):
            return list(self.items())
        return self.sample_listpack(count) if self.lp != NULL else self.sample_table(count)

    cdef list sample_listpack(self, uint64_t count):
        """Each field in turn, with the chance that fields still wanted have among those still to come."""
        cdef list found = []
        cdef const unsigned char* p = lp_begin(self.lp)
        cdef uint64_t left = lp_count(self.lp) >> 1
        while count > 0:
            if self.commons.random_number(left) < count:
                found.append(pair_at(p))
                count -= 1
            p = lp_skip(lp_skip(p))
            left -= 1
        return found

    cdef list sample_table(self, uint64_t count):
        """The first steps of a shuffle of all entries."""
        cdef list found = []
        cdef MemberWalk walk
        cdef Entry* entry
        cdef uint64_t size = member_count(self.table)
        cdef uint64_t filled = 0
        cdef uint64_t i, other
        cdef Entry** entries
        if count * 3 < size:
            return self.draw(count)
        entries = <Entry**>malloc(size * sizeof(Entry*))
        if entries == NULL:
            raise MemoryError
        try:
            begin_walk(&walk, self.table)
            entry = next_member(&walk)
            while entry != NULL and filled < size:
                entries[filled] = entry
                filled += 1
                entry = next_member(&walk)
            for i in range(count):
                other = i + self.commons.random_number(size - i)
                entry = entries[other]
                entries[other] = entries[i]
                found.append((field_bytes(entry), value_bytes(entry)))
        finally:
            free(entries)
        return found

    cdef list draw(self, uint64_t count):
        """Random fields until so many different ones are there: no more than a third of all."""
        cdef list found = []
        cdef set drawn = set()
        cdef Entry* entry
        while <uint64_t>len(drawn) < count:
            entry = random_member(self.table, &self.commons.random_state)
            if <size_t>entry not in drawn:
                drawn.add(<size_t>entry)
                found.append((field_bytes(entry), value_bytes(entry)))
        return found

    # ---- For Python

    def get(self, bytes field not None):
        cdef Element value
        return element_bytes(&value) if self.find(span_of(field), &value) else None

    def set(self, bytes field not None, bytes value not None):
        return self.write_field(span_of(field), span_of(value)) == 1

    def delete(self, bytes field not None):
        return self.remove_field(span_of(field))

    def exists(self, bytes field not None):
        return self.has_field(span_of(field))

    def increment(self, bytes field not None, long long delta):
        return self.increment_field(span_of(field), delta)

    def items(self):
        cdef uint64_t cursor = 0
        while True:
            cursor, found = self.scan(cursor, STEP)
            yield from found
            if cursor == 0:
                return

    def packed(self):
        return PyBytes_FromStringAndSize(<char*>self.lp, lp_bytes(self.lp)) if self.lp != NULL else None

    @classmethod
    def from_packed(cls, commons, bytes blob not None):
        cdef Hash made = Hash(commons)
        cdef unsigned char* lp = lp_from(PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob))
        if lp == NULL:
            raise MemoryError
        if lp_count(lp) & 1:
            lp_free(lp)
            raise ValueError("a field without a value")
        lp_free(made.lp)
        made.lp = lp
        if <Py_ssize_t>(lp_count(lp) >> 1) > made.commons.hash_max_entries:
            made.convert()
        return made


cdef Members* new_table() except NULL:
    cdef Members* table = <Members*>calloc(1, sizeof(Members))
    if table == NULL:
        raise MemoryError
    return table


# The allocator of objects gives multiples of 16 bytes.
OBJECT_BYTES = (Hash.__basicsize__ + 15) & ~15
