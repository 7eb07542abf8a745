# cython: wraparound=False, initializedcheck=False, cdivision=True
"""Listpacks: many small elements in one block of memory. ``listpack.py`` is the twin and documents the format.

Every change is one splice: ``open_gap`` replaces so many bytes at a place by so many others, moves the rest, and takes
care of the block of memory, the limit and the header's length; the callers write the entries into the gap and correct the
count. Data handed in must not lie in the listpack that is changed.

The block: glibc gives multiples of 16 bytes anyway, so a short listpack is as long as it has to be; a long one that grows
gets up to an eighth more, so that appending to it does not call the allocator each time. One that shrank by more than that
is given back in part.

Rejected: Redis' three ways of insertion with a flag for deletion, which is one function of 150 lines; a pointer to a
decoded copy, which would cost more memory than the listpack saves.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove

from kvorum.keyspace.entry cimport usable_size
from kvorum.resp.numbers cimport DIGIT_PAIRS, parse_integer_text, write_integer, write_unsigned
from kvorum.resp.writer cimport Writer

cdef enum:
    SHORTEST = LP_HEADER + 1
    MAX_OVERHEAD = 10           # of an element: head and trailer
    NUMBER_BYTES = 24           # room for the text of an integer
    REPLY_OVERHEAD = 32         # of a bulk string: "$", its size, two newlines
    DIRECT_LIMIT = 4096         # longer elements are left to the writer


cdef struct Piece:              # an element, encoded
    unsigned char head[16]
    uint32_t head_size
    const char* data
    uint32_t size
    uint32_t total              # trailer included


# ---- Encoding

cdef void encode_integer(Piece* piece, int64_t number) noexcept nogil:
    cdef unsigned char* head = piece.head
    cdef uint32_t bits
    piece.data = NULL
    piece.size = 0
    if 0 <= number <= 127:
        head[0] = <unsigned char>number
        piece.head_size = 1
    elif -4096 <= number <= 4095:
        bits = <uint32_t>number & 0x1FFF
        head[0] = <unsigned char>(0xC0 | (bits >> 8))
        head[1] = <unsigned char>(bits & 0xFF)
        piece.head_size = 2
    elif -32768 <= number <= 32767:
        head[0] = 0xF1
        piece.head_size = 3
    elif -8388608 <= number <= 8388607:
        head[0] = 0xF2
        piece.head_size = 4
    elif -2147483648 <= number <= 2147483647:
        head[0] = 0xF3
        piece.head_size = 5
    else:
        head[0] = 0xF4
        piece.head_size = 9
    if piece.head_size > 2:
        memcpy(head + 1, &number, 8)        # little-endian: the low bytes come first
    piece.total = piece.head_size + 1


cdef void encode_text(Piece* piece, const char* data, size_t size) noexcept nogil:
    """What is the canonical text of a 64-bit integer becomes the integer. ``size`` is below LP_LIMIT."""
    cdef long long number
    cdef unsigned char* head = piece.head
    cdef uint32_t length = <uint32_t>size
    if parse_integer_text(data, size, &number):
        encode_integer(piece, number)
        return
    piece.data = data
    piece.size = length
    if length < 64:
        head[0] = <unsigned char>(0x80 | length)
        piece.head_size = 1
    elif length < 4096:
        head[0] = <unsigned char>(0xE0 | (length >> 8))
        head[1] = <unsigned char>(length & 0xFF)
        piece.head_size = 2
    else:
        head[0] = 0xF0
        memcpy(head + 1, &length, 4)
        piece.head_size = 5
    piece.total = piece.head_size + length
    piece.total += lp_trailer_size(piece.total)


cdef int put_trailer(unsigned char* out, uint32_t size) noexcept nogil:
    """The size of an entry so that it can be read backwards: seven bits a byte, the low ones last."""
    cdef int count = lp_trailer_size(size)
    cdef int i = count - 1
    while i > 0:
        out[i] = <unsigned char>(0x80 | (size & 0x7F))
        size >>= 7
        i -= 1
    out[0] = <unsigned char>size
    return count


cdef unsigned char* put_piece(unsigned char* out, Piece* piece) noexcept nogil:
    """Write the entry; returns where it ends."""
    memcpy(out, piece.head, piece.head_size)
    if piece.size:
        memcpy(out + piece.head_size, piece.data, piece.size)
    put_trailer(out + piece.head_size + piece.size, piece.head_size + piece.size)
    return out + piece.total


# ---- Memory

cdef size_t roomy(size_t size) noexcept nogil:
    """What to ask malloc for, so that a long listpack grows in steps."""
    cdef size_t step = 16
    while step << 4 <= size:
        step <<= 1
    return ((size + 8 + step - 1) & ~(step - 1)) - 8


cdef void set_bytes(unsigned char* lp, uint32_t size) noexcept nogil:
    memcpy(lp, &size, 4)


cdef void add_count(unsigned char* lp, int64_t change) noexcept nogil:
    cdef uint16_t count
    cdef int64_t total
    memcpy(&count, lp + 4, 2)
    if count == LP_MANY:
        return
    total = count + change
    count = <uint16_t>total if total < LP_MANY else <uint16_t>LP_MANY
    memcpy(lp + 4, &count, 2)


cdef unsigned char* open_gap(unsigned char* lp, size_t offset, size_t removed, size_t added) noexcept nogil:
    """Make ``removed`` bytes at ``offset`` into ``added`` ones, whose content is left to the caller."""
    cdef size_t before = lp_bytes(lp)
    cdef size_t after = before - removed + added
    cdef size_t room = usable_size(lp)
    cdef unsigned char* moved
    if after > before:
        if after > LP_LIMIT:
            return NULL
        if after > room:
            moved = <unsigned char*>realloc(lp, roomy(after))
            if moved == NULL:
                return NULL
            lp = moved
    if removed != added:
        memmove(lp + offset + added, lp + offset + removed, before - offset - removed)
        set_bytes(lp, <uint32_t>after)
        if after < before and after + (after >> 2) + 32 < room:
            moved = <unsigned char*>realloc(lp, roomy(after))
            if moved != NULL:
                lp = moved
    return lp


cdef unsigned char* lp_new(size_t capacity) noexcept nogil:
    cdef unsigned char* lp = <unsigned char*>malloc(capacity if capacity > SHORTEST else SHORTEST)
    if lp != NULL:
        set_bytes(lp, SHORTEST)
        lp[4] = lp[5] = 0
        lp[LP_HEADER] = LP_END
    return lp


cdef void lp_free(unsigned char* lp) noexcept nogil:
    free(lp)


cdef unsigned char* lp_copy(const unsigned char* lp) noexcept nogil:
    return lp_from(<const char*>lp, lp_bytes(lp))


cdef unsigned char* lp_from(const char* data, size_t size) noexcept nogil:
    cdef unsigned char* lp = <unsigned char*>malloc(size)
    if lp != NULL:
        memcpy(lp, data, size)
    return lp


# ---- Looking

cdef uint32_t lp_count(const unsigned char* lp) noexcept nogil:
    cdef uint16_t known
    cdef uint32_t count = 0
    cdef const unsigned char* p = lp + LP_HEADER
    memcpy(&known, lp + 4, 2)
    if known != LP_MANY:
        return known
    while p[0] != LP_END:
        p = lp_skip(p)
        count += 1
    return count


cdef unsigned char* lp_seek(const unsigned char* lp, int64_t index) noexcept nogil:
    cdef int64_t count = lp_count(lp)
    cdef unsigned char* p
    if index < 0:
        index += count
    if index < 0 or index >= count:
        return NULL
    if index <= count >> 1:
        p = lp_begin(lp)
        while index > 0:
            p = lp_skip(p)
            index -= 1
        return p
    p = <unsigned char*>lp + lp_bytes(lp) - 1
    while index < count:
        p = lp_before(p)
        index += 1
    return p


cdef bint lp_equals(const unsigned char* p, const char* data, size_t size) noexcept nogil:
    cdef Element element
    cdef long long number
    lp_get(p, &element)
    if element.data != NULL:
        return element.size == size and memcmp(element.data, data, size) == 0
    return parse_integer_text(data, size, &number) and number == element.number


cdef unsigned char* lp_find(
    const unsigned char* lp, unsigned char* p, const char* data, size_t size, int skip
) noexcept nogil:
    cdef Element element
    cdef long long wanted = 0
    cdef bint is_integer = parse_integer_text(data, size, &wanted)
    cdef unsigned int head
    cdef unsigned int short_head = 0x80 | <unsigned int>size if 0 < size < 64 else 0
    cdef char initial = data[0] if size else 0
    cdef uint32_t entry_size
    cdef int i
    while True:
        head = p[0]
        if head == LP_END:
            return NULL
        if 0x80 <= head < 0xC0 and size:
            # Strings below 64 bytes: nearly all that there are in a listpack.
            if head == short_head and <char>p[1] == initial and memcmp(p + 1, data, size) == 0:
                return p
            p += (head & 0x3F) + 2
        else:
            entry_size = lp_get(p, &element)
            if element.data == NULL:
                if is_integer and element.number == wanted:
                    return p
            elif element.size == size and memcmp(element.data, data, size) == 0:
                return p
            p += entry_size
        for i in range(skip):
            if p[0] == LP_END:
                return NULL
            p = lp_skip(p)


cdef uint64_t claimed_size(const unsigned char* p, size_t left) noexcept nogil:
    """Size of an entry without its trailer, as it claims to be; 0: its head is no head or does not fit."""
    cdef unsigned int head = p[0]
    cdef uint32_t size
    if head < 0x80:
        return 1
    if head < 0xC0:
        return 1 + (head & 0x3F)
    if head < 0xE0:
        return 2
    if head < 0xF0:
        return 2 + (((head & 0x0F) << 8) | p[1]) if left >= 2 else 0
    if head == 0xF0:
        if left < 5:
            return 0
        memcpy(&size, p + 1, 4)
        return <uint64_t>5 + size
    if head <= 0xF3:
        return 2 + (head & 0x0F)
    return 9 if head == 0xF4 else 0


cdef bint lp_validate(const char* data, size_t size, bint deep) noexcept nogil:
    """Whether these bytes are a listpack; only ``deep`` makes it safe to be used."""
    cdef const unsigned char* lp = <const unsigned char*>data
    cdef const unsigned char* p = lp + LP_HEADER
    cdef const unsigned char* end
    cdef uint64_t claimed
    cdef unsigned char trailer[8]
    cdef uint32_t trailer_size
    cdef uint32_t count = 0
    cdef uint16_t known
    if size < SHORTEST or size > LP_LIMIT or lp_bytes(lp) != size or lp[size - 1] != LP_END:
        return False
    if not deep:
        return True
    end = lp + size - 1
    while p < end:
        claimed = claimed_size(p, end - p)
        if claimed == 0 or claimed > LP_LIMIT:
            return False
        trailer_size = lp_trailer_size(<uint32_t>claimed)
        if claimed + trailer_size > <uint64_t>(end - p):
            return False
        put_trailer(trailer, <uint32_t>claimed)
        if p[claimed] != trailer[0] or (trailer_size > 1 and memcmp(p + claimed, trailer, trailer_size) != 0):
            return False
        p += claimed + trailer_size
        count += 1
    memcpy(&known, lp + 4, 2)
    return known == LP_MANY or known == count


cdef bint lp_fits(const unsigned char* lp, size_t more) noexcept nogil:
    return lp_bytes(lp) + more + MAX_OVERHEAD <= LP_LIMIT


# ---- Changing

cdef unsigned char* insert_piece(
    unsigned char* lp, Piece* piece, size_t offset, unsigned char** newp
) noexcept nogil:
    lp = open_gap(lp, offset, 0, piece.total)
    if lp == NULL:
        return NULL
    put_piece(lp + offset, piece)
    add_count(lp, 1)
    if newp != NULL:
        newp[0] = lp + offset
    return lp


cdef unsigned char* replace_piece(unsigned char* lp, unsigned char** p, Piece* piece) noexcept nogil:
    cdef size_t offset = p[0] - lp
    lp = open_gap(lp, offset, lp_skip(p[0]) - p[0], piece.total)
    if lp == NULL:
        return NULL
    put_piece(lp + offset, piece)
    p[0] = lp + offset
    return lp


cdef unsigned char* lp_append(unsigned char* lp, const char* data, size_t size) noexcept nogil:
    return lp_insert(lp, data, size, lp + lp_bytes(lp) - 1, LP_BEFORE, NULL)


cdef unsigned char* lp_prepend(unsigned char* lp, const char* data, size_t size) noexcept nogil:
    return lp_insert(lp, data, size, lp + LP_HEADER, LP_BEFORE, NULL)


cdef unsigned char* lp_append_integer(unsigned char* lp, int64_t number) noexcept nogil:
    return lp_insert_integer(lp, number, lp + lp_bytes(lp) - 1, LP_BEFORE, NULL)


cdef unsigned char* lp_prepend_integer(unsigned char* lp, int64_t number) noexcept nogil:
    return lp_insert_integer(lp, number, lp + LP_HEADER, LP_BEFORE, NULL)


cdef unsigned char* lp_append_pair(
    unsigned char* lp, const char* first, size_t first_size, const char* second, size_t second_size
) noexcept nogil:
    return lp_insert_pair(lp, first, first_size, second, second_size, lp + lp_bytes(lp) - 1)


cdef unsigned char* lp_insert_pair(
    unsigned char* lp, const char* first, size_t first_size, const char* second, size_t second_size, unsigned char* p
) noexcept nogil:
    """Two elements in one step before p, which may be the end: both are there, or none."""
    cdef Piece one, other
    cdef size_t offset = p - lp
    if first_size > LP_LIMIT or second_size > LP_LIMIT:
        return NULL
    encode_text(&one, first, first_size)
    encode_text(&other, second, second_size)
    lp = open_gap(lp, offset, 0, <size_t>one.total + other.total)
    if lp == NULL:
        return NULL
    put_piece(put_piece(lp + offset, &one), &other)
    add_count(lp, 2)
    return lp


cdef unsigned char* lp_insert(
    unsigned char* lp, const char* data, size_t size, unsigned char* p, int where, unsigned char** newp
) noexcept nogil:
    cdef Piece piece
    if size > LP_LIMIT:
        return NULL
    encode_text(&piece, data, size)
    return insert_piece(lp, &piece, (lp_skip(p) if where == LP_AFTER else p) - lp, newp)


cdef unsigned char* lp_insert_integer(
    unsigned char* lp, int64_t number, unsigned char* p, int where, unsigned char** newp
) noexcept nogil:
    cdef Piece piece
    encode_integer(&piece, number)
    return insert_piece(lp, &piece, (lp_skip(p) if where == LP_AFTER else p) - lp, newp)


cdef unsigned char* lp_replace(unsigned char* lp, unsigned char** p, const char* data, size_t size) noexcept nogil:
    cdef Piece piece
    if size > LP_LIMIT:
        return NULL
    encode_text(&piece, data, size)
    return replace_piece(lp, p, &piece)


cdef unsigned char* lp_replace_integer(unsigned char* lp, unsigned char** p, int64_t number) noexcept nogil:
    cdef Piece piece
    encode_integer(&piece, number)
    return replace_piece(lp, p, &piece)


cdef unsigned char* lp_delete(unsigned char* lp, unsigned char* p, unsigned char** following) noexcept nogil:
    return lp_delete_some(lp, p, 1, following)


cdef unsigned char* lp_delete_some(
    unsigned char* lp, unsigned char* p, uint32_t count, unsigned char** following
) noexcept nogil:
    """Delete up to so many elements from p on."""
    cdef size_t offset = p - lp
    cdef unsigned char* end = p
    cdef int64_t deleted = 0
    while deleted < count and end[0] != LP_END:
        end = lp_skip(end)
        deleted += 1
    lp = open_gap(lp, offset, end - p, 0)
    add_count(lp, -deleted)
    if following != NULL:
        following[0] = lp + offset if lp[offset] != LP_END else NULL
    return lp


cdef unsigned char* lp_delete_range(unsigned char* lp, int64_t index, uint32_t count) noexcept nogil:
    cdef unsigned char* p = lp_seek(lp, index)
    return lp_delete_some(lp, p, count, NULL) if p != NULL else lp


cdef unsigned char* lp_merge(unsigned char* lp, const unsigned char* other) noexcept nogil:
    cdef size_t offset = lp_bytes(lp) - 1
    cdef size_t size = lp_bytes(other) - SHORTEST
    cdef uint32_t count = lp_count(other)
    lp = open_gap(lp, offset, 0, size)
    if lp == NULL:
        return NULL
    memcpy(lp + offset, other + LP_HEADER, size)
    add_count(lp, count)
    return lp


# ---- Elements

cdef void element_of(const char* data, size_t size, Element* element) noexcept nogil:
    cdef long long number
    if parse_integer_text(data, size, &number):
        element.data = NULL
        element.size = 0
        element.number = number
    else:
        element.data = <const unsigned char*>data
        element.size = <uint32_t>size


cdef uint32_t element_text(Element* element, char* room, const char** text) noexcept nogil:
    if element.data == NULL:
        text[0] = room
        return write_integer(room, element.number)
    text[0] = <const char*>element.data
    return element.size


cdef bytes element_bytes(Element* element):
    cdef char room[NUMBER_BYTES]
    cdef const char* text
    cdef uint32_t size = element_text(element, room, &text)
    return PyBytes_FromStringAndSize(text, size)


cdef int write_element(Writer writer, Element* element) except -1:
    cdef char room[NUMBER_BYTES]
    cdef const char* text
    cdef uint32_t size = element_text(element, room, &text)
    return writer.bulk_data(text, size, NULL)


cdef char* put_bulk(char* out, const char* text, uint32_t size) noexcept nogil:
    out[0] = c'$'
    if size < 10:
        out[1] = <char>(c'0' + size)
        out += 2
    elif size < 100:
        out[1] = DIGIT_PAIRS[size * 2]
        out[2] = DIGIT_PAIRS[size * 2 + 1]
        out += 3
    else:
        out += 1 + write_unsigned(out + 1, size)
    out[0] = c'\r'
    out[1] = c'\n'
    memcpy(out + 2, text, size)
    out += size + 2
    out[0] = c'\r'
    out[1] = c'\n'
    return out + 2


cdef int write_elements(Writer writer, const unsigned char* p, uint32_t count, int skip) except -1:
    """Straight into the writer's buffer: the reply to HGETALL or LRANGE is one loop without a call."""
    cdef Element element
    cdef char room[NUMBER_BYTES]
    cdef const char* text
    cdef uint32_t size
    cdef char* start = writer.buffer + writer.size
    cdef char* out = start
    cdef char* end = writer.buffer + writer.capacity
    cdef int i
    while count > 0 and p[0] != LP_END:
        count -= 1
        p += lp_get(p, &element)
        size = element_text(&element, room, &text)
        if size > DIRECT_LIMIT or end - out < <Py_ssize_t>size + REPLY_OVERHEAD:
            writer.size += out - start
            writer.pending += out - start
            start = out                 # if there is no memory, what was written is accounted for
            if size > DIRECT_LIMIT:
                writer.bulk_data(text, size, NULL)
            else:
                writer.grow(size + REPLY_OVERHEAD)
            start = out = writer.buffer + writer.size
            end = writer.buffer + writer.capacity
        if size <= DIRECT_LIMIT:
            out = put_bulk(out, text, size)
        for i in range(skip):
            if p[0] == LP_END:
                break
            p = lp_skip(p)
    writer.size += out - start
    writer.pending += out - start
    return 0


