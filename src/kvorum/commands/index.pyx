# cython: wraparound=False
"""Finding a command by its name: compiled twin, see ``index.py``.

Open addressing with linear probing over names of at most ``NAME_BYTES`` bytes. A name is lowered eight bytes at a time
and compared as five machine words, so that looking up a name makes no Python object and no call.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kvorum.commands.command cimport Command
from kvorum.resp.span cimport Span


cdef uint64_t ONES = 0x0101010101010101u
cdef uint64_t HIGH = 0x8080808080808080u


cdef inline uint64_t lowered(uint64_t word) noexcept nogil:
    """Eight bytes with ASCII letters in lower case."""
    cdef uint64_t seven = word & ~HIGH
    cdef uint64_t from_a = seven + (128 - c'A') * ONES
    cdef uint64_t beyond_z = seven + (127 - c'Z') * ONES
    return word | (((from_a & ~beyond_z) & ~word & HIGH) >> 2)


cdef inline void load(uint64_t* name, const char* data, Py_ssize_t size) noexcept nogil:
    """The name in lower case, padded with zeros."""
    cdef Py_ssize_t word
    for word in range(NAME_WORDS):
        name[word] = 0
    memcpy(name, data, size)
    for word in range((size + 7) >> 3):
        name[word] = lowered(name[word])


cdef inline uint64_t hash_of(const uint64_t* name, Py_ssize_t size) noexcept nogil:
    """Most names differ within their first sixteen bytes and their length; the rest is left to the comparison."""
    cdef uint64_t mixed = (name[0] ^ <uint64_t>size) * 0x9E3779B97F4A7C15u
    mixed = (mixed ^ (mixed >> 29) ^ name[1]) * 0xBF58476D1CE4E5B9u
    return mixed ^ (mixed >> 32)


cdef class CommandIndex:
    def __cinit__(self, object commands):
        cdef dict names = dict(commands)
        cdef Py_ssize_t capacity = 8
        cdef Py_ssize_t place
        cdef uint64_t name[NAME_WORDS]
        cdef bytes text
        while capacity < 4 * len(names):
            capacity *= 2
        self.slots = <Slot*>calloc(capacity, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError()
        self.mask = capacity - 1
        self.entries = []
        self.longest = 0
        for text, command in names.items():
            if not 0 < len(text) <= NAME_BYTES:
                raise ValueError(f"the name of a command has 1 to {NAME_BYTES} bytes: {text!r}")
            load(name, text, len(text))
            place = self._place(name, len(text))
            memcpy(self.slots[place].name, name, sizeof(name))
            self.slots[place].size = len(text)
            self.slots[place].entry = len(self.entries)
            self.entries.append(<Command?>command)
            self.longest = max(self.longest, len(text))

    def __dealloc__(self):
        free(self.slots)

    def __len__(self):
        return len(self.entries)

    cdef Py_ssize_t _place(self, const uint64_t* name, Py_ssize_t size) noexcept nogil:
        """The slot that holds the name, or the free one where it would stand."""
        cdef Py_ssize_t place = <Py_ssize_t>hash_of(name, size) & self.mask
        cdef Slot* slot
        while True:
            slot = &self.slots[place]
            if slot.size == 0:
                return place
            if (
                slot.size == size and slot.name[0] == name[0] and slot.name[1] == name[1] and slot.name[2] == name[2]
                and slot.name[3] == name[3] and slot.name[4] == name[4]
            ):
                return place
            place = (place + 1) & self.mask

    cdef Command find(self, Span name):
        """The command of this name in any case of letters, or None."""
        cdef uint64_t lower[NAME_WORDS]
        cdef Slot* slot
        if name.size <= 0 or name.size > self.longest:
            return None
        load(lower, name.data, name.size)
        slot = &self.slots[self._place(lower, name.size)]
        if slot.size == 0:
            return None
        return <Command>self.entries[slot.entry]

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
