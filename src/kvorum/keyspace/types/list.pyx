# cython: wraparound=False, initializedcheck=False, cdivision=True
"""Lists: see ``list.py``, the twin, for what they do. Here is how.

The elements stand in leaves, in order. A leaf is a listpack of at most ``list-max-listpack-size`` (bytes or elements); an
element that is too big for one is a leaf by itself, a bytes object that is shared with the request that brought it
and with the replies that show it. The limits are computed as Redis computes them, so that leaves and Redis' nodes
break at the same elements.

A list that fits into one leaf, as most do, is this object of 64 bytes and one block of memory. A longer one has a counted
tree above its leaves (``list_tree.pyx``): its ends are O(1), the element with an index is found in O(log n).

A leaf that is full is split where something is inserted into its middle; one that becomes empty goes. Leaves are not
merged, except that a list that is back to one leaf loses its tree.

All that can fail, which is to get memory, comes before the first change.

*Snapshots* (``keyspace/snapshot.pyx``) share the leaves of a long list as they were at one moment, and each leaf is marked
so. Before one that is shared changes the list takes a copy in its place, and leaves the old one to the snapshot.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp

from kvorum.keyspace.entry cimport chunk_bytes
from kvorum.keyspace.types.list_tree cimport (
    PLAIN, SHARED, tree_count, tree_find, tree_free, tree_insert, tree_new, tree_remove,
)
from kvorum.keyspace.types.listpack cimport (
    LP_BEFORE, LP_END, LP_HEADER, LP_LIMIT, element_bytes, element_of, lp_allocated, lp_append, lp_before, lp_begin,
    lp_bytes, lp_copy, lp_count, lp_delete, lp_delete_range, lp_delete_some, lp_first, lp_free, lp_get, lp_insert, lp_last,
    lp_new, lp_next, lp_prepend, lp_prev, lp_replace, lp_seek, lp_skip, write_element, write_elements,
)
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer

cdef size_t ADDRESS = ~<size_t>(PLAIN | SHARED)

cdef enum:
    OBJECT_BYTES = 64           # of a List
    ELEMENT_OVERHEAD = 8        # Redis' estimate of what an element takes beside its bytes
    SAFETY_LIMIT = 8192         # bytes of a leaf whose limit is a number of elements
    EMPTY_LEAF = LP_HEADER + 1
    LARGEST_LEAF = 65536        # bytes: what the options allow
    PLAIN_FROM = 1 << 30        # bytes: elements from here on are no listpack in DUMP either


# ---- Leaves

cdef inline bint is_plain(Slot* slot) noexcept nogil:
    return slot.at & PLAIN


cdef inline unsigned char* listpack_of(Slot* slot) noexcept nogil:
    return <unsigned char*>(slot.at & ADDRESS)


cdef inline PyObject* plain_of(Slot* slot) noexcept nogil:
    return <PyObject*>(slot.at & ADDRESS)


cdef inline int64_t leaf_bytes(Slot* slot) noexcept:
    """A plain leaf is long enough for its object to come from malloc."""
    return chunk_bytes(<void*>(slot.at & ADDRESS))


cdef void free_leaf(Slot* slot) noexcept:
    if is_plain(slot):
        Py_DECREF(<object>plain_of(slot))
    else:
        lp_free(listpack_of(slot))


cdef inline Span span_of(bytes data) noexcept:
    cdef Span span
    span.data = PyBytes_AS_STRING(data)
    span.size = PyBytes_GET_SIZE(data)
    span.owner = <PyObject*>data
    return span


@cython.final
@cython.no_gc
cdef class List(Value):
    kind = b"list"

    def __cinit__(self, Commons commons not None):
        self.commons = commons

    def __init__(self, commons):
        """All is done: the table, which owns the base class's only field, sets it itself."""

    def __dealloc__(self):
        self.clear()

    cdef int clear(self) except -1:
        cdef Node* node
        cdef uint32_t i
        if self.tree == NULL:
            if self.whole.at:
                free_leaf(&self.whole)
        else:
            node = self.tree.first
            while node != NULL:
                for i in range(node.used):
                    self.drop_leaf(&node.slots[i])
                node = node.following
            tree_free(self.tree)
            self.tree = NULL
        self.whole.at = 0
        self.whole.count = 0
        return 0

    # ---- Leaves that a snapshot shares

    cdef void drop_leaf(self, Slot* slot) noexcept:
        """The list needs it no more."""
        if slot.at & SHARED and self.tree != NULL and self.tree.keeper != NULL:
            self.tree.keeper.take(self.tree.keeper.context, listpack_of(slot))
        else:
            free_leaf(slot)

    cdef void own_leaf(self, Slot* slot) noexcept:
        """It is about to change: to be called before anything is known of where it is."""
        cdef unsigned char* listpack
        cdef unsigned char* copied
        if not slot.at & SHARED:
            return
        listpack = listpack_of(slot)
        slot.at &= ~<size_t>SHARED
        if self.tree == NULL or self.tree.keeper == NULL:
            return
        copied = lp_copy(listpack)
        if copied == NULL:
            self.tree.keeper.fail(self.tree.keeper.context)
            return
        self.tree.bytes += lp_allocated(copied) - lp_allocated(listpack)
        slot.at = <size_t>copied
        self.tree.keeper.take(self.tree.keeper.context, listpack)

    # ---- What the table asks

    cpdef long long used_bytes(self) except -1:
        if self.tree != NULL:
            return OBJECT_BYTES + self.tree.bytes
        return OBJECT_BYTES + (leaf_bytes(&self.whole) if self.whole.at else 0)

    cpdef bytes encoding(self):
        return b"quicklist"

    cpdef Py_ssize_t elements(self) except -1:
        """The leaves: each is freed in one go."""
        return 1 if self.tree == NULL else self.tree.leaves

    def release_some(self, long long budget):
        cdef long long released = 0
        cdef Leaf leaf
        while released < budget and self.whole.count:
            leaf = self.end_leaf(False)
            self.remove_leaf(&leaf)
            released += 1
        return released

    def copy(self):
        cdef List copied = List(self.commons)
        cdef Node* node
        cdef uint32_t i
        if self.tree == NULL:
            if self.whole.at:
                copied.append_copy(&self.whole)
            return copied
        node = self.tree.first
        while node != NULL:
            for i in range(node.used):
                copied.append_copy(&node.slots[i])
            node = node.following
        return copied

    cdef int append_copy(self, Slot* source) except -1:
        cdef Slot leaf = source[0]
        if is_plain(source):
            Py_INCREF(<object>plain_of(source))
        else:
            leaf.at = <size_t>lp_copy(listpack_of(source))
            if leaf.at == 0:
                raise MemoryError
        return self.append_leaf(leaf)

    cdef int append_leaf(self, Slot leaf) except -1:
        cdef Leaf last = self.end_leaf(False)
        return self.add_leaf(leaf, &last, True)

    def add_to_digest(self, digest):
        for element in self:
            digest.mix(element)

    def __len__(self):
        return self.whole.count

    cpdef long long length(self) noexcept:
        return self.whole.count

    def __iter__(self):
        """Leaf by leaf, so that nothing dangles if the list changes meanwhile."""
        cdef long long index = 0
        while index < self.whole.count:
            part = self.elements_from(index)
            index += len(part)
            yield from part

    cdef list elements_from(self, long long index):
        """From this one to the last of its leaf."""
        cdef Leaf leaf = self.locate(index)
        cdef Element element
        cdef unsigned char* p
        if is_plain(leaf.slot):
            return [<object>plain_of(leaf.slot)]
        part = []
        p = lp_seek(listpack_of(leaf.slot), leaf.offset)
        while p != NULL:
            lp_get(p, &element)
            part.append(element_bytes(&element))
            p = lp_next(listpack_of(leaf.slot), p)
        return part

    # ---- Finding a leaf

    cdef Leaf locate(self, long long index) noexcept:
        cdef Leaf leaf
        if self.tree == NULL:
            leaf.slot = &self.whole
            leaf.node = NULL
            leaf.position = 0
            leaf.offset = index
        else:
            leaf.node = tree_find(self.tree, index, &leaf.position, &leaf.offset)
            leaf.slot = &leaf.node.slots[leaf.position]
        return leaf

    cdef Leaf end_leaf(self, bint at_head) noexcept:
        """The first or the last one; its offset is not set."""
        cdef Leaf leaf
        leaf.offset = 0
        leaf.position = 0
        if self.tree == NULL:
            leaf.node = NULL
            leaf.slot = &self.whole
        elif at_head:
            leaf.node = self.tree.first
            leaf.slot = &leaf.node.slots[0]
        else:
            leaf.node = self.tree.last
            leaf.position = leaf.node.used - 1
            leaf.slot = &leaf.node.slots[leaf.position]
        return leaf

    cdef void count_in(self, Leaf* leaf, int64_t elements, int64_t allocated) noexcept:
        """A leaf has so many more elements, and takes so many more bytes."""
        if leaf.node != NULL:
            tree_count(self.tree, leaf.node, leaf.position, elements)
            self.tree.bytes += allocated
        self.whole.count += elements

    # ---- Limits

    cdef Py_ssize_t byte_limit(self) noexcept:
        """Of a leaf; it holds at most so many bytes in any case."""
        cdef Py_ssize_t limit = self.commons.list_max_size
        if limit >= 0:
            return SAFETY_LIMIT
        return <Py_ssize_t>2048 << (-limit if limit > -5 else 5)

    cdef bint accepts(self, Slot* slot, Py_ssize_t size) noexcept:
        """Whether an element of this size may be added to a leaf."""
        cdef Py_ssize_t limit = self.commons.list_max_size
        if is_plain(slot) or size > LP_LIMIT:
            return False
        if <Py_ssize_t>lp_bytes(listpack_of(slot)) + size + ELEMENT_OVERHEAD > self.byte_limit():
            return False
        return limit < 0 or slot.count < limit

    # ---- Adding and removing leaves

    cdef Slot new_leaf(self, Span element) except *:
        """A leaf with one element."""
        cdef Slot leaf
        cdef unsigned char* empty
        leaf.count = 1
        if EMPTY_LEAF + element.size + ELEMENT_OVERHEAD > self.byte_limit():
            kept = <bytes>element.owner if element.owner != NULL else PyBytes_FromStringAndSize(element.data, element.size)
            Py_INCREF(kept)
            leaf.at = <size_t><PyObject*>kept | PLAIN
            return leaf
        empty = lp_new(0)
        leaf.at = 0 if empty == NULL else <size_t>lp_append(empty, element.data, element.size)
        if leaf.at == 0:
            lp_free(empty)
            raise MemoryError
        return leaf

    cdef int add_leaf(self, Slot leaf, Leaf* beside, bint after) except -1:
        """Takes over a leaf, which is freed if there is no memory for its place."""
        if self.whole.at == 0 and self.tree == NULL:
            self.whole = leaf
            return 0
        if self.tree == NULL:
            self.tree = tree_new(self.whole, leaf_bytes(&self.whole))
            if self.tree == NULL:
                free_leaf(&leaf)
                raise MemoryError
            self.whole.at = 0
            beside.node = self.tree.root
            beside.position = 0
        if not tree_insert(self.tree, beside.node, beside.position + after, leaf):
            free_leaf(&leaf)
            self.shrink()
            raise MemoryError
        self.tree.bytes += leaf_bytes(&leaf)
        self.whole.count += leaf.count
        return 0

    cdef int remove_leaf(self, Leaf* leaf) except -1:
        if leaf.node == NULL:
            return self.clear()
        self.whole.count -= leaf.slot.count
        self.tree.bytes -= leaf_bytes(leaf.slot)
        self.drop_leaf(leaf.slot)
        tree_remove(self.tree, leaf.node, leaf.position)
        return self.shrink()

    cdef int shrink(self) except -1:
        """Does without a tree if one leaf is left."""
        if self.tree.leaves == 1:
            self.own_leaf(&self.tree.first.slots[0])
            self.whole = self.tree.first.slots[0]
            tree_free(self.tree)
            self.tree = NULL
        return 0

    # ---- Ends

    cdef int push_span(self, Span element, bint at_head) except -1:
        cdef Leaf leaf = self.end_leaf(at_head)
        if leaf.slot.at == 0 or not self.accepts(leaf.slot, element.size):
            return self.add_leaf(self.new_leaf(element), &leaf, not at_head)
        return self.put_into(&leaf, element, 0 if at_head else leaf.slot.count)

    cpdef push(self, bytes element, bint at_head=False):
        self.push_span(span_of(element), at_head)

    cdef int put_into(self, Leaf* leaf, Span element, int64_t offset) except -1:
        """Into a leaf that accepts it, before the element at ``offset``."""
        cdef unsigned char* listpack
        cdef int64_t before
        self.own_leaf(leaf.slot)
        listpack = listpack_of(leaf.slot)
        before = lp_allocated(listpack)
        if offset == 0:
            listpack = lp_prepend(listpack, element.data, element.size)
        elif offset == leaf.slot.count:
            listpack = lp_append(listpack, element.data, element.size)
        else:
            listpack = lp_insert(listpack, element.data, element.size, lp_seek(listpack, offset), LP_BEFORE, NULL)
        if listpack == NULL:
            raise MemoryError
        leaf.slot.at = <size_t>listpack
        self.count_in(leaf, 1, lp_allocated(listpack) - before)
        return 0

    cpdef bytes pop(self, bint at_head=False):
        cdef bytes element
        if self.whole.count == 0:
            return None
        element = self.get(0 if at_head else -1)
        self.drop_end(at_head)
        return element

    cpdef int drop_end(self, bint at_head) except -1:
        cdef Leaf leaf = self.end_leaf(at_head)
        cdef unsigned char* listpack
        cdef int64_t before
        if leaf.slot.count == 1:
            return self.remove_leaf(&leaf)
        self.own_leaf(leaf.slot)
        listpack = listpack_of(leaf.slot)
        before = lp_allocated(listpack)
        listpack = lp_delete(listpack, lp_first(listpack) if at_head else lp_last(listpack), NULL)
        leaf.slot.at = <size_t>listpack
        self.count_in(&leaf, -1, lp_allocated(listpack) - before)
        return 0

    # ---- Reading

    cpdef int write_end(self, Writer writer, bint at_head) except -1:
        cdef Leaf leaf = self.end_leaf(at_head)
        leaf.offset = 0 if at_head else leaf.slot.count - 1
        return write_some(writer, &leaf, 1, False)

    cpdef int write_element_at(self, Writer writer, long long index) except -1:
        cdef Leaf leaf = self.locate(index)
        return write_some(writer, &leaf, 1, False)

    cpdef int write_range(self, Writer writer, long long start, long long count, bint backwards) except -1:
        cdef Leaf leaf
        cdef int64_t here
        if count <= 0:
            return 0
        leaf = self.locate(start)
        while True:
            here = min(count, leaf.offset + 1 if backwards else leaf.slot.count - leaf.offset)
            write_some(writer, &leaf, here, backwards)
            count -= here
            if count == 0:
                return 0
            self.step(&leaf, backwards)

    cdef void step(self, Leaf* leaf, bint backwards) noexcept:
        """To the first element of the next leaf, or backwards to the last of the one before; there must be one."""
        if backwards:
            if leaf.position == 0:
                leaf.node = leaf.node.previous
                leaf.position = leaf.node.used
            leaf.position -= 1
        else:
            leaf.position += 1
            if leaf.position == leaf.node.used:
                leaf.node = leaf.node.following
                leaf.position = 0
        leaf.slot = &leaf.node.slots[leaf.position]
        leaf.offset = leaf.slot.count - 1 if backwards else 0

    cpdef bytes get(self, long long index):
        cdef Element element
        cdef Leaf leaf
        if index < 0:
            index += self.whole.count
        if index < 0 or index >= self.whole.count:
            return None
        leaf = self.locate(index)
        if is_plain(leaf.slot):
            return <bytes>plain_of(leaf.slot)
        lp_get(lp_seek(listpack_of(leaf.slot), leaf.offset), &element)
        return element_bytes(&element)

    # ---- Changing the middle

    cpdef bint set(self, long long index, bytes element) except -1:
        cdef Leaf leaf
        if index < 0:
            index += self.whole.count
        if index < 0 or index >= self.whole.count:
            return False
        leaf = self.locate(index)
        if not self.replace_in(&leaf, span_of(element)):
            self.insert_at(index, span_of(element))
            self.drop(index + 1, 1)
        return True

    cdef int replace_in(self, Leaf* leaf, Span element) except -1:
        """Whether the leaf could take the new element for the old one."""
        cdef unsigned char* listpack
        cdef unsigned char* p
        cdef int64_t before
        if is_plain(leaf.slot):
            return False
        self.own_leaf(leaf.slot)
        listpack = listpack_of(leaf.slot)
        p = lp_seek(listpack, leaf.offset)
        if lp_bytes(listpack) - (lp_skip(p) - p) + element.size + ELEMENT_OVERHEAD > self.byte_limit():
            return False
        before = lp_allocated(listpack)
        listpack = lp_replace(listpack, &p, element.data, element.size)
        if listpack == NULL:
            raise MemoryError
        leaf.slot.at = <size_t>listpack
        self.count_in(leaf, 0, lp_allocated(listpack) - before)
        return True

    cdef int insert_at(self, long long index, Span element) except -1:
        """Before the element ``index``, or at the end."""
        cdef Leaf leaf
        if index == 0 or index == self.whole.count:
            return self.push_span(element, index == 0)
        leaf = self.locate(index)
        if self.accepts(leaf.slot, element.size):
            return self.put_into(&leaf, element, leaf.offset)
        if leaf.offset != 0:
            self.split(&leaf, index)
            leaf = self.locate(index)
            if self.accepts(leaf.slot, element.size):
                return self.put_into(&leaf, element, 0)
        leaf = self.locate(index - 1)
        if self.accepts(leaf.slot, element.size):
            return self.put_into(&leaf, element, leaf.slot.count)
        return self.add_leaf(self.new_leaf(element), &leaf, True)

    cdef int split(self, Leaf* leaf, long long index) except -1:
        """Makes two leaves of one, before the element ``index``, which is not its first."""
        cdef Slot right
        cdef unsigned char* listpack = lp_copy(listpack_of(leaf.slot))
        cdef Leaf left
        if listpack == NULL:
            raise MemoryError
        right.at = <size_t>lp_delete_range(listpack, 0, <uint32_t>leaf.offset)
        right.count = leaf.slot.count - leaf.offset
        self.add_leaf(right, leaf, True)
        left = self.locate(index - 1)
        return self.drop_from(&left, left.offset + 1, right.count)

    cpdef bint insert_beside(self, bytes pivot, bytes element, bint after) except -1:
        cdef list found = self.positions(pivot, 1, 1, 0)
        if not found:
            return False
        self.insert_at(<long long>found[0] + after, span_of(element))
        return True

    # ---- Removing

    cdef int drop_from(self, Leaf* leaf, int64_t offset, int64_t count) except -1:
        """Some, but not all, elements of a listpack."""
        cdef unsigned char* listpack
        cdef int64_t before
        self.own_leaf(leaf.slot)
        listpack = listpack_of(leaf.slot)
        before = lp_allocated(listpack)
        listpack = lp_delete_range(listpack, offset, <uint32_t>count)
        leaf.slot.at = <size_t>listpack
        self.count_in(leaf, -count, lp_allocated(listpack) - before)
        return 0

    cpdef int drop(self, long long start, long long count) except -1:
        cdef Leaf leaf
        cdef int64_t here
        while count > 0:
            leaf = self.locate(start)
            here = min(count, leaf.slot.count - leaf.offset)
            if here == leaf.slot.count:
                self.remove_leaf(&leaf)
            else:
                self.drop_from(&leaf, leaf.offset, here)
            count -= here
        return 0

    cpdef long long remove_equal(self, bytes element, long long count) except -1:
        cdef Wanted wanted = wanted_from(element)
        cdef bint backwards = count < 0
        cdef uint64_t limit = <uint64_t>(-(count + 1)) + 1 if backwards else <uint64_t>count
        cdef long long index = self.whole.count - 1 if backwards else 0
        cdef int64_t removed = 0
        cdef int64_t before
        cdef Leaf leaf
        if limit == 0:
            limit = self.whole.count
        while <uint64_t>removed < limit and 0 <= index < self.whole.count:
            leaf = self.locate(index)
            before = leaf.slot.count
            removed += self.remove_from(&leaf, &wanted, <int64_t>min(limit - removed, <uint64_t>before), backwards)
            index += -before if backwards else leaf.slot.count
            if leaf.slot.count == 0:
                self.remove_leaf(&leaf)
        return removed

    cdef int64_t remove_from(self, Leaf* leaf, Wanted* wanted, int64_t limit, bint backwards) except -1:
        """Up to ``limit`` elements that are equal; the leaf may become empty, but stays."""
        cdef unsigned char* listpack
        cdef int64_t before
        cdef int64_t removed
        if is_plain(leaf.slot):
            removed = 1 if is_wanted_plain(leaf.slot, wanted) else 0
            self.count_in(leaf, -removed, 0)
            return removed
        if not wanted.packable:
            return 0
        if leaf.slot.at & SHARED and holds_none(leaf.slot, wanted):
            return 0
        self.own_leaf(leaf.slot)
        listpack = listpack_of(leaf.slot)
        before = lp_allocated(listpack)
        removed = remove_backwards(&listpack, wanted, limit) if backwards else remove_forwards(&listpack, wanted, limit)
        if removed:
            leaf.slot.at = <size_t>listpack
            self.count_in(leaf, -removed, lp_allocated(listpack) - before)
        return removed

    # ---- Searching

    cpdef list positions(self, bytes element, long long rank, long long count, long long max_length):
        cdef Wanted wanted = wanted_from(element)
        cdef bint backwards = rank < 0
        cdef uint64_t skipped = <uint64_t>(-(rank + 1)) if backwards else <uint64_t>(rank - 1)
        cdef int64_t length = self.whole.count
        cdef int64_t limit = length if max_length == 0 or max_length > length else max_length
        cdef int64_t seen = 0
        cdef int64_t here
        cdef Leaf leaf = self.end_leaf(not backwards)
        cdef list found = []
        if length == 0:
            return found
        while True:
            here = min(limit - seen, leaf.slot.count)
            if search_leaf(&leaf, &wanted, here, backwards, &skipped, seen, count, found):
                break
            seen += here
            if seen == limit:
                break
            self.step(&leaf, backwards)
        return [length - 1 - index for index in found] if backwards else found

    # ---- For DUMP and the like

    def nodes(self):
        """Iterate over the leaves."""
        cdef long long index = 0
        cdef Leaf leaf
        while index < self.whole.count:
            leaf = self.locate(index)
            index += leaf.slot.count
            yield node_of(&leaf)

    def packed(self):
        if self.tree != NULL or self.whole.at == 0 or is_plain(&self.whole):
            return None
        return packed_bytes(listpack_of(&self.whole))

    def push_packed(self, bytes blob):
        """Append all elements of a listpack that is known to be valid."""
        cdef Slot leaf
        cdef Element element
        cdef const unsigned char* listpack = <const unsigned char*>PyBytes_AS_STRING(blob)
        cdef unsigned char* p
        if lp_bytes(listpack) <= LARGEST_LEAF:
            leaf.count = lp_count(listpack)
            if leaf.count:
                leaf.at = <size_t>lp_copy(listpack)
                if leaf.at == 0:
                    raise MemoryError
                self.append_leaf(leaf)
            return
        p = lp_first(listpack)
        while p != NULL:
            lp_get(p, &element)
            self.push(element_bytes(&element))
            p = lp_next(listpack, p)

    @classmethod
    def from_packed(cls, Commons commons, bytes blob):
        made = List(commons)
        made.push_packed(blob)
        return made