# ---- For Python

def pack(items):
    cdef Listpack packed = Listpack()
    for item in items:
        packed.append(item)
    return bytes(packed)


def unpack(bytes blob):
    cdef list found = []
    cdef Element element
    cdef const unsigned char* p
    if not lp_validate(PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob), True):
        raise ValueError("this is no listpack")
    p = lp_begin(<const unsigned char*>PyBytes_AS_STRING(blob))
    while p[0] != LP_END:
        p += lp_get(p, &element)
        found.append(element_bytes(&element))
    return found


def validate(bytes blob, bint deep=True):
    return lp_validate(PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob), deep)


cdef class Listpack:
    cdef unsigned char* lp

    def __cinit__(self, items=()):
        self.lp = lp_new(0)
        if self.lp == NULL:
            raise MemoryError
        for item in items:
            self.append(item)

    def __dealloc__(self):
        lp_free(self.lp)

    def __len__(self):
        return lp_count(self.lp)

    def __bytes__(self):
        return PyBytes_FromStringAndSize(<char*>self.lp, lp_bytes(self.lp))

    def __getitem__(self, int64_t index):
        cdef Element element
        lp_get(self.place(index), &element)
        return element_bytes(&element)

    def __iter__(self):
        return iter(unpack(bytes(self)))

    def __reversed__(self):
        cdef list found = []
        cdef Element element
        cdef unsigned char* p = lp_last(self.lp)
        while p != NULL:
            lp_get(p, &element)
            found.append(element_bytes(&element))
            p = lp_prev(self.lp, p)
        return iter(found)

    cdef unsigned char* place(self, int64_t index) except NULL:
        cdef unsigned char* p = lp_seek(self.lp, index)
        if p == NULL:
            raise IndexError(index)
        return p

    cdef int changed(self, unsigned char* lp) except -1:
        if lp == NULL:
            raise MemoryError
        self.lp = lp
        return 0

    def append(self, bytes item not None):
        self.changed(lp_append(self.lp, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item)))

    def append_integer(self, int64_t number):
        self.changed(lp_append_integer(self.lp, number))

    def append_pair(self, bytes first not None, bytes second not None):
        self.changed(lp_append_pair(
            self.lp, PyBytes_AS_STRING(first), PyBytes_GET_SIZE(first), PyBytes_AS_STRING(second), PyBytes_GET_SIZE(second)
        ))

    def prepend(self, bytes item not None):
        self.changed(lp_prepend(self.lp, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item)))

    def prepend_integer(self, int64_t number):
        self.changed(lp_prepend_integer(self.lp, number))

    def insert(self, int64_t index, bytes item not None, bint after=False):
        cdef unsigned char* p = self.place(index)
        self.changed(lp_insert(
            self.lp, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item), p, LP_AFTER if after else LP_BEFORE, &p
        ))
        return p - self.lp

    def replace(self, int64_t index, bytes item not None):
        cdef unsigned char* p = self.place(index)
        self.changed(lp_replace(self.lp, &p, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item)))
        return p - self.lp

    def replace_integer(self, int64_t index, int64_t number):
        cdef unsigned char* p = self.place(index)
        self.changed(lp_replace_integer(self.lp, &p, number))
        return p - self.lp

    def delete(self, int64_t index, uint32_t count=1):
        cdef unsigned char* following = NULL
        self.changed(lp_delete_some(self.lp, self.place(index), count, &following))
        return following - self.lp if following != NULL else None

    def delete_range(self, int64_t index, uint32_t count):
        self.changed(lp_delete_range(self.lp, index, count))

    def merge(self, Listpack other not None):
        if other is self:
            raise ValueError("a listpack cannot be merged with itself")
        self.changed(lp_merge(self.lp, other.lp))

    def find(self, bytes item not None, int64_t start=0, int skip=0):
        cdef unsigned char* p = lp_seek(self.lp, start)
        cdef const unsigned char* q
        cdef int64_t index = 0
        if p == NULL:
            return None
        p = lp_find(self.lp, p, PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item), skip)
        if p == NULL:
            return None
        q = lp_begin(self.lp)
        while q != p:
            q = lp_skip(q)
            index += 1
        return index

    def equals(self, int64_t index, bytes item not None):
        return lp_equals(self.place(index), PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item))

    def copy(self):
        cdef Listpack copied = Listpack()
        cdef unsigned char* lp = lp_copy(self.lp)
        if lp == NULL:
            raise MemoryError
        lp_free(copied.lp)
        copied.lp = lp
        return copied

    def write(self, Writer writer not None, int64_t start=0, uint32_t count=0xFFFFFFFF, int skip=0):
        cdef unsigned char* p = lp_seek(self.lp, start)
        if p != NULL:
            write_elements(writer, p, count, skip)

    def allocated(self):
        return lp_allocated(self.lp)
