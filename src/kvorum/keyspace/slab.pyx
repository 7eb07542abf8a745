# cython: wraparound=False, cdivision=True
"""Where entries and buckets live: objects of one size in pages of 16 KiB, pages in regions of 2 MiB. C only.

Why not malloc. It keeps eight bytes beside each allocation and rounds to sixteen, which makes 80 bytes of an entry of
64. Aligning buckets to cache lines wastes as much again. And it gives memory back when it sees fit: after ten million
keys were freed in small steps, glibc trimmed its heap within one call that took more than a second. Here unused
regions are unmapped one by one, some hundred microseconds each, and the caller says how many at a time.

Sizes come in steps of 8 bytes up to 512, of 64 up to 2,048; beyond that there are 4, 8 and 16 KiB for arrays of
buckets. An object's page is found from its address (regions are aligned), so objects have no header. Sizes that are
powers of two are aligned to themselves.

Pages whose objects are used only in part are the price (fragmentation, as in every allocator that does not move
objects): the accounting counts objects, since only they tell what removing a key gains; ``Heap.reserved_bytes``
counts regions.
"""
cdef extern from "<sys/mman.h>" nogil:
    """
    #include <sys/mman.h>
    #ifndef MAP_ANONYMOUS
    #define MAP_ANONYMOUS MAP_ANON
    #endif
    """
    void* mmap(void* address, size_t size, int protection, int flags, int descriptor, long offset)
    int munmap(void* address, size_t size)
    void* MAP_FAILED
    enum:
        PROT_READ
        PROT_WRITE
        MAP_PRIVATE
        MAP_ANONYMOUS

cdef enum:
    FINE_LIMIT = 512
    FINE_CLASSES = 65           # class = bytes / 8
    COARSE_CLASSES = 89         # and on: steps of 64
    PAGE_BYTES = 1 << PAGE_BITS
    REGION_BYTES = 1 << REGION_BITS


cdef inline unsigned int class_of(size_t size) noexcept nogil:
    if size <= FINE_LIMIT:
        return <unsigned int>((size + 7) >> 3)
    if size <= SLAB_LIMIT:
        return <unsigned int>(FINE_CLASSES + ((size - FINE_LIMIT - 1) >> 6))
    if size <= PAGE_BYTES // 4:
        return COARSE_CLASSES
    return COARSE_CLASSES + 1 if size <= PAGE_BYTES // 2 else COARSE_CLASSES + 2


