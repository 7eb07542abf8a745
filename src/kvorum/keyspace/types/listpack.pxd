"""C side of listpacks; ``listpack.py`` documents the format, ``listpack.pyx`` the C functions.

A listpack is an ``unsigned char*`` from malloc. Functions that change one return where it is now; NULL means that there
was no memory (or that it would be longer than ``LP_LIMIT``) and that the old one is unchanged. Pointers into a listpack are
valid until it changes. Nothing here trusts less than a listpack that this module made or ``lp_validate`` accepted.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kvorum.keyspace.entry cimport chunk_bytes
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer

cdef enum:
    LP_HEADER = 6               # total bytes, 32 bits; number of elements, 16 bits, LP_MANY: count them
    LP_END = 0xFF
    LP_MANY = 0xFFFF
    LP_LIMIT = 1 << 30          # bytes in all
    LP_BEFORE = 0
    LP_AFTER = 1


cdef struct Element:
    const unsigned char* data   # NULL: it is an integer
    uint32_t size
    int64_t number              # only of an integer


cdef inline uint32_t lp_bytes(const unsigned char* lp) noexcept nogil:
    """Its length in all."""
    cdef uint32_t size
    memcpy(&size, lp, 4)
    return size


cdef inline int64_t lp_allocated(const unsigned char* lp) noexcept nogil:
    """What it costs in memory."""
    return chunk_bytes(lp)


cdef inline uint32_t lp_trailer_size(uint32_t size) noexcept nogil:
    """The bytes that say the length of an entry backwards; the limits are off by one, as in Redis."""
    if size <= 127:
        return 1
    if size < 16383:
        return 2
    if size < 2097151:
        return 3
    return 4 if size < 268435455 else 5


cdef inline uint32_t lp_get(const unsigned char* p, Element* element) noexcept nogil:
    """Read the element at p; returns the size of its entry: p plus it is the next one, or the end."""
    cdef unsigned int head = p[0]
    cdef int16_t short_number
    cdef int32_t number
    if head < 0x80:
        element.data = NULL
        element.number = head
        return 2
    if head < 0xC0:
        element.data = p + 1
        element.size = head & 0x3F
        return element.size + 2
    if head < 0xE0:
        element.data = NULL
        element.number = ((head & 0x1F) << 8) | p[1]
        if element.number >= 4096:
            element.number -= 8192
        return 3
    if head < 0xF0:
        element.data = p + 2
        element.size = ((head & 0x0F) << 8) | p[1]
        return element.size + 2 + lp_trailer_size(element.size + 2)
    if head == 0xF0:
        element.data = p + 5
        memcpy(&element.size, p + 1, 4)
        return element.size + 5 + lp_trailer_size(element.size + 5)
    element.data = NULL
    if head == 0xF1:
        memcpy(&short_number, p + 1, 2)
        element.number = short_number
        return 4
    if head == 0xF2:
        number = <int32_t>((<uint32_t>p[1] << 8) | (<uint32_t>p[2] << 16) | (<uint32_t>p[3] << 24))
        element.number = number >> 8
        return 5
    if head == 0xF3:
        memcpy(&number, p + 1, 4)
        element.number = number
        return 6
    memcpy(&element.number, p + 1, 8)
    return 10


cdef inline unsigned char* lp_skip(const unsigned char* p) noexcept nogil:
    """The entry after the one at p, or the end."""
    cdef Element element
    cdef unsigned int head = p[0]
    if head < 0x80:
        return <unsigned char*>p + 2
    if head < 0xC0:
        return <unsigned char*>p + (head & 0x3F) + 2
    return <unsigned char*>p + lp_get(p, &element)


cdef inline bint lp_ends(const unsigned char* p) noexcept nogil:
    return p[0] == LP_END


cdef inline unsigned char* lp_begin(const unsigned char* lp) noexcept nogil:
    """The first entry, or the end."""
    return <unsigned char*>lp + LP_HEADER


cdef inline unsigned char* lp_before(const unsigned char* p) noexcept nogil:
    """The entry before p, which may be the end but not the first entry."""
    cdef uint32_t size = 0
    cdef unsigned int shift = 0
    cdef const unsigned char* q = p - 1
    while True:
        size |= <uint32_t>(q[0] & 0x7F) << shift
        if not q[0] & 0x80 or shift == 28:
            return <unsigned char*>q - size
        shift += 7
        q -= 1


# The following four answer NULL where there is no such element.
cdef inline unsigned char* lp_first(const unsigned char* lp) noexcept nogil:
    return NULL if lp[LP_HEADER] == LP_END else <unsigned char*>lp + LP_HEADER


cdef inline unsigned char* lp_last(const unsigned char* lp) noexcept nogil:
    return NULL if lp[LP_HEADER] == LP_END else lp_before(lp + lp_bytes(lp) - 1)


cdef inline unsigned char* lp_next(const unsigned char* lp, const unsigned char* p) noexcept nogil:
    cdef unsigned char* following = lp_skip(p)
    return NULL if following[0] == LP_END else following


cdef inline unsigned char* lp_prev(const unsigned char* lp, const unsigned char* p) noexcept nogil:
    return NULL if p == lp + LP_HEADER else lp_before(p)


# Making and looking.
cdef unsigned char* lp_new(size_t capacity) noexcept nogil      # capacity in bytes; 0: room will be made when it is needed
cdef void lp_free(unsigned char* lp) noexcept nogil             # NULL is allowed
cdef unsigned char* lp_copy(const unsigned char* lp) noexcept nogil
cdef unsigned char* lp_from(const char* data, size_t size) noexcept nogil       # of a validated blob
cdef uint32_t lp_count(const unsigned char* lp) noexcept nogil
cdef unsigned char* lp_seek(const unsigned char* lp, int64_t index) noexcept nogil  # negative: from the end; NULL: none
cdef bint lp_equals(const unsigned char* p, const char* data, size_t size) noexcept nogil
# From p on, which may be the end, skip so many elements after each one that is not it; NULL: not found.
cdef unsigned char* lp_find(const unsigned char* lp, unsigned char* p, const char* data, size_t size, int skip) noexcept nogil
cdef bint lp_validate(const char* data, size_t size, bint deep) noexcept nogil
cdef bint lp_fits(const unsigned char* lp, size_t more) noexcept nogil  # so many more bytes of data are allowed

# Changing. The text of an integer is kept as the integer, as in Redis.
cdef unsigned char* lp_append(unsigned char* lp, const char* data, size_t size) noexcept nogil
cdef unsigned char* lp_prepend(unsigned char* lp, const char* data, size_t size) noexcept nogil
cdef unsigned char* lp_append_integer(unsigned char* lp, int64_t number) noexcept nogil
cdef unsigned char* lp_prepend_integer(unsigned char* lp, int64_t number) noexcept nogil
cdef unsigned char* lp_append_pair(
    unsigned char* lp, const char* first, size_t first_size, const char* second, size_t second_size
) noexcept nogil
cdef unsigned char* lp_insert_pair(
    unsigned char* lp, const char* first, size_t first_size, const char* second, size_t second_size, unsigned char* p
) noexcept nogil
# newp (may be NULL) gets where the new element is; p may be the end with LP_BEFORE.
cdef unsigned char* lp_insert(
    unsigned char* lp, const char* data, size_t size, unsigned char* p, int where, unsigned char** newp
) noexcept nogil
cdef unsigned char* lp_insert_integer(
    unsigned char* lp, int64_t number, unsigned char* p, int where, unsigned char** newp
) noexcept nogil
# p[0] is the element; afterwards where the new one is.
cdef unsigned char* lp_replace(unsigned char* lp, unsigned char** p, const char* data, size_t size) noexcept nogil
cdef unsigned char* lp_replace_integer(unsigned char* lp, unsigned char** p, int64_t number) noexcept nogil
# Deleting always succeeds. following (may be NULL) gets the element that came after, NULL: there is none.
cdef unsigned char* lp_delete(unsigned char* lp, unsigned char* p, unsigned char** following) noexcept nogil
cdef unsigned char* lp_delete_some(
    unsigned char* lp, unsigned char* p, uint32_t count, unsigned char** following
) noexcept nogil
cdef unsigned char* lp_delete_range(unsigned char* lp, int64_t index, uint32_t count) noexcept nogil
cdef unsigned char* lp_merge(unsigned char* lp, const unsigned char* other) noexcept nogil     # append all elements of other

# Elements.
cdef void element_of(const char* data, size_t size, Element* element) noexcept nogil   # an integer if its text is one
cdef uint32_t element_text(Element* element, char* room, const char** text) noexcept nogil  # room: 24 bytes, used by integers
cdef bytes element_bytes(Element* element)
cdef int write_element(Writer writer, Element* element) except -1
# Write so many elements from p on, each as a bulk string; skip so many after each one.
cdef int write_elements(Writer writer, const unsigned char* p, uint32_t count, int skip) except -1
