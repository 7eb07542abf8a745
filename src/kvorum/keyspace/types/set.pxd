"""C side of sets; ``set.py`` documents the Python side, ``set.pyx`` the three forms."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

cimport cython
from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.entry cimport Entry, key_of
from kvorum.keyspace.members cimport Members, MemberWalk, next_member
from kvorum.keyspace.types.intset cimport intset_number
from kvorum.keyspace.types.listpack cimport LP_END, Element, lp_get, lp_skip
from kvorum.keyspace.values cimport Value
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer

cdef enum Form:                 # the low bits of Set.block
    INTEGERS = 0                # an intset; NULL: the empty set
    COMPACT = 1                 # a listpack
    TABLE = 2                   # a Table

cdef enum:
    FORM_BITS = 3
    UNKNOWN = -1
    NUMBER_TEXT = 24


cdef struct Table:
    Members members
    uint64_t released           # where release_some goes on


# A member as a walk shows it is one word: in an intset the number, in a listpack and a table the address of the entry.
ctypedef uint64_t Handle


cdef struct Walk:               # through a set that does not change meanwhile
    Form form
    uint32_t width              # of an intset's numbers
    uint32_t index
    uint32_t count
    const unsigned char* place  # the intset, or the next entry of the listpack
    MemberWalk members


cdef struct Probe:              # a member that is looked for, with what is known of it so far
    const char* data            # NULL: its text was not needed yet
    size_t size
    int64_t number
    int numeric                 # whether its text is an integer's; -1: not known yet
    bint hashed
    uint64_t hash
    char[NUMBER_TEXT] text


@cython.final
@cython.no_gc
cdef class Set(Value):
    cdef Commons commons
    cdef size_t block           # address and form

    # These take memory of any sort that stays as it is meanwhile.
    cdef bint insert(self, Span member) except -1       # whether it is new
    cdef bint discard(self, Span member) except -1      # whether it was there
    cdef bint holds(self, Span member) noexcept
    cpdef Py_ssize_t size(self) noexcept
    cpdef int write_members(self, Writer reply) except -1           # header and all
    cpdef int write_random(self, Writer reply) except -1            # one
    cpdef bint write_random_members(self, Writer reply, Py_ssize_t count, Py_ssize_t limit_bytes) except -1
    cpdef int write_sample(self, Writer reply, Py_ssize_t count) except -1
    cpdef bytes random(self)
    cpdef bytes pop(self)

    # From here on private.
    cdef bint insert_probe(self, Probe* probe) except -1
    cdef bint discard_probe(self, Probe* probe) except -1
    cdef bint holds_probe(self, Probe* probe) noexcept
    cdef void replace_block(self, void* block, Form form) noexcept
    cdef void free_block(self) noexcept
    cdef int make_strings(self, size_t size) except -1
    cdef int make_table(self) except -1
    cdef void begin(self, Walk* walk) noexcept
    cdef Handle random_handle(self) noexcept
    cdef int choose(self, Handle* chosen, Py_ssize_t count) except -1
    cdef int choose_by_walk(self, Handle* chosen, Py_ssize_t count) noexcept
    cdef int choose_by_chance(self, Handle* chosen, Py_ssize_t count) except -1
    cdef int write_all(self, Writer reply) except -1


cdef inline Form form_of(Set self) noexcept:
    return <Form>(self.block & FORM_BITS)


cdef inline void aim_at_text(Probe* probe, const char* data, size_t size) noexcept nogil:
    probe.data = data
    probe.size = size
    probe.numeric = UNKNOWN
    probe.hashed = False


cdef inline void aim_at_number(Probe* probe, int64_t number) noexcept nogil:
    probe.data = NULL
    probe.number = number
    probe.numeric = True
    probe.hashed = False


cdef inline void aim(Probe* probe, Form form, Handle handle) noexcept nogil:
    cdef Element element
    if form == INTEGERS:
        aim_at_number(probe, <int64_t>handle)
    elif form == TABLE:
        aim_at_text(probe, key_of(<Entry*>handle), (<Entry*>handle).key_size)
    else:
        lp_get(<unsigned char*>handle, &element)
        if element.data == NULL:
            aim_at_number(probe, element.number)
        else:
            aim_at_text(probe, <const char*>element.data, element.size)
            probe.numeric = False       # otherwise the listpack would hold it as an integer


cdef inline bint next_handle(Walk* walk, Handle* handle) noexcept nogil:
    """Whether there is another member."""
    if walk.form == TABLE:
        handle[0] = <Handle>next_member(&walk.members)
        return handle[0] != 0
    if walk.form == INTEGERS:
        if walk.index == walk.count:
            return False
        handle[0] = <Handle>intset_number(walk.place, walk.width, walk.index)
        walk.index += 1
        return True
    if walk.place[0] == LP_END:
        return False
    handle[0] = <Handle>walk.place
    walk.place = lp_skip(walk.place)
    return True


cdef int write_handles(Writer reply, Form form, Handle* handles, Py_ssize_t count) except -1
cdef Handle* new_handles(Py_ssize_t count) except NULL
