# cython: wraparound=False, cdivision=True
"""Small sorted sets: one listpack with member, score, member, score, …, in order, as in Redis. C only.

A score is an integer if it is a whole number of up to 62 bits, else the text that replies show; -0 becomes 0. So a reply in
RESP2 copies most scores as they stand. An item is told by where its member stands; pointers are valid until the listpack changes.

Places are found from the begin, since what stands behind a listpack's head has no fixed size; only whether an item belongs to the
very end, as rising scores do, is asked first.
"""
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcmp

from kvorum.keyspace.types.listpack cimport (
    Element,
    element_text,
    lp_begin,
    lp_bytes,
    lp_count,
    lp_delete_some,
    lp_ends,
    lp_get,
    lp_insert_pair,
    lp_replace,
    lp_seek,
    lp_skip,
    write_element,
    write_elements,
)
from kvorum.keyspace.types.score_tree cimport Bound, compare_bytes
from kvorum.keyspace.types.sorted_set_ranges cimport Range, Section
from kvorum.resp.numbers cimport DOUBLE_CHARACTERS, parse_double_text, write_double, write_integer
from kvorum.resp.writer cimport Writer

cdef enum:
    NUMBER_BYTES = 24           # room for the text of an integer

cdef int64_t SHOWN_WHOLE = 1000000000000000             # whole numbers below this are shown as integers
cdef double PACKED_WHOLE = 4611686018427387904.0        # and up to this are kept as integers


cdef double element_score(Element* element) noexcept nogil:
    """0 if it is no number, as in Redis."""
    cdef double score
    if element.data == NULL:
        return <double>element.number
    return score if parse_double_text(<const char*>element.data, element.size, &score) else 0


cdef int score_text(char* out, double score) noexcept nogil:
    """As a listpack keeps it, at most DOUBLE_CHARACTERS; returns the length."""
    if -PACKED_WHOLE <= score <= PACKED_WHOLE and score == <double><int64_t>score:
        return write_integer(out, <int64_t>score)
    return write_double(out, score)


# Places

cdef bint member_is_before(const unsigned char* p, Bound* bound) noexcept nogil:
    """Whether an item stands before a place, if their scores do not tell."""
    cdef char room[NUMBER_BYTES]
    cdef const char* text
    cdef Element element
    cdef uint32_t size
    cdef int order
    if bound.data == NULL:
        return bound.after
    lp_get(p, &element)
    size = element_text(&element, room, &text)
    order = compare_bytes(text, size, bound.data, bound.size)
    return order < 0 or (order == 0 and bound.after)


cdef inline bint packed_is_before(const unsigned char* p, Bound* bound) noexcept nogil:
    """Whether an item stands before a place."""
    cdef double score
    if bound.by_score:
        score = packed_score(lp_skip(p))
        if score != bound.score:
            return score < bound.score
    return member_is_before(p, bound)


cdef unsigned char* pass_items(unsigned char* p, Bound* bound, long long* passed) noexcept nogil:
    """From p, which may be the end, over the items that stand before a place."""
    cdef unsigned char* value
    cdef uint32_t size
    cdef Element element
    cdef double score
    while not lp_ends(p):
        value = lp_skip(p)
        size = lp_get(value, &element)
        if bound.by_score:
            score = <double>element.number if element.data == NULL else element_score(&element)
            if score > bound.score or (score == bound.score and not member_is_before(p, bound)):
                return p
        elif not member_is_before(p, bound):
            return p
        p = value + size
        passed[0] += 1
    return p


cdef unsigned char* packed_place(const unsigned char* lp, Bound* bound) noexcept nogil:
    """Before which item, or the end, a place is."""
    cdef unsigned char* end = <unsigned char*>lp + lp_bytes(lp) - 1
    cdef long long passed = 0
    if end == lp_begin(lp) or packed_is_before(item_before(end), bound):
        return end
    return pass_items(lp_begin(lp), bound, &passed)


cdef long long packed_rank(const unsigned char* lp, const unsigned char* p) noexcept nogil:
    cdef const unsigned char* q = lp_begin(lp)
    cdef long long rank = 0
    while q < p:
        q = next_item(q)
        rank += 1
    return rank


cdef Section packed_section(const unsigned char* lp, Range* ends, bint reverse) noexcept nogil:
    """Ranges by member over different scores mean nothing, but come out as in Redis."""
    cdef Section section
    cdef unsigned char* p = lp_begin(lp)
    cdef unsigned char* end = <unsigned char*>lp + lp_bytes(lp) - 1
    section.first = section.length = 0
    if p == end:
        return section
    if not ends.low.by_score:
        if packed_is_before(item_before(end), &ends.low) or not packed_is_before(p, &ends.high):
            return section
        if reverse:
            return section_from_end(lp, ends)
    p = pass_items(p, &ends.low, &section.first)
    pass_items(p, &ends.high, &section.length)
    return section


