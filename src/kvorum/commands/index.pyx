"""Finding a command by its name: compiled twin, see ``index.py``.

Open addressing with linear probing. A name is read as two overlapping machine words, its first and its last eight bytes,
in lower case, which with the size say everything about names of up to sixteen bytes; only longer ones are compared byte
by byte. So a look-up makes no Python object and calls nothing.
"""
from cpython.object cimport PyObject
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kvorum.commands.command cimport Command
from kvorum.resp.span cimport Span


cdef enum:
    WHOLE_BYTES = 16    # names of up to so many bytes are wholly in their two words


cdef inline uint64_t lowered(uint64_t word) noexcept nogil:
    """Eight bytes with ASCII letters in lower case."""
    cdef uint64_t ones = 0x0101010101010101u
    cdef uint64_t high = 0x8080808080808080u
    cdef uint64_t seven = word & ~high
    cdef uint64_t from_a = seven + (128 - c'A') * ones
    cdef uint64_t beyond_z = seven + (127 - c'Z') * ones
    return word | ((from_a & ~beyond_z & ~word & high) >> 2)


cdef inline uint64_t head_of(const char* name, Py_ssize_t size) noexcept nogil:
    """The first eight bytes; of a shorter name all bytes, packed in some way that depends on the size alone."""
    cdef uint64_t eight
    cdef uint32_t first_four
    cdef uint32_t last_four
    cdef uint16_t first_two
    if size >= 8:
        memcpy(&eight, name, 8)
        return lowered(eight)
    if size >= 4:
        memcpy(&first_four, name, 4)
        memcpy(&last_four, name + size - 4, 4)
        return lowered(first_four | <uint64_t>last_four << 32)
    if size >= 2:
        memcpy(&first_two, name, 2)
        return lowered(first_two | <uint64_t><unsigned char>name[size - 1] << 16)
    return lowered(<unsigned char>name[0])


cdef inline uint64_t tail_of(const char* name, Py_ssize_t size) noexcept nogil:
    """The last eight bytes of a name of more than eight."""
    cdef uint64_t eight
    if size <= 8:
        return 0
    memcpy(&eight, name + size - 8, 8)
    return lowered(eight)


cdef inline bint same_text(const char* lower, const char* text, Py_ssize_t size) noexcept nogil:
    """Whether ``text`` is ``lower`` in any case of letters."""
    cdef Py_ssize_t i
    cdef unsigned char byte
    for i in range(size):
        byte = <unsigned char>text[i]
        if c'A' <= byte <= c'Z':
            byte += 32
        if byte != <unsigned char>lower[i]:
            return False
    return True


cdef class CommandIndex:
    def __cinit__(self, object commands):
        cdef Py_ssize_t capacity = 8
        cdef Slot* slot
        cdef bytes text
        self.entries = dict(commands)
        self.shift = 61
        while capacity < 4 * len(self.entries):
            capacity *= 2
            self.shift -= 1
        self.slots = <Slot*>calloc(capacity, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError()
        self.mask = capacity - 1
        self.longest = 0
        for text, command in self.entries.items():
            if not 0 < len(text) <= NAME_BYTES:
                raise ValueError(f"the name of a command has 1 to {NAME_BYTES} bytes: {text!r}")
            slot = self.place_of(text, len(text))
            slot.size = len(text)
            slot.head = head_of(text, len(text))
            slot.tail = tail_of(text, len(text))
            slot.text = text
            slot.command = <PyObject*><Command?>command
            self.longest = max(self.longest, len(text))

    def __dealloc__(self):
        free(self.slots)

    def __len__(self):
        return len(self.entries)

    cdef inline Slot* place_of(self, const char* name, Py_ssize_t size) noexcept nogil:
        """The slot that holds the name, or the free one where it would stand. The name has at least one byte."""
        cdef uint64_t head = head_of(name, size)
        cdef uint64_t tail = tail_of(name, size)
        cdef uint64_t mixed = (head ^ (tail << 23 | tail >> 41) ^ <uint64_t>size << 57) * 0x9E3779B97F4A7C15u
        cdef Py_ssize_t place = <Py_ssize_t>(mixed >> self.shift)
        cdef Slot* slot
        while True:
            slot = &self.slots[place]
            if slot.size == 0:
                return slot
            if slot.head == head and slot.size == size and slot.tail == tail:
                if size <= WHOLE_BYTES or same_text(slot.text, name, size):
                    return slot
            place = (place + 1) & self.mask

    cdef Command find(self, Span name):
        """The command of this name in any case of letters, or None."""
        cdef Slot* slot
        if name.size <= 0 or name.size > self.longest:
            return None
        slot = self.place_of(name.data, name.size)
        if slot.command == NULL:
            return None
        return <Command>slot.command

    cdef Command resolve(self, Span* argv, Py_ssize_t argc):
        """The command of a whole request: a container's subcommand if a second word is there; None if unknown."""
        cdef Command command = self.find(argv[0])
        if command is None or not command.is_container or argc < 2:
            return command
        return (<CommandIndex>command.index).find(argv[1])

    def get(self, bytes name not None):
        cdef Span span
        span.data = name
        span.size = len(name)
        span.owner = NULL
        return self.find(span)
