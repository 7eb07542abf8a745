# cython: wraparound=False, cdivision=True
"""Sets: see ``set.py`` for what they can do; here is how they are kept.

A set is this object of 48 bytes and one block: an intset, a listpack of strings, or a table of members. The address of
the block and the form share a word, for which the blocks' alignment leaves room: with it, 100,000 small sets cost a tenth
less.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from kvorum.keyspace.entry cimport Entry, chunk_bytes, key_of
from kvorum.keyspace.members cimport (
    add_member,
    begin_chain,
    begin_walk,
    clear_members,
    copy_members,
    find_hashed,
    free_members,
    member_hash,
    next_in_chain,
    random_member,
    remove_member,
)
from kvorum.keyspace.types.intset cimport (
    INTSET_LIMIT,
    intset_add,
    intset_bytes,
    intset_cost,
    intset_count,
    intset_find,
    intset_free,
    intset_from,
    intset_number,
    intset_remove,
    intset_width,
)
from kvorum.keyspace.types.listpack cimport (
    Element,
    element_bytes,
    element_text,
    lp_allocated,
    lp_append,
    lp_append_integer,
    lp_begin,
    lp_copy,
    lp_count,
    lp_delete,
    lp_find,
    lp_fits,
    lp_free,
    lp_get,
    lp_new,
    lp_seek,
    write_element,
    write_elements,
)
from kvorum.resp.numbers cimport INTEGER_CHARACTERS, parse_integer_text, write_integer

cdef enum:
    SAMPLE_SHARE = 3            # a sample of more than a third is chosen by going through the set
    SCAN_STEPS = 10             # chains per member that a scan was asked for, at most
    PAGE = 1000                 # members per step of iteration


cdef inline unsigned char* bytes_of(Set self) noexcept:
    """The intset or listpack."""
    return <unsigned char*>(self.block & ~<size_t>FORM_BITS)


cdef inline Table* table_of(Set self) noexcept:
    return <Table*>(self.block & ~<size_t>FORM_BITS)


cdef inline bint is_number(Probe* probe) noexcept nogil:
    if probe.numeric == UNKNOWN:
        probe.numeric = probe.size <= INTEGER_CHARACTERS and parse_integer_text(
            probe.data, <Py_ssize_t>probe.size, <long long*>&probe.number
        )
    return probe.numeric


cdef inline void write_text(Probe* probe) noexcept nogil:
    """Into the probe itself, which must stay where it is."""
    if probe.data == NULL:
        probe.size = write_integer(probe.text, probe.number)
        probe.data = probe.text


cdef inline uint64_t hash_of(Probe* probe, Commons commons) noexcept:
    if not probe.hashed:
        probe.hash = member_hash(&commons.heap, probe.data, probe.size)
        probe.hashed = True
    return probe.hash


cdef inline void element_of(Element* element, Form form, Handle handle) noexcept nogil:
    if form == INTEGERS:
        element.data = NULL
        element.number = <int64_t>handle
    elif form == TABLE:
        element.data = <const unsigned char*>key_of(<Entry*>handle)
        element.size = (<Entry*>handle).key_size
    else:
        lp_get(<unsigned char*>handle, element)


cdef int write_handles(Writer reply, Form form, Handle* handles, Py_ssize_t count) except -1:
    cdef Element element
    cdef Py_ssize_t i
    for i in range(count):
        element_of(&element, form, handles[i])
        write_element(reply, &element)
    return 0


cdef Handle* new_handles(Py_ssize_t count) except NULL:
    cdef Handle* handles = <Handle*>malloc((<size_t>count + 1) * sizeof(Handle))
    if handles == NULL:
        raise MemoryError
    return handles


@cython.final
@cython.no_gc
cdef class Set(Value):
    kind = b"set"

    def __cinit__(self, Commons commons not None):
        self.commons = commons

    def __init__(self, commons):
        pass

    def __dealloc__(self):
        self.free_block()

    # How it is kept

    cdef void replace_block(self, void* block, Form form) noexcept:
        self.free_block()
        self.block = <size_t>block | form

    cdef void free_block(self) noexcept:
        cdef Table* table
        if form_of(self) == INTEGERS:
            intset_free(&self.commons.heap, bytes_of(self))
        elif form_of(self) == COMPACT:
            lp_free(bytes_of(self))
        else:
            table = table_of(self)
            while free_members(&self.commons.heap, &table.members, &table.released, <uint64_t>1 << 63):
                pass
            free(table)
        self.block = 0

    cdef int make_strings(self, size_t size) except -1:
        """Let it be able to hold a string of this size besides what it holds. It must be an intset."""
        cdef Walk walk
        cdef Handle handle
        cdef unsigned char* listpack
        cdef unsigned char* grown
        cdef size_t longest = self.commons.set_max_listpack_value
        if (
            self.size() >= self.commons.set_max_listpack_entries
            or size > longest
            or (self.block and longest < INTEGER_CHARACTERS)
        ):
            return self.make_table()
        listpack = lp_new(0)
        if listpack == NULL:
            raise MemoryError
        self.begin(&walk)
        while next_handle(&walk, &handle):
            grown = lp_append_integer(listpack, <int64_t>handle)
            if grown == NULL:
                lp_free(listpack)
                raise MemoryError
            listpack = grown
        self.replace_block(listpack, COMPACT)
        return 0

    cdef int make_table(self) except -1:
        cdef Table* table = <Table*>calloc(1, sizeof(Table))
        cdef Walk walk
        cdef Handle handle
        cdef Element element
        cdef Entry* entry
        cdef char[NUMBER_TEXT] room
        cdef const char* text
        cdef uint32_t size
        if table == NULL:
            raise MemoryError
        self.begin(&walk)
        while next_handle(&walk, &handle):
            element_of(&element, walk.form, handle)
            size = element_text(&element, room, &text)
            if add_member(&self.commons.heap, &table.members, text, size, NULL, 0, &entry) < 0:
                clear_members(&self.commons.heap, &table.members)
                free(table)
                raise MemoryError
        self.replace_block(table, TABLE)
        return 0

    cpdef long long used_bytes(self) except -1:
        if form_of(self) == INTEGERS:
            return OBJECT_BYTES + intset_cost(bytes_of(self))
        if form_of(self) == COMPACT:
            return OBJECT_BYTES + lp_allocated(bytes_of(self))
        return OBJECT_BYTES + chunk_bytes(table_of(self)) + table_of(self).members.bytes

    cpdef bytes encoding(self):
        return b"intset" if form_of(self) == INTEGERS else b"hashtable"

    cpdef Py_ssize_t elements(self) except -1:
        return max(1, self.size()) if form_of(self) == TABLE else 1

    cpdef Py_ssize_t size(self) noexcept:
        if form_of(self) == INTEGERS:
            return intset_count(bytes_of(self))
        if form_of(self) == COMPACT:
            return lp_count(bytes_of(self))
        return table_of(self).members.slot.count

    def __len__(self):
        return self.size()

    def copy(self):
        cdef Set copied = Set(self.commons)
        cdef unsigned char* block
        cdef Table* table
        if self.block == 0:
            return copied
        if form_of(self) == TABLE:
            table = <Table*>calloc(1, sizeof(Table))
            if table == NULL:
                raise MemoryError
            if copy_members(&self.commons.heap, &table_of(self).members, &table.members) < 0:
                free(table)
                raise MemoryError
            copied.block = <size_t>table | TABLE
            return copied
        if form_of(self) == COMPACT:
            block = lp_copy(bytes_of(self))
        else:
            block = intset_from(&self.commons.heap, <const char*>bytes_of(self), intset_bytes(bytes_of(self)))
        if block == NULL:
            raise MemoryError
        copied.block = <size_t>block | form_of(self)
        return copied

    def release_some(self, Py_ssize_t budget):
        cdef Table* table
        if form_of(self) != TABLE:
            return 0
        table = table_of(self)
        return free_members(&self.commons.heap, &table.members, &table.released, max(1, budget))

    def add_to_digest(self, digest):
        for member in self:
            digest.add(member)

    def packed(self):
        if form_of(self) != INTEGERS or self.block == 0:
            return None
        return PyBytes_FromStringAndSize(<const char*>bytes_of(self), <Py_ssize_t>intset_bytes(bytes_of(self)))

    @staticmethod
    def from_packed(Commons commons not None, bytes blob not None):
        cdef Set made = Set(commons)
        cdef unsigned char* block = intset_from(&commons.heap, PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob))
        if block == NULL:
            raise MemoryError
        made.block = <size_t>block | INTEGERS
        if made.size() > commons.set_max_intset_entries:
            made.make_table()
        return made

    # One member

    cdef bint insert_probe(self, Probe* probe) except -1:
        cdef bint changed
        cdef unsigned char* block = bytes_of(self)
        cdef Entry* entry
        cdef int outcome
        if form_of(self) == INTEGERS:
            if is_number(probe):
                if self.size() < min(max(1, self.commons.set_max_intset_entries), INTSET_LIMIT) or self.holds_probe(probe):
                    block = intset_add(&self.commons.heap, block, probe.number, &changed)
                    if block == NULL:
                        raise MemoryError
                    self.block = <size_t>block | INTEGERS
                    if changed and self.commons.set_max_intset_entries < 1:
                        self.make_strings(0)
                    return changed
                write_text(probe)
            self.make_strings(probe.size)
            block = bytes_of(self)
        if form_of(self) == COMPACT:
            if self.holds_probe(probe):
                return False
            write_text(probe)
            if (
                probe.size <= <size_t>self.commons.set_max_listpack_value
                and self.size() < self.commons.set_max_listpack_entries
                and lp_fits(block, probe.size)
            ):
                block = lp_append(block, probe.data, probe.size)
                if block == NULL:
                    raise MemoryError
                self.block = <size_t>block | COMPACT
                return True
            self.make_table()
        write_text(probe)
        outcome = add_member(
            &self.commons.heap, &table_of(self).members, probe.data, probe.size, NULL, 0, &entry
        )
        if outcome < 0:
            raise MemoryError
        return outcome

    cdef bint discard_probe(self, Probe* probe) except -1:
        cdef bint changed
        cdef unsigned char* block = bytes_of(self)
        cdef unsigned char* place
        if form_of(self) == TABLE:
            write_text(probe)
            return remove_member(&self.commons.heap, &table_of(self).members, probe.data, probe.size)
        if form_of(self) == INTEGERS:
            if block == NULL or not is_number(probe):
                return False
            block = intset_remove(&self.commons.heap, block, probe.number, &changed)
            if block == NULL and not changed:
                raise MemoryError
            self.block = <size_t>block | INTEGERS
            return changed
        write_text(probe)
        place = lp_find(block, lp_begin(block), probe.data, probe.size, 0)
        if place == NULL:
            return False
        self.block = <size_t>lp_delete(block, place, NULL) | COMPACT
        return True

    cdef bint holds_probe(self, Probe* probe) noexcept:
        cdef uint32_t index
        if form_of(self) == TABLE:
            write_text(probe)
            return find_hashed(
                &table_of(self).members, hash_of(probe, self.commons), probe.data, probe.size
            ) != NULL
        if form_of(self) == INTEGERS:
            return is_number(probe) and intset_find(bytes_of(self), probe.number, &index)
        write_text(probe)
        return lp_find(bytes_of(self), lp_begin(bytes_of(self)), probe.data, probe.size, 0) != NULL

    cdef bint insert(self, Span member) except -1:
        cdef Probe probe
        aim_at_text(&probe, member.data, member.size)
        return self.insert_probe(&probe)

    cdef bint discard(self, Span member) except -1:
        cdef Probe probe
        aim_at_text(&probe, member.data, member.size)
        return self.discard_probe(&probe)

    cdef bint holds(self, Span member) noexcept:
        cdef Probe probe
        aim_at_text(&probe, member.data, member.size)
        return self.holds_probe(&probe)

    def add(self, bytes member not None):
        cdef Probe probe
        aim_at_text(&probe, PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
        return self.insert_probe(&probe)

    def remove(self, bytes member not None):
        cdef Probe probe
        aim_at_text(&probe, PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
        return self.discard_probe(&probe)

    def __contains__(self, bytes member not None):
        cdef Probe probe
        aim_at_text(&probe, PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
        return self.holds_probe(&probe)

    # Many members

    cdef void begin(self, Walk* walk) noexcept:
        walk.form = form_of(self)
        if walk.form == TABLE:
            begin_walk(&walk.members, &table_of(self).members)
        elif walk.form == COMPACT:
            walk.place = lp_begin(bytes_of(self))
        else:
            walk.index = 0
            walk.count = intset_count(bytes_of(self))
            walk.place = bytes_of(self)
            walk.width = intset_width(walk.place) if walk.count else 0

    cdef int write_all(self, Writer reply) except -1:
        """Without a header."""
        cdef char[NUMBER_TEXT] text
        cdef Walk walk
        cdef Handle handle
        cdef Entry* entry
        if form_of(self) == COMPACT:
            return write_elements(reply, lp_begin(bytes_of(self)), lp_count(bytes_of(self)), 0)
        self.begin(&walk)
        while next_handle(&walk, &handle):
            if walk.form == TABLE:
                entry = <Entry*>handle
                reply.bulk_data(key_of(entry), entry.key_size, NULL)
            else:
                reply.bulk_data(text, write_integer(text, <int64_t>handle), NULL)
        return 0

    cpdef int write_members(self, Writer reply) except -1:
        reply.set(self.size())
        return self.write_all(reply)

    def scan(self, uint64_t cursor, Py_ssize_t count=10):
        cdef MemberWalk walk
        cdef Entry* entry
        cdef Py_ssize_t steps = max(1, count) * SCAN_STEPS if count < PAGE * PAGE else PAGE * PAGE * SCAN_STEPS
        cdef list page = []
        if form_of(self) != TABLE:
            return 0, members_of(self)
        while True:
            cursor = begin_chain(&walk, &table_of(self).members, cursor)
            while True:
                entry = next_in_chain(&walk)
                if entry == NULL:
                    break
                page.append(PyBytes_FromStringAndSize(key_of(entry), entry.key_size))
            steps -= 1
            if cursor == 0 or len(page) >= count or steps <= 0:
                return cursor, page

    def __iter__(self):
        cursor = 0
        while True:
            cursor, page = self.scan(cursor, PAGE)
            yield from page
            if cursor == 0:
                return

    # Chance

    cdef Handle random_handle(self) noexcept:
        """The set must not be empty."""
        cdef unsigned char* block
        if form_of(self) == TABLE:
            return <Handle>random_member(&table_of(self).members, &self.commons.random_state)
        block = bytes_of(self)
        if form_of(self) == COMPACT:
            return <Handle>lp_seek(block, <int64_t>self.commons.random_number(lp_count(block)))
        return <Handle>intset_number(
            block, intset_width(block), <uint32_t>self.commons.random_number(intset_count(block))
        )

    cpdef bytes pop(self):
        cdef bytes member = self.random()
        cdef Probe probe
        aim_at_text(&probe, PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
        self.discard_probe(&probe)
        return member

    def pop_some(self, Py_ssize_t count):
        cdef list popped
        cdef Set kept
        cdef Py_ssize_t left = self.size()
        cdef Py_ssize_t wanted
        cdef Walk walk
        cdef Handle handle
        cdef Element element
        cdef Probe probe
        if (left - count) * POP_SHARE > count:
            popped = self.sample(count)
            for member in popped:
                self.remove(member)
            return popped
        # What stays is the smaller part: it moves to a set of its own.
        kept = Set(self.commons)
        popped = []
        wanted = count
        self.begin(&walk)
        while next_handle(&walk, &handle):
            if <Py_ssize_t>self.commons.random_number(left) < wanted:
                element_of(&element, walk.form, handle)
                popped.append(element_bytes(&element))
                wanted -= 1
            else:
                aim(&probe, walk.form, handle)
                kept.insert_probe(&probe)
            left -= 1
        self.block, kept.block = kept.block, self.block
        return popped

    cpdef int write_random(self, Writer reply) except -1:
        cdef Element element
        element_of(&element, form_of(self), self.random_handle())
        return write_element(reply, &element)

    cpdef bint write_random_members(self, Writer reply, Py_ssize_t count, Py_ssize_t limit_bytes) except -1:
        limit_bytes += reply.pending
        while count > 0 and reply.pending <= limit_bytes:
            self.write_random(reply)
            count -= 1
        return count == 0

    cpdef bytes random(self):
        cdef Element element
        element_of(&element, form_of(self), self.random_handle())
        return element_bytes(&element)

    cdef int choose(self, Handle* chosen, Py_ssize_t count) except -1:
        """That many different members, fewer than there are."""
        if form_of(self) == COMPACT or count * SAMPLE_SHARE > self.size():
            return self.choose_by_walk(chosen, count)
        return self.choose_by_chance(chosen, count)

    cdef int choose_by_walk(self, Handle* chosen, Py_ssize_t count) noexcept:
        """Each member is taken with the probability that those still wanted are of those still to come."""
        cdef Py_ssize_t found = 0, left = self.size()
        cdef Walk walk
        cdef Handle handle
        self.begin(&walk)
        while found < count and next_handle(&walk, &handle):
            if <Py_ssize_t>self.commons.random_number(left) < count - found:
                chosen[found] = handle
                found += 1
            left -= 1
        return 0

    cdef int choose_by_chance(self, Handle* chosen, Py_ssize_t count) except -1:
        """Random ones again and again; those that were had already are told by a hash table of three words each or more."""
        cdef size_t room = 4, place
        cdef Handle* seen
        cdef Handle handle
        cdef Py_ssize_t found = 0
        cdef unsigned char* block = bytes_of(self)
        cdef bint integers = form_of(self) == INTEGERS
        while room < <size_t>count * 3:
            room *= 2
        seen = new_handles(room)
        memset(seen, 0, room * sizeof(Handle))
        while found < count:
            # Of an intset the index and one: a handle must not be 0 here, and a number may be.
            handle = 1 + self.commons.random_number(intset_count(block)) if integers else self.random_handle()
            place = (handle * <uint64_t>0x9E3779B97F4A7C15 >> 20) & (room - 1)
            while seen[place] != 0 and seen[place] != handle:
                place = (place + 1) & (room - 1)
            if seen[place] == handle:
                continue
            seen[place] = handle
            if integers:
                handle = <Handle>intset_number(block, intset_width(block), <uint32_t>(handle - 1))
            chosen[found] = handle
            found += 1
        free(seen)
        return 0

    def sample(self, Py_ssize_t count):
        cdef Handle* chosen
        cdef Element element
        cdef Py_ssize_t i
        cdef list members = []
        if count >= self.size():
            return members_of(self)
        chosen = new_handles(count)
        try:
            self.choose(chosen, count)
            for i in range(count):
                element_of(&element, form_of(self), chosen[i])
                members.append(element_bytes(&element))
        finally:
            free(chosen)
        return members

    cpdef int write_sample(self, Writer reply, Py_ssize_t count) except -1:
        cdef Handle* chosen
        if count >= self.size():
            reply.array(self.size())
            return self.write_all(reply)
        chosen = new_handles(count)
        try:
            self.choose(chosen, count)
            reply.array(count)
            write_handles(reply, form_of(self), chosen, count)
        finally:
            free(chosen)
        return 0


cdef int64_t OBJECT_BYTES = (Set.__basicsize__ + 15) & ~15

cdef enum:
    POP_SHARE = 5               # when less than a fifth as many stay as are popped, those that stay are moved


cdef list members_of(Set one):
    cdef Walk walk
    cdef Handle handle
    cdef Element element
    cdef list members = []
    one.begin(&walk)
    while next_handle(&walk, &handle):
        element_of(&element, walk.form, handle)
        members.append(element_bytes(&element))
    return members