cdef Section section_from_end(const unsigned char* lp, Range* ends) noexcept nogil:
    cdef Section section
    cdef unsigned char* begin = lp_begin(lp)
    cdef unsigned char* p = <unsigned char*>lp + lp_bytes(lp) - 1
    section.first = lp_count(lp) >> 1
    section.length = 0
    while p != begin and not packed_is_before(item_before(p), &ends.high):
        p = item_before(p)
        section.first -= 1
    while p != begin and not packed_is_before(item_before(p), &ends.low):
        p = item_before(p)
        section.first -= 1
        section.length += 1
    return section


# Changing

cdef unsigned char* packed_insert(unsigned char* lp, unsigned char* p, Bound* item) noexcept nogil:
    """Insert an item before p, which may be the end; NULL: no memory, the old listpack is as it was."""
    cdef char text[DOUBLE_CHARACTERS]
    return lp_insert_pair(lp, item.data, item.size, text, score_text(text, item.score), p)


cdef unsigned char* packed_move(unsigned char* lp, unsigned char* p, Bound* item) noexcept nogil:
    """Give the item at p, whose member ``item`` has, another score; NULL: no memory, the old listpack is as it was."""
    cdef char text[DOUBLE_CHARACTERS]
    cdef unsigned char* value = lp_skip(p)
    cdef unsigned char* following = lp_skip(value)
    cdef unsigned char* place
    cdef size_t offset = p - lp
    if (p == lp_begin(lp) or packed_is_before(item_before(p), item)) and (
        lp_ends(following) or not packed_is_before(following, item)
    ):
        return lp_replace(lp, &value, text, score_text(text, item.score))
    # The new item comes first, since that may fail.
    place = packed_place(lp, item)
    if place <= p:
        offset -= lp_bytes(lp)
        lp = packed_insert(lp, place, item)
        if lp == NULL:
            return NULL
        offset += lp_bytes(lp)
    else:
        lp = packed_insert(lp, place, item)
        if lp == NULL:
            return NULL
    return lp_delete_some(lp, lp + offset, 2, NULL)


# Showing

cdef int packed_write(
    Writer writer, unsigned char* lp, Section section, bint reverse, bint scores, bint paired
) except -1:
    """Write the items of a section, which must not be empty."""
    cdef unsigned char* p = lp_seek(lp, 2 * (section.first + section.length - 1 if reverse else section.first))
    cdef Element member, score
    cdef uint32_t size
    cdef long long i
    if not scores and not reverse:
        return write_elements(writer, p, <uint32_t>section.length, 1)
    for i in range(section.length):
        size = lp_get(p, &member)
        if paired:
            writer.array(2)
        write_element(writer, &member)
        if scores:
            lp_get(p + size, &score)
            if writer.protocol == 2 and (score.data != NULL or -SHOWN_WHOLE < score.number < SHOWN_WHOLE):
                write_element(writer, &score)
            else:
                writer.double(element_score(&score))
        if not reverse:
            p = next_item(p)
        elif i + 1 < section.length:
            p = item_before(p)
    return 0


# Blobs from elsewhere

cdef bint is_regular(const unsigned char* lp, Py_ssize_t max_items, Py_ssize_t max_size) noexcept nogil:
    """Whether a listpack is as this module makes them: whole items, in order, within the limits, scores as told above."""
    cdef char room[NUMBER_BYTES]
    cdef const char* text
    cdef Element member, element
    cdef uint32_t size
    cdef double score, score_before = 0
    cdef Bound bound
    cdef unsigned char* p = lp_begin(lp)
    cdef unsigned char* before = NULL
    cdef unsigned char* following
    if lp_count(lp) & 1 or lp_count(lp) >> 1 > max_items:
        return False
    while not lp_ends(p):
        following = p + lp_get(p, &member)
        following += lp_get(following, &element)
        score = element_score(&element)
        if not is_regular_score(&element, score):
            return False
        if member.data == NULL:
            size = element_text(&member, room, &text)
        else:
            size = member.size
            text = <const char*>member.data
        if size > max_size:
            return False
        if before != NULL and not score_before < score:
            bound = bound_before(text, size, score)
            if not packed_is_before(before, &bound):
                return False
        before = p
        score_before = score
        p = following
    return True


cdef inline bint is_regular_score(Element* element, double score) noexcept nogil:
    """Whether it stands there as this module writes it."""
    cdef char room[NUMBER_BYTES]
    cdef char number[DOUBLE_CHARACTERS]
    cdef const char* text
    cdef uint32_t size
    if element.data == NULL and -PACKED_WHOLE <= score <= PACKED_WHOLE and <int64_t>score == element.number:
        return True
    size = element_text(element, room, &text)
    return size == <uint32_t>score_text(number, score) and memcmp(text, number, size) == 0
