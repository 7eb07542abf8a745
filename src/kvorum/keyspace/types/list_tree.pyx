# cython: wraparound=False, cdivision=True
"""The counted tree below a long list: a B+tree whose leaves are the list's listpacks, in order.

A slot says where its leaf or node is and how many elements are below it; the element with an index is found by adding
up counts on the way down, at most FANOUT per level. The nodes of the bottom level are linked, for walking.

Ends. A list is mostly used at its ends, and there nothing may depend on its length. So the nodes above the first and
the last node of the bottom level are not told each time that an element came or went: the tree notes what is *pending*
for either end, and settles it before somebody searches, before a node splits and before one goes.

Splitting. A node that is full is halved, unless the new slot comes first or last in it: then the old slots stay
together, so that a list that grows at an end has full nodes. Removing never merges nodes; one that is empty goes, and
so does a root with a single child. A tree is therefore never deeper than it was at its largest, about five levels
for a thousand million elements; merging would save nothing that could be noticed.

Rejected: an array of leaves with their counts, which is simpler, but whose middle is linear to search and to change; and
Redis' own linked list of nodes, for the same reason.
"""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from kvorum.keyspace.entry cimport chunk_bytes

cdef enum:
    MAX_LEVELS = 24             # nodes are at least half full when they are made: 2**64 elements need fewer levels


cdef Node* _new_node(Tree* tree, uint32_t level) noexcept nogil:
    cdef Node* node = <Node*>malloc(sizeof(Node))
    if node != NULL:
        node.parent = node.following = node.previous = NULL
        node.used = 0
        node.level = level
        tree.bytes += chunk_bytes(node)
    return node


cdef void _free_node(Tree* tree, Node* node) noexcept nogil:
    tree.bytes -= chunk_bytes(node)
    free(node)


cdef Tree* tree_new(Slot leaf, int64_t leaf_bytes) noexcept nogil:
    cdef Tree* tree = <Tree*>malloc(sizeof(Tree))
    if tree == NULL:
        return NULL
    tree.bytes = leaf_bytes + chunk_bytes(tree)
    tree.first_pending = tree.last_pending = 0
    tree.keeper = NULL
    tree.leaves = 1
    tree.root = tree.first = tree.last = _new_node(tree, 0)
    if tree.root == NULL:
        free(tree)
        return NULL
    tree.root.used = 1
    tree.root.slots[0] = leaf
    return tree


cdef void _free_below(Node* node) noexcept nogil:
    """Recursive, but only as deep as the tree."""
    cdef uint32_t i
    if node.level:
        for i in range(node.used):
            _free_below(<Node*>node.slots[i].at)
    free(node)


cdef void tree_free(Tree* tree) noexcept nogil:
    _free_below(tree.root)
    free(tree)


# ---- Counts

cdef inline uint32_t _position_of(Node* node) noexcept nogil:
    """Where it stands in its parent, which it has."""
    cdef Node* parent = node.parent
    cdef uint32_t i = 0
    while parent.slots[i].at != <size_t>node:
        i += 1
    return i


cdef void add_to_ancestors(Node* node, int64_t count) noexcept nogil:
    while node.parent != NULL:
        node.parent.slots[_position_of(node)].count += count
        node = node.parent


cdef inline void _settle(Tree* tree) noexcept nogil:
    if tree.first_pending:
        add_to_ancestors(tree.first, tree.first_pending)
        tree.first_pending = 0
    if tree.last_pending:
        add_to_ancestors(tree.last, tree.last_pending)
        tree.last_pending = 0


cdef int64_t _total(Node* node) noexcept nogil:
    cdef int64_t count = 0
    cdef uint32_t i
    for i in range(node.used):
        count += node.slots[i].count
    return count


cdef Node* tree_find(Tree* tree, int64_t index, uint32_t* position, int64_t* offset) noexcept nogil:
    """The bottom node, and the position in it, of the leaf with the element ``index``, which must exist."""
    cdef Node* node = tree.root
    cdef uint32_t i
    _settle(tree)
    while True:
        i = 0
        while index >= node.slots[i].count:
            index -= node.slots[i].count
            i += 1
        if node.level == 0:
            position[0] = i
            offset[0] = index
            return node
        node = <Node*>node.slots[i].at


# ---- Inserting

cdef void _adopt(Node* node) noexcept nogil:
    cdef uint32_t i
    if node.level:
        for i in range(node.used):
            (<Node*>node.slots[i].at).parent = node