# ---- Within one leaf

cdef object node_of(Leaf* leaf):
    """Whether it is plain, and its bytes. As Redis would have it: only what no listpack can hold is plain."""
    cdef unsigned char* listpack
    cdef unsigned char* filled = NULL
    if not is_plain(leaf.slot):
        return False, packed_bytes(listpack_of(leaf.slot))
    element = <bytes>plain_of(leaf.slot)
    if len(element) < PLAIN_FROM:
        listpack = lp_new(0)
        if listpack != NULL:
            filled = lp_append(listpack, PyBytes_AS_STRING(element), PyBytes_GET_SIZE(element))
        if filled == NULL:
            lp_free(listpack)
            raise MemoryError
        try:
            return False, packed_bytes(filled)
        finally:
            lp_free(filled)
    return True, element


cdef inline bytes packed_bytes(const unsigned char* listpack):
    return PyBytes_FromStringAndSize(<const char*>listpack, lp_bytes(listpack))


cdef int write_some(Writer writer, Leaf* leaf, int64_t count, bint backwards) except -1:
    cdef PyObject* plain
    cdef unsigned char* p
    cdef Element element
    if is_plain(leaf.slot):
        plain = plain_of(leaf.slot)
        return writer.bulk_data(PyBytes_AS_STRING(<object>plain), PyBytes_GET_SIZE(<object>plain), plain)
    p = lp_seek(listpack_of(leaf.slot), leaf.offset)
    if not backwards:
        return write_elements(writer, p, <uint32_t>count, 0)
    while True:
        lp_get(p, &element)
        write_element(writer, &element)
        count -= 1
        if count == 0:
            return 0
        p = lp_before(p)


