"""The counted tree below a long list; the essay is in ``list_tree.pyx``. C only; the twin of a list has no need of it."""
from libc.stdint cimport int64_t, uint32_t

cdef enum:
    FANOUT = 32
    PLAIN = 1               # in Slot.at of a leaf: it is a bytes object, not a listpack
    SHARED = 2              # a snapshot may have this listpack too, if the tree has a keeper


cdef struct Slot:
    size_t at               # below it: a leaf (a listpack, or with PLAIN a bytes object), above the bottom level a node
    int64_t count           # elements below it


cdef struct Node:
    Node* parent
    Node* following         # the neighbours on the bottom level
    Node* previous
    uint32_t used
    uint32_t level          # 0: the bottom, whose slots are leaves
    Slot slots[FANOUT]


cdef struct LeafKeeper:         # a snapshot that shares leaves
    void (*take)(void* context, unsigned char* listpack) noexcept   # it owns the listpack now
    void (*fail)(void* context) noexcept                            # there is no memory for it: the snapshot ends
    void* context


cdef struct Tree:
    Node* root
    Node* first             # the outermost nodes of the bottom level
    Node* last
    int64_t first_pending   # what the nodes above ``first`` and ``last`` have not yet been told about their counts
    int64_t last_pending
    int64_t leaves
    int64_t bytes           # of all leaves, the nodes and this
    LeafKeeper* keeper      # NULL: no leaf is shared, whatever is written at it


cdef Tree* tree_new(Slot leaf, int64_t leaf_bytes) noexcept nogil       # NULL: no memory
cdef void tree_free(Tree* tree) noexcept nogil                          # but not the leaves
cdef bint tree_insert(Tree* tree, Node* node, uint32_t position, Slot leaf) noexcept nogil      # False: no memory, unchanged
cdef void tree_remove(Tree* tree, Node* node, uint32_t position) noexcept nogil
cdef Node* tree_find(Tree* tree, int64_t index, uint32_t* position, int64_t* offset) noexcept nogil
cdef void add_to_ancestors(Node* node, int64_t count) noexcept nogil


cdef inline void tree_count(Tree* tree, Node* node, uint32_t position, int64_t count) noexcept nogil:
    """A leaf has so many more elements."""
    node.slots[position].count += count
    tell_above(tree, node, count)


cdef inline void tell_above(Tree* tree, Node* node, int64_t count) noexcept nogil:
    """At the ends this is put off, which makes it O(1) there."""
    if node == tree.first:
        tree.first_pending += count
    elif node == tree.last:
        tree.last_pending += count
    else:
        add_to_ancestors(node, count)
