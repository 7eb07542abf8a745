"""C side of small sorted sets; the rules stand in ``sorted_listpack.pyx``."""
from libc.stdint cimport int64_t, uint32_t

from kvorum.keyspace.types.listpack cimport Element, lp_before, lp_get, lp_skip
from kvorum.keyspace.types.score_tree cimport Bound
from kvorum.keyspace.types.sorted_set_ranges cimport Range, Section
from kvorum.resp.writer cimport Writer


cdef inline double packed_score(const unsigned char* p) noexcept nogil:
    """The score that the element at p is."""
    cdef Element element
    lp_get(p, &element)
    return <double>element.number if element.data == NULL else element_score(&element)


cdef inline unsigned char* next_item(const unsigned char* p) noexcept nogil:
    return lp_skip(lp_skip(p))


cdef inline unsigned char* item_before(const unsigned char* p) noexcept nogil:
    return lp_before(lp_before(p))


cdef inline Bound bound_before(const char* member, size_t size, double score) noexcept nogil:
    """The place just before an item."""
    cdef Bound bound
    bound.score = score
    bound.data = member
    bound.size = size
    bound.by_score = True
    bound.after = False
    return bound


cdef double element_score(Element* element) noexcept nogil
cdef unsigned char* packed_place(const unsigned char* lp, Bound* bound) noexcept nogil
cdef unsigned char* packed_insert(unsigned char* lp, unsigned char* p, Bound* item) noexcept nogil
cdef unsigned char* packed_move(unsigned char* lp, unsigned char* p, Bound* item) noexcept nogil
cdef long long packed_rank(const unsigned char* lp, const unsigned char* p) noexcept nogil
cdef Section packed_section(const unsigned char* lp, Range* ends, bint reverse) noexcept nogil
cdef int packed_write(
    Writer writer, unsigned char* lp, Section section, bint reverse, bint scores, bint paired
) except -1
cdef bint is_regular(const unsigned char* lp, Py_ssize_t max_items, Py_ssize_t max_size) noexcept nogil