cdef Wanted wanted_from(bytes element) noexcept:
    cdef Wanted wanted
    wanted.data = PyBytes_AS_STRING(element)
    wanted.size = PyBytes_GET_SIZE(element)
    wanted.packable = wanted.size <= LP_LIMIT
    element_of(wanted.data, wanted.size if wanted.packable else 0, &wanted.element)
    return wanted


cdef inline bint is_wanted_plain(Slot* slot, Wanted* wanted) noexcept:
    cdef PyObject* plain = plain_of(slot)
    return (
        PyBytes_GET_SIZE(<object>plain) == wanted.size
        and memcmp(PyBytes_AS_STRING(<object>plain), wanted.data, wanted.size) == 0
    )


cdef inline bint is_wanted(const unsigned char* p, Wanted* wanted) noexcept nogil:
    cdef Element element
    lp_get(p, &element)
    if element.data == NULL or wanted.element.data == NULL:
        return element.data == wanted.element.data and element.number == wanted.element.number
    return element.size == wanted.element.size and memcmp(element.data, wanted.element.data, element.size) == 0


cdef bint holds_none(Slot* slot, Wanted* wanted) noexcept:
    """Whether no element of a listpack is equal."""
    cdef unsigned char* p = lp_first(listpack_of(slot))
    while p != NULL:
        if is_wanted(p, wanted):
            return False
        p = lp_next(listpack_of(slot), p)
    return True


