# cython: wraparound=False, initializedcheck=False, cdivision=True
"""Sorted sets: members with scores, in order. ``sorted_set.py`` is the twin and documents what a sorted set does.

A small one is a listpack, see ``sorted_listpack``. A big one is two structures over the same entries: a table of
``keyspace/members``, in which a member has its score as value, and a ``score_tree`` for the order. A change is made in the one
that may lack memory first and undone there if the other fails, so that they always agree.

The object is 64 bytes; listpack and ``Big`` are exclusive, and there is always one of them. Memory is counted as it was
allocated, in O(1).

No memory: the method raises MemoryError and the sorted set is as it was, if perhaps already a big one.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport NAN, isnan
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kvorum.errors import WrongTypeError

from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.entry cimport Entry, chunk_bytes, key_of, prefetch_line, value_of
from kvorum.keyspace.members cimport (
    MemberWalk,
    add_member,
    begin_chain,
    clear_members,
    detach_member,
    discard_member,
    find_member,
    free_members,
    member_changes,
    member_count,
    next_in_chain,
    remove_member,
)
from kvorum.keyspace.table cimport Database
from kvorum.keyspace.types.listpack cimport (
    Element,
    element_bytes,
    element_text,
    lp_allocated,
    lp_begin,
    lp_bytes,
    lp_copy,
    lp_count,
    lp_delete_range,
    lp_delete_some,
    lp_ends,
    lp_find,
    lp_fits,
    lp_free,
    lp_from,
    lp_get,
    lp_new,
    lp_seek,
    lp_skip,
)
from kvorum.keyspace.types.score_tree cimport (
    Bound,
    Position,
    advance,
    entry_at,
    fault_in_tree,
    free_nodes,
    insert_item,
    is_before,
    move_item,
    rank_of_bound,
    rank_of_item,
    remove_item,
    retreat,
    score_at,
    select_rank,
    take_item,
)
from kvorum.keyspace.types.sorted_listpack cimport (
    bound_before,
    is_regular,
    next_item,
    packed_insert,
    packed_move,
    packed_place,
    packed_rank,
    packed_score,
    packed_section,
    packed_write,
)
from kvorum.keyspace.types.sorted_set_ranges cimport Range, Ranges, Section
from kvorum.keyspace.values cimport Value
from kvorum.resp.numbers cimport DOUBLE_CHARACTERS
from kvorum.resp.numbers import format_double
from kvorum.resp.span cimport Span
from kvorum.resp.writer cimport Writer

cdef enum:
    NUMBER_BYTES = 24           # room for the text of an integer
    STEP = 64                   # so many items at a time are shown by an iteration
    VISITS_PER_ITEM = 10        # a scan looks at so many buckets per member that it was asked for

cdef long long OBJECT_BYTES


cdef inline Span span_of(bytes text):
    cdef Span span
    span.data = PyBytes_AS_STRING(text)
    span.size = PyBytes_GET_SIZE(text)
    span.owner = NULL
    return span


cdef inline double entry_score(Entry* entry) noexcept nogil:
    cdef double score
    memcpy(&score, value_of(entry), sizeof(score))
    return score


cdef tuple pair_at(const unsigned char* p):
    cdef Element member
    cdef uint32_t size = lp_get(p, &member)
    return element_bytes(&member), packed_score(p + size)


cdef tuple pair_of(Entry* entry, double score):
    return PyBytes_FromStringAndSize(key_of(entry), entry.key_size), score


@cython.final
@cython.no_gc
cdef class SortedSet(Value):
    kind = b"zset"

    def __cinit__(self, Commons commons not None):
        self.commons = commons
        self.lp = lp_new(0)
        if self.lp == NULL:
            raise MemoryError

    def __init__(self, commons):
        self.accounted_bytes = 0

    def __dealloc__(self):
        lp_free(self.lp)
        if self.big != NULL:
            free_big(self.commons, self.big)

    def __len__(self):
        return self.length()

    cpdef long long length(self) noexcept:
        return self.big.tree.count if self.lp == NULL else lp_count(self.lp) >> 1

    # ---- As a value of the keyspace

    cpdef long long used_bytes(self) except -1:
        if self.lp != NULL:
            return OBJECT_BYTES + lp_allocated(self.lp)
        return OBJECT_BYTES + chunk_bytes(self.big) + self.big.members.bytes + self.big.tree_bytes

    cpdef bytes encoding(self):
        return b"skiplist" if self.lp == NULL else b"listpack"

    cpdef Py_ssize_t elements(self) except -1:
        return member_count(&self.big.members) if self.lp == NULL else 1

    def copy(self):
        cdef SortedSet copied = SortedSet(self.commons)
        cdef unsigned char* lp = NULL
        cdef Position position
        if self.lp != NULL:
            lp = lp_copy(self.lp)
            if lp == NULL:
                raise MemoryError
            lp_free(copied.lp)
            copied.lp = lp
            return copied
        copied.convert()
        position = select_rank(&self.big.tree, 0)
        while position.leaf != NULL:
            add_to_big(self.commons, copied.big, key_of(entry_at(&position)), entry_at(&position).key_size,
                       score_at(&position))
            advance(&position)
        return copied

    def release_some(self, int64_t budget):
        if self.lp != NULL or budget <= 0:
            return 0
        if free_nodes(&self.commons.heap, &self.big.tree, budget, &self.big.tree_bytes):
            return budget
        return free_members(&self.commons.heap, &self.big.members, &self.big.released, budget)

    def add_to_digest(self, digest):
        for member, score in self.items():
            part = type(digest)()
            part.mix(member)
            part.mix(format_double(score))
            digest.add(part.raw)

    def packed(self):
        if self.lp == NULL:
            return None
        return PyBytes_FromStringAndSize(<char*>self.lp, lp_bytes(self.lp))

    @classmethod
    def from_packed(cls, Commons commons not None, bytes blob not None):
        cdef SortedSet made
        cdef list items = []
        cdef unsigned char* lp = lp_from(PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob))
        cdef unsigned char* p
        if lp == NULL:
            raise MemoryError
        try:
            if is_regular(lp, commons.zset_max_entries, commons.zset_max_value):
                made = SortedSet(commons)
                lp_free(made.lp)
                made.lp = lp
                lp = NULL
                return made
            p = lp_begin(lp)
            while not lp_ends(p) and not lp_ends(lp_skip(p)):
                items.append(pair_at(p))
                p = next_item(p)
        finally:
            lp_free(lp)
        return cls.from_items(commons, items)

    @classmethod
    def from_items(cls, Commons commons not None, list items not None, bint big=False):
        cdef SortedSet made = SortedSet(commons)
        if big:
            made.convert()
        for member, score in items:
            made.add(member, score)
        return made

    # ---- At a key

    @staticmethod
    cdef SortedSet at(Database database, Span key):
        value = database.read_object(key)
        if value is not None and type(value) is not SortedSet:
            raise WrongTypeError
        return <SortedSet>value

    @staticmethod
    cdef SortedSet open_at(Database database, Span key):
        value = database.open_object(key)
        if value is not None and type(value) is not SortedSet:
            raise WrongTypeError
        return <SortedSet>value

    # ---- Changing

    cdef Change change(self, Span member, double score, int flags) except *:
        if self.lp != NULL:
            return self.change_packed(member, score, flags)
        return self.change_big(member, score, flags)

    cdef Change change_packed(self, Span member, double score, int flags) except *:
        cdef unsigned char* p = self.find_packed(member)
        cdef Change change
        cdef double current
        if p == NULL:
            if flags & IF_PRESENT:
                return refusal()
            if not self.add_packed(member, score):
                return self.change_big(member, score, flags)
            return addition(score)
        current = packed_score(lp_skip(p))
        change = changed_score(current, score, flags)
        if change.changed:
            self.move_packed(p, member, change.score)
        return change

    cdef Change change_big(self, Span member, double score, int flags) except *:
        cdef Big* big = self.big
        cdef Entry* entry
        cdef Change change
        cdef double current
        if flags & IF_PRESENT:
            entry = find_member(&self.commons.heap, &big.members, member.data, member.size)
            if entry == NULL:
                return refusal()
        elif add_to_table(self.commons, big, member.data, member.size, score, &entry):
            return addition(score)
        current = entry_score(entry)
        change = changed_score(current, score, flags)
        if change.changed:
            member_changes(&big.members, entry)
            move_item(&self.commons.heap, &big.tree, current, entry, change.score, &big.tree_bytes)
            memcpy(value_of(entry), &change.score, sizeof(double))
        return change

    cdef int add_packed(self, Span member, double score) except -1:
        """Add a member that is not there; 0: not done, it is big now."""
        cdef Bound item = bound_before(member.data, member.size, score)
        cdef unsigned char* grown
        if (
            self.length() >= self.commons.zset_max_entries
            or member.size > self.commons.zset_max_value
            or not lp_fits(self.lp, member.size + DOUBLE_CHARACTERS)
        ):
            self.convert()
            return 0
        grown = packed_insert(self.lp, packed_place(self.lp, &item), &item)
        if grown == NULL:
            raise MemoryError
        self.lp = grown
        return 1

    cdef int move_packed(self, unsigned char* p, Span member, double score) except -1:
        """Give the item at p another score."""
        cdef Bound item = bound_before(member.data, member.size, score)
        cdef unsigned char* grown = packed_move(self.lp, p, &item)
        if grown == NULL:
            raise MemoryError
        self.lp = grown
        return 0

    cdef int convert(self) except -1:
        """Become a big one."""
        cdef char room[NUMBER_BYTES]
        cdef const char* text
        cdef Element member
        cdef uint32_t size
        cdef unsigned char* p = lp_begin(self.lp)
        cdef Big* big = <Big*>calloc(1, sizeof(Big))
        if big == NULL:
            raise MemoryError
        try:
            while not lp_ends(p):
                p += lp_get(p, &member)
                size = element_text(&member, room, &text)
                add_to_big(self.commons, big, text, size, packed_score(p))
                p = lp_skip(p)
        except BaseException:
            free_big(self.commons, big)
            raise
        lp_free(self.lp)
        self.lp = NULL
        self.big = big
        return 0

    cdef bint drop(self, Span member) noexcept:
        cdef unsigned char* p
        cdef Entry* entry
        if self.lp != NULL:
            p = self.find_packed(member)
            if p == NULL:
                return False
            self.lp = lp_delete_some(self.lp, p, 2, NULL)
            return True
        entry = detach_member(&self.commons.heap, &self.big.members, member.data, member.size)
        if entry == NULL:
            return False
        remove_item(&self.commons.heap, &self.big.tree, entry_score(entry), entry, &self.big.tree_bytes)
        discard_member(&self.commons.heap, entry)
        return True

    cdef long long remove_section(self, Section section) noexcept:
        cdef long long i
        cdef double score
        cdef Entry* entry
        if self.lp != NULL:
            if section.length > 0:
                self.lp = lp_delete_range(self.lp, 2 * section.first, <uint32_t>(2 * section.length))
            return section.length
        for i in range(section.length):
            entry = take_item(&self.commons.heap, &self.big.tree, section.first, &score, &self.big.tree_bytes)
            detach_member(&self.commons.heap, &self.big.members, key_of(entry), entry.key_size)
            discard_member(&self.commons.heap, entry)
        return section.length

    cdef int take_items(self, Writer writer, long long count, bint highest, bint paired) except -1:
        cdef Section section = self.by_rank(0, count - 1, highest)
        self.write_items(writer, section, highest, True, paired)
        self.remove_section(section)
        return 0

    # ---- Looking

    cdef unsigned char* find_packed(self, Span member) noexcept:
        return lp_find(self.lp, lp_begin(self.lp), member.data, member.size, 1)

    cdef double score_of(self, Span member) noexcept:
        cdef unsigned char* p
        cdef Entry* entry
        if self.lp != NULL:
            p = self.find_packed(member)
            return packed_score(lp_skip(p)) if p != NULL else NAN
        entry = find_member(&self.commons.heap, &self.big.members, member.data, member.size)
        return entry_score(entry) if entry != NULL else NAN

    cdef long long rank_of(self, Span member, bint reverse) noexcept:
        cdef unsigned char* p
        cdef Entry* entry
        cdef long long rank
        if self.lp != NULL:
            p = self.find_packed(member)
            if p == NULL:
                return -1
            rank = packed_rank(self.lp, p)
        else:
            entry = find_member(&self.commons.heap, &self.big.members, member.data, member.size)
            if entry == NULL:
                return -1
            rank = rank_of_item(&self.big.tree, entry_score(entry), entry)
        return self.length() - 1 - rank if reverse else rank

    cdef Section by_rank(self, long long start, long long stop, bint reverse) noexcept:
        cdef long long length = self.length()
        cdef Section section = Ranges.ranks(start, stop, length)
        if reverse:
            section.first = length - section.first - section.length
        return section

    cdef Section between(self, Range ends, bint reverse) noexcept:
        cdef Section section
        cdef Position first, last
        if self.lp != NULL:
            return packed_section(self.lp, &ends, reverse)
        if self.big.tree.count == 0:
            return Ranges.nothing()
        if not ends.low.by_score:
            first = select_rank(&self.big.tree, 0)
            last = select_rank(&self.big.tree, self.big.tree.count - 1)
            if is_before(score_at(&last), entry_at(&last), &ends.low) or not (
                is_before(score_at(&first), entry_at(&first), &ends.high)
            ):
                return Ranges.nothing()
        section.first = rank_of_bound(&self.big.tree, &ends.low)
        section.length = rank_of_bound(&self.big.tree, &ends.high) - section.first
        if section.length < 0:
            section.length = 0
        return section

    # ---- Showing

    cdef int write_items(
        self, Writer writer, Section section, bint reverse, bint scores, bint paired
    ) except -1:
        if section.length == 0:
            return 0
        if self.lp != NULL:
            return packed_write(writer, self.lp, section, reverse, scores, paired)
        return self.write_big(writer, section, reverse, scores, paired)

    cdef int write_big(self, Writer writer, Section section, bint reverse, bint scores, bint paired) except -1:
        cdef Position position = select_rank(
            &self.big.tree, section.first + section.length - 1 if reverse else section.first)
        cdef long long i
        cdef Span span
        cdef Entry* entry
        span.owner = NULL
        prefetch_leaf(&position, reverse, section.length)
        for i in range(section.length):
            entry = entry_at(&position)
            span.data = key_of(entry)
            span.size = entry.key_size
            if paired:
                writer.array(2)
            writer.bulk(span)
            if scores:
                writer.double(score_at(&position))
            if reverse:
                retreat(&position)
                if position.leaf != NULL and position.index == position.leaf.count - 1:
                    prefetch_leaf(&position, True, section.length - i - 1)
            else:
                advance(&position)
                if position.index == 0 and position.leaf != NULL:
                    prefetch_leaf(&position, False, section.length - i - 1)
        return 0

    def pairs(self, long long first, long long count, bint reverse=False):
        cdef unsigned char* p
        cdef Position position
        cdef long long i
        cdef list found = []
        count = min(count, self.length() - first)
        if count <= 0:
            return found
        if self.lp != NULL:
            p = lp_seek(self.lp, 2 * first)
            for i in range(count):
                found.append(pair_at(p))
                p = next_item(p)
        else:
            position = select_rank(&self.big.tree, first)
            for i in range(count):
                found.append(pair_of(entry_at(&position), score_at(&position)))
                advance(&position)
        if reverse:
            found.reverse()
        return found

    def items(self):
        cdef long long rank = 0
        while rank < self.length():
            yield from self.pairs(rank, STEP)
            rank += STEP

    def scan(self, uint64_t cursor, int64_t count):
        cdef list found = []
        cdef MemberWalk walk
        cdef Entry* entry
        cdef int64_t visits
        if self.lp != NULL:
            return 0, self.pairs(0, self.length())
        visits = VISITS_PER_ITEM * min(max(count, 1), <int64_t>1 << 40)
        while True:
            cursor = begin_chain(&walk, &self.big.members, cursor)
            while True:
                entry = next_in_chain(&walk)
                if entry == NULL:
                    break
                found.append(pair_of(entry, entry_score(entry)))
            visits -= 1
            if cursor == 0 or visits == 0 or len(found) >= count:
                return cursor, found

    # ---- For those who have Python's objects

    def add(self, bytes member not None, double score):
        if isnan(score):
            raise ValueError("a score is a number")
        return self.change(span_of(member), score, 0).added

    def put(self, bytes member not None, double score, int flags):
        cdef Change change = self.change(span_of(member), score, flags)
        return change.added, change.changed, change.refused, change.score

    def remove(self, bytes member not None):
        return self.drop(span_of(member))

    def remove_pairs(self, long long first, long long count):
        return self.remove_section(Ranges.limited(Ranges.ranks(first, -1, self.length()), 0, count, False))

    def find(self, bytes low not None, bytes high not None, bint by_score, bint reverse=False):
        cdef Range ends
        cdef Section section
        if by_score:
            ends = Ranges.scores(span_of(low), span_of(high))
        else:
            ends = Ranges.members(span_of(low), span_of(high))
        section = self.between(ends, reverse)
        return section.first, section.length

    def write_pairs(self, Writer writer not None, long long first, long long count, bint reverse, bint scores, bint paired):
        self.write_items(writer, Ranges.limited(Ranges.ranks(first, -1, self.length()), 0, count, False), reverse, scores, paired)

    def score(self, bytes member not None):
        cdef double score = self.score_of(span_of(member))
        return None if isnan(score) else score

    def rank(self, bytes member not None, bint reverse=False):
        cdef long long rank = self.rank_of(span_of(member), reverse)
        return None if rank < 0 else rank

    def random_pairs(self, long long count):
        cdef long long length = self.length()
        cdef long long i, rank, other
        cdef dict moved = {}
        cdef list found = []
        if length == 0:
            return found
        if count < 0:
            for i in range(-count):
                found += self.pairs(self.commons.random_number(length), 1)
            return found
        # The first steps of a shuffle of all ranks, of which only those that were moved are kept.
        for i in range(min(count, length)):
            other = i + <long long>self.commons.random_number(length - i)
            rank = moved.get(other, other)
            moved[other] = moved.pop(i, i)
            found += self.pairs(rank, 1)
        return found

    def check(self):
        cdef const char* fault
        cdef Position position
        cdef Entry* entry
        if self.lp != NULL:
            assert is_regular(self.lp, self.length(), lp_bytes(self.lp)), "the listpack is not in order"
            return
        fault = fault_in_tree(&self.big.tree)
        assert fault == NULL, fault.decode()
        assert self.big.tree.count == member_count(&self.big.members), "tree and table differ in number"
        position = select_rank(&self.big.tree, 0)
        while position.leaf != NULL:
            entry = entry_at(&position)
            assert find_member(&self.commons.heap, &self.big.members, key_of(entry), entry.key_size) == entry
            assert entry_score(entry) == score_at(&position), "tree and table differ in a score"
            advance(&position)


OBJECT_BYTES = (SortedSet.__basicsize__ + 15) & ~15


cdef inline Change addition(double score) noexcept:
    cdef Change change
    change.added = change.changed = True
    change.refused = False
    change.score = score
    return change


cdef inline Change refusal() noexcept:
    cdef Change change
    change.added = change.changed = False
    change.refused = True
    change.score = NAN
    return change


cdef inline Change changed_score(double current, double score, int flags) noexcept:
    """What becomes of the score of a member that is there."""
    cdef Change change
    if flags & INCREMENT:
        score += current
    if flags & IF_ABSENT or (flags & IF_LESS and score >= current) or (flags & IF_GREATER and score <= current):
        return refusal()
    change.added = change.refused = False
    change.changed = score != current and not isnan(score)
    change.score = score
    return change


cdef int add_to_table(Commons commons, Big* big, const char* member, size_t size, double score, Entry** entry) except -1:
    """Add a member unless it is there (0); its entry."""
    cdef int added = add_member(&commons.heap, &big.members, member, size, <const char*>&score, sizeof(score), entry)
    if added < 0:
        raise MemoryError
    if added and insert_item(&commons.heap, &big.tree, score, entry[0], &big.tree_bytes) < 0:
        remove_member(&commons.heap, &big.members, member, size)
        raise MemoryError
    return added


cdef int add_to_big(Commons commons, Big* big, const char* member, size_t size, double score) except -1:
    cdef Entry* entry
    return add_to_table(commons, big, member, size, score, &entry)


cdef void free_big(Commons commons, Big* big) noexcept:
    free_nodes(&commons.heap, &big.tree, big.tree_bytes + 1, &big.tree_bytes)
    clear_members(&commons.heap, &big.members)
    free(big)


cdef inline void prefetch_leaf(Position* position, bint reverse, long long wanted) noexcept nogil:
    """Bring in the members of a leaf that are going to be shown."""
    cdef uint64_t i
    cdef uint64_t first = position.index
    cdef uint64_t end = min(position.leaf.count, first + <uint64_t>wanted)
    if reverse:
        end = position.index + 1
        first = end - <uint64_t>wanted if <uint64_t>wanted < end else 0
    for i in range(first, end):
        prefetch_line(position.leaf.entries[i])