cdef inline unsigned int bytes_of_class(unsigned int number) noexcept nogil:
    if number < FINE_CLASSES:
        return number << 3
    if number < COARSE_CLASSES:
        return FINE_LIMIT + ((number - FINE_CLASSES + 1) << 6)
    return (PAGE_BYTES // 4) << (number - COARSE_CLASSES)


cdef inline Region* region_of(Page* page) noexcept nogil:
    return <Region*>(<size_t>page & ~<size_t>(REGION_BYTES - 1))


cdef void* take(Heap* heap, size_t size) noexcept nogil:
    """An object of at least so many bytes, at most SLAB_LIMIT or exactly 4, 8 or 16 KiB; NULL: no memory."""
    cdef unsigned int number = class_of(size)
    cdef Page* page = heap.pages[number]
    cdef Region* region
    cdef void* object
    if page == NULL:
        page = take_page(heap)
        if page == NULL:
            return NULL
        page.bytes = bytes_of_class(number)
        page.capacity = PAGE_BYTES // page.bytes
        list_page(heap, page)
    object = page.released
    if object != NULL:
        page.released = (<void**>object)[0]
    else:
        region = region_of(page)
        object = <char*>region + ((page - region.pages) << PAGE_BITS) + page.fresh * <size_t>page.bytes
        page.fresh += 1
    page.used += 1
    if page.used == page.capacity:
        unlist_page(heap, page)
    return object


cdef void give(Heap* heap, void* object) noexcept nogil:
    cdef Page* page = page_of(object)
    if page.used == page.capacity:
        list_page(heap, page)
    (<void**>object)[0] = page.released
    page.released = object
    page.used -= 1
    if page.used == 0:
        unlist_page(heap, page)
        give_page(heap, page)


cdef void list_page(Heap* heap, Page* page) noexcept nogil:
    cdef Page** first = &heap.pages[class_of(page.bytes)]
    page.following = first[0]
    page.previous = NULL
    if first[0] != NULL:
        first[0].previous = page
    first[0] = page


cdef void unlist_page(Heap* heap, Page* page) noexcept nogil:
    if page.previous != NULL:
        page.previous.following = page.following
    else:
        heap.pages[class_of(page.bytes)] = page.following
    if page.following != NULL:
        page.following.previous = page.previous


cdef Page* take_page(Heap* heap) noexcept nogil:
    cdef Region* region = heap.regions
    cdef Page* page
    if region == NULL:
        region = take_region(heap)
        if region == NULL:
            return NULL
    page = region.released
    if page != NULL:
        region.released = page.following
    else:
        page = &region.pages[region.fresh]
        region.fresh += 1
    region.used += 1
    if region.used == REGION_PAGES - 1:
        unlist_region(heap, region)
    page.released = NULL
    page.used = 0
    page.fresh = 0
    return page


cdef void give_page(Heap* heap, Page* page) noexcept nogil:
    cdef Region* region = region_of(page)
    if region.used == REGION_PAGES - 1:
        list_region(heap, region)
    page.following = region.released
    region.released = page
    region.used -= 1
    if region.used == 0:
        unlist_region(heap, region)
        give_region(heap, region)


cdef void list_region(Heap* heap, Region* region) noexcept nogil:
    region.following = heap.regions
    region.previous = NULL
    if heap.regions != NULL:
        heap.regions.previous = region
    heap.regions = region


cdef void unlist_region(Heap* heap, Region* region) noexcept nogil:
    if region.previous != NULL:
        region.previous.following = region.following
    else:
        heap.regions = region.following
    if region.following != NULL:
        region.following.previous = region.previous


cdef Region* take_region(Heap* heap) noexcept nogil:
    cdef Region* region = heap.spare
    if region != NULL:
        heap.spare = region.following
        heap.spare_count -= 1
    else:
        region = <Region*>map_aligned()
        if region == NULL:
            return NULL
        heap.reserved_bytes += REGION_BYTES
    region.released = NULL
    region.used = 0
    region.fresh = 1
    list_region(heap, region)
    return region


cdef void give_region(Heap* heap, Region* region) noexcept nogil:
    """It waits for trim_heap: the last objects of a database that is freed may leave very many regions at once."""
    region.following = heap.spare
    heap.spare = region
    heap.spare_count += 1


cdef uint32_t trim_heap(Heap* heap, uint32_t limit, uint32_t kept) noexcept nogil:
    """Give up to ``limit`` unused regions back to the system until ``kept`` are left; how many."""
    cdef uint32_t trimmed = 0
    cdef Region* region
    while trimmed < limit and heap.spare_count > kept:
        region = heap.spare
        heap.spare = region.following
        heap.spare_count -= 1
        heap.reserved_bytes -= REGION_BYTES
        munmap(region, REGION_BYTES)
        trimmed += 1
    return trimmed


cdef void* map_aligned() noexcept nogil:
    """2 MiB aligned to 2 MiB. The system usually places one mapping below the last, so that the first try fits."""
    cdef char* place = <char*>mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    cdef size_t surplus
    if place == <char*>MAP_FAILED:
        return NULL
    if <size_t>place & (REGION_BYTES - 1) == 0:
        return place
    munmap(place, REGION_BYTES)
    place = <char*>mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if place == <char*>MAP_FAILED:
        return NULL
    surplus = REGION_BYTES - (<size_t>place & (REGION_BYTES - 1))
    if surplus < REGION_BYTES:
        munmap(place, surplus)
        munmap(place + surplus + REGION_BYTES, REGION_BYTES - surplus)
    else:
        surplus = 0
        munmap(place + REGION_BYTES, REGION_BYTES)
    return place + surplus