cdef int64_t remove_forwards(unsigned char** listpack, Wanted* wanted, int64_t limit) noexcept nogil:
    """Runs of equal elements go at once."""
    cdef unsigned char* p = lp_first(listpack[0])
    cdef unsigned char* end
    cdef int64_t removed = 0
    cdef uint32_t run
    while p != NULL and removed < limit:
        if not is_wanted(p, wanted):
            p = lp_next(listpack[0], p)
            continue
        run = 1
        end = lp_skip(p)
        while end[0] != LP_END and removed + run < limit and is_wanted(end, wanted):
            run += 1
            end = lp_skip(end)
        listpack[0] = lp_delete_some(listpack[0], p, run, &p)
        removed += run
    return removed


cdef int64_t remove_backwards(unsigned char** listpack, Wanted* wanted, int64_t limit) noexcept nogil:
    cdef unsigned char* p = lp_last(listpack[0])
    cdef unsigned char* before
    cdef size_t offset
    cdef int64_t removed = 0
    cdef uint32_t run
    while p != NULL and removed < limit:
        before = lp_prev(listpack[0], p)
        if is_wanted(p, wanted):
            run = 1
            while before != NULL and removed + run < limit and is_wanted(before, wanted):
                run += 1
                p = before
                before = lp_prev(listpack[0], p)
            offset = before - listpack[0] if before != NULL else 0
            listpack[0] = lp_delete_some(listpack[0], p, run, NULL)
            removed += run
            before = listpack[0] + offset if offset else NULL
        p = before
    return removed


cdef bint search_leaf(
    Leaf* leaf, Wanted* wanted, int64_t count, bint backwards, uint64_t* skipped, int64_t seen, int64_t limit, list found
) except -1:
    """Notes where among its first (or last) ``count`` elements are equal ones; whether there are enough now."""
    cdef unsigned char* p = NULL
    cdef bint plain = is_plain(leaf.slot)
    cdef int64_t i
    if count <= 0 or not (plain or wanted.packable):
        return False
    if not plain:
        p = lp_last(listpack_of(leaf.slot)) if backwards else lp_begin(listpack_of(leaf.slot))
    for i in range(count):
        if is_wanted_plain(leaf.slot, wanted) if plain else is_wanted(p, wanted):
            if skipped[0]:
                skipped[0] -= 1
            else:
                found.append(seen + i)
                if len(found) == limit:
                    return True
        if i + 1 < count:
            p = lp_before(p) if backwards else lp_skip(p)
    return False