cdef void _put(Node* node, uint32_t position, Slot slot) noexcept nogil:
    """Into a node that has room."""
    memmove(&node.slots[position + 1], &node.slots[position], (node.used - position) * sizeof(Slot))
    node.slots[position] = slot
    node.used += 1
    if node.level:
        (<Node*>slot.at).parent = node


cdef void _split(Tree* tree, Node* node, Node* right, uint32_t position, Slot slot) noexcept nogil:
    """Moves a part of a full node to the empty one on its right, and puts the slot where it belongs."""
    cdef uint32_t kept = FANOUT // 2
    if position == FANOUT:
        kept = FANOUT
    elif position == 0:
        kept = 0
    right.level = node.level
    right.used = FANOUT - kept
    memcpy(&right.slots[0], &node.slots[kept], right.used * sizeof(Slot))
    node.used = kept
    _adopt(right)
    if position <= kept and kept < FANOUT:
        _put(node, position, slot)
    else:
        _put(right, position - kept, slot)
    if node.level == 0:
        right.previous = node
        right.following = node.following
        node.following = right
        if right.following != NULL:
            right.following.previous = right
        else:
            tree.last = right


cdef int _spare_nodes(Tree* tree, Node* node, Node** spare) noexcept nogil:
    """The nodes that splitting from here upwards takes, made beforehand; how many, or -1: no memory."""
    cdef int needed = 0
    cdef int i
    while node != NULL and node.used == FANOUT:
        needed += 1
        node = node.parent
    if node == NULL:
        needed += 1                     # a new root
    if needed > MAX_LEVELS:
        return -1
    for i in range(needed):
        spare[i] = _new_node(tree, 0)
        if spare[i] == NULL:
            while i > 0:
                i -= 1
                _free_node(tree, spare[i])
            return -1
    return needed


cdef bint tree_insert(Tree* tree, Node* node, uint32_t position, Slot leaf) noexcept nogil:
    """A new leaf before ``position`` of a bottom node; its bytes are counted by the caller."""
    cdef Node* spare[MAX_LEVELS]
    cdef Node* right
    cdef Node* parent
    cdef Slot slot = leaf
    cdef int next_spare = 0
    if node.used < FANOUT:
        _put(node, position, leaf)
        tell_above(tree, node, leaf.count)
        tree.leaves += 1
        return True
    if _spare_nodes(tree, node, spare) < 0:
        return False
    _settle(tree)
    while node.used == FANOUT:
        right = spare[next_spare]
        next_spare += 1
        _split(tree, node, right, position, slot)
        parent = node.parent
        if parent == NULL:
            parent = spare[next_spare]
            next_spare += 1
            parent.level = node.level + 1
            slot.at = <size_t>node
            slot.count = 0
            _put(parent, 0, slot)
            tree.root = parent
        position = _position_of(node)
        parent.slots[position].count = _total(node)
        slot.at = <size_t>right
        slot.count = _total(right)
        node = parent
        position += 1
    _put(node, position, slot)
    add_to_ancestors(node, leaf.count)
    tree.leaves += 1
    return True


# ---- Removing

cdef void tree_remove(Tree* tree, Node* node, uint32_t position) noexcept nogil:
    """Forget a leaf, which the caller has freed. The last one is not removed: the caller frees the tree."""
    cdef int64_t count = node.slots[position].count
    cdef Node* parent
    tree.leaves -= 1
    if node.used > 1:
        _take_out(node, position)
        tell_above(tree, node, -count)
        return
    _settle(tree)
    add_to_ancestors(node, -count)
    _unlink(tree, node)
    while node.parent != NULL:
        parent = node.parent
        _take_out(parent, _position_of(node))
        _free_node(tree, node)
        node = parent
        if node.used:
            break
    while tree.root.level and tree.root.used == 1:
        node = tree.root
        tree.root = <Node*>node.slots[0].at
        tree.root.parent = NULL
        _free_node(tree, node)


cdef void _take_out(Node* node, uint32_t position) noexcept nogil:
    node.used -= 1
    memmove(&node.slots[position], &node.slots[position + 1], (node.used - position) * sizeof(Slot))


cdef void _unlink(Tree* tree, Node* node) noexcept nogil:
    if node.previous != NULL:
        node.previous.following = node.following
    else:
        tree.first = node.following
    if node.following != NULL:
        node.following.previous = node.previous
    else:
        tree.last = node.previous
