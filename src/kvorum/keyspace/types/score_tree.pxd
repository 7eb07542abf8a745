"""C side of the index of a sorted set; the essay is in ``score_tree.pyx``."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp

from kvorum.keyspace.entry cimport Entry, key_of
from kvorum.keyspace.slab cimport Heap

cdef enum:
    LEAF_ITEMS = 62
    INNER_CHILDREN = 31
    MAX_HEIGHT = 24


cdef struct Leaf:
    Leaf* previous
    Leaf* following
    uint64_t count
    double scores[LEAF_ITEMS]
    Entry* entries[LEAF_ITEMS]


cdef struct Inner:
    uint64_t count
    double scores[INNER_CHILDREN]       # with ``entries``: the first item below each child
    Entry* entries[INNER_CHILDREN]
    void* children[INNER_CHILDREN]
    uint64_t counts[INNER_CHILDREN]     # how many items there are below each child


cdef struct ScoreTree:                  # zeroed: empty
    void* root                          # Leaf*, or with a height Inner*
    uint64_t count
    uint32_t height


cdef struct Position:
    Leaf* leaf                          # NULL: before the first or behind the last item
    uint64_t index


cdef struct Bound:                      # a place between items
    double score
    const char* data                    # a member, or NULL: items of this score are not told apart
    size_t size
    bint by_score                       # False: scores are not looked at (they are all the same)
    bint after                          # whether what equals the bound stands before the place


cdef inline void advance(Position* position) noexcept nogil:
    position.index += 1
    if position.index == position.leaf.count:
        position.leaf = position.leaf.following
        position.index = 0


cdef inline void retreat(Position* position) noexcept nogil:
    if position.index == 0:
        position.leaf = position.leaf.previous
        position.index = position.leaf.count if position.leaf != NULL else 0
    position.index -= 1


cdef inline double score_at(Position* position) noexcept nogil:
    return position.leaf.scores[position.index]


cdef inline Entry* entry_at(Position* position) noexcept nogil:
    return position.leaf.entries[position.index]


cdef inline int compare_bytes(const char* a, size_t a_size, const char* b, size_t b_size) noexcept nogil:
    """The order of members."""
    cdef int order = memcmp(a, b, min(a_size, b_size))
    if order:
        return order
    return (a_size > b_size) - (a_size < b_size)


cdef inline bint is_before(double score, Entry* entry, Bound* bound) noexcept nogil:
    """Whether an item stands before a place."""
    cdef int order
    if bound.by_score and score != bound.score:
        return score < bound.score
    if bound.data == NULL:
        return bound.after
    order = compare_bytes(key_of(entry), entry.key_size, bound.data, bound.size)
    return order < 0 or (order == 0 and bound.after)


cdef int insert_item(Heap* heap, ScoreTree* tree, double score, Entry* entry, int64_t* bytes) noexcept nogil
cdef void remove_item(Heap* heap, ScoreTree* tree, double score, Entry* entry, int64_t* bytes) noexcept nogil
cdef Entry* take_item(Heap* heap, ScoreTree* tree, uint64_t rank, double* score, int64_t* bytes) noexcept nogil
cdef void move_item(
    Heap* heap, ScoreTree* tree, double score, Entry* entry, double new_score, int64_t* bytes,
) noexcept nogil
cdef uint64_t rank_of_item(ScoreTree* tree, double score, Entry* entry) noexcept nogil
cdef uint64_t rank_of_bound(ScoreTree* tree, Bound* bound) noexcept nogil
cdef Position select_rank(ScoreTree* tree, uint64_t rank) noexcept nogil
cdef bint free_nodes(Heap* heap, ScoreTree* tree, uint64_t limit, int64_t* bytes) noexcept nogil
cdef const char* fault_in_tree(ScoreTree* tree) noexcept nogil
