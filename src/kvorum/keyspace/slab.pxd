"""C side of the allocator of entries and buckets; the essay is in ``slab.pyx``."""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

cdef enum:
    SLAB_LIMIT = 2048           # bytes; what is longer comes from malloc, unless it is 4, 8 or 16 KiB
    CLASSES = 92
    PAGE_BITS = 14
    REGION_BITS = 21
    REGION_PAGES = 1 << (REGION_BITS - PAGE_BITS)


cdef struct Page:               # describes a run of 16 KiB that is cut into objects of one size
    Page* following             # in the list of the pages of its class that have room; or of its region's unused ones
    Page* previous
    void* released              # objects that were given back, linked through their first word
    uint16_t used
    uint16_t fresh              # objects from this one on were never used
    uint16_t capacity
    uint16_t bytes


cdef struct Region:             # the first page of 2 MiB, aligned to its size
    Region* following           # in the list of regions that have unused pages
    Region* previous
    Page* released
    uint32_t used
    uint32_t fresh
    Page pages[REGION_PAGES]    # the first one is this header and stays unused


ctypedef int64_t (*ClockFunction)(void* context) noexcept


cdef struct Heap:               # what all tables of a keyspace share
    uint64_t hash_seed
    uint16_t epoch              # number of the snapshot that runs, 0: none; entries that are made now bear it
    Page* pages[CLASSES]        # those with room
    Region* regions             # those with unused pages
    Region* spare               # those that are unused altogether
    uint32_t spare_count
    int64_t reserved_bytes      # of all regions
    ClockFunction clock         # thread CPU time in ns, or NULL
    void* clock_context
    int64_t growth_count
    int64_t growth_total_ns
    int64_t growth_longest_ns


cdef inline Page* page_of(const void* object) noexcept nogil:
    cdef size_t offset = <size_t>object & (((<size_t>1) << REGION_BITS) - 1)
    return &(<Region*>(<size_t>object - offset)).pages[offset >> PAGE_BITS]


cdef inline size_t room_of(const void* object) noexcept nogil:
    """The bytes that an object of the slab has, which is what it costs."""
    return page_of(object).bytes


cdef void* take(Heap* heap, size_t size) noexcept nogil
cdef void give(Heap* heap, void* object) noexcept nogil
cdef uint32_t trim_heap(Heap* heap, uint32_t limit, uint32_t kept) noexcept nogil
