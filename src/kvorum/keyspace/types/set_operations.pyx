# cython: wraparound=False, cdivision=True
"""What is computed from several sets: see ``set_operations.py``.

Sets of any two forms go together by way of a ``Probe``: a member whose text, number and hash are each worked out when a
form first asks for it. All tables of a keyspace have the same hash, and are walked in its order: an intersection of two
tables goes through both from front to end. What is only to be shown is not stored on the way: the chosen members are one
word each until their number is known and the reply begins.
"""
from libc.stdlib cimport free

from kvorum.keyspace.commons cimport Commons
from kvorum.keyspace.types.set cimport Handle, Probe, Set, Walk, aim, form_of, new_handles, next_handle, write_handles
from kvorum.resp.writer cimport Writer


cdef list smallest_first(list sets):
    """Without those that come twice."""
    return sorted(dict.fromkeys(sets), key=len)


cdef bint all_hold(list others, Probe* probe) noexcept:
    cdef Py_ssize_t i
    for i in range(len(others)):
        if not (<Set>others[i]).holds_probe(probe):
            return False
    return True


cdef bint any_holds(list others, Probe* probe) noexcept:
    cdef Py_ssize_t i
    for i in range(len(others)):
        if (<Set>others[i]).holds_probe(probe):
            return True
    return False


cdef Py_ssize_t select(Set source, list others, bint held, Handle* selected, Py_ssize_t limit) noexcept:
    """The members of one set that all others hold, or (``held`` false) that no other holds; no more than a limit."""
    cdef Py_ssize_t found = 0
    cdef Walk walk
    cdef Handle handle
    cdef Probe probe
    source.begin(&walk)
    while found < limit and next_handle(&walk, &handle):
        aim(&probe, walk.form, handle)
        if all_hold(others, &probe) if held else not any_holds(others, &probe):
            if selected != NULL:
                selected[found] = handle
            found += 1
    return found


cdef int write_selected(Set source, list others, bint held, Writer reply) except -1:
    cdef Handle* selected = new_handles(source.size())
    cdef Py_ssize_t found
    try:
        found = select(source, others, held, selected, source.size())
        reply.set(found)
        write_handles(reply, form_of(source), selected, found)
    finally:
        free(selected)
    return 0


cdef Set store_selected(Set source, list others, bint held, Commons commons):
    cdef Set result = Set(commons)
    cdef Walk walk
    cdef Handle handle
    cdef Probe probe
    source.begin(&walk)
    while next_handle(&walk, &handle):
        aim(&probe, walk.form, handle)
        if all_hold(others, &probe) if held else not any_holds(others, &probe):
            result.insert_probe(&probe)
    return result


cdef int insert_all(Set target, Set source) except -1:
    cdef Walk walk
    cdef Handle handle
    cdef Probe probe
    source.begin(&walk)
    while next_handle(&walk, &handle):
        aim(&probe, walk.form, handle)
        target.insert_probe(&probe)
    return 0


cdef int discard_all(Set target, Set source) except -1:
    cdef Walk walk
    cdef Handle handle
    cdef Probe probe
    source.begin(&walk)
    while target.size() > 0 and next_handle(&walk, &handle):
        aim(&probe, walk.form, handle)
        target.discard_probe(&probe)
    return 0


cpdef int write_intersection(list sets, Writer reply) except -1:
    cdef list ordered
    if len(sets) == 1:
        return (<Set>sets[0]).write_members(reply)
    ordered = smallest_first(sets)
    return write_selected(ordered[0], ordered[1:], True, reply)


cpdef Py_ssize_t count_intersection(list sets, Py_ssize_t limit) except -1:
    cdef list ordered = smallest_first(sets)
    cdef Set smallest = ordered[0]
    return select(smallest, ordered[1:], True, NULL, min(limit, smallest.size()) if limit else smallest.size())


cpdef Set intersection(list sets, Commons commons):
    cdef list ordered = smallest_first(sets)
    return store_selected(ordered[0], ordered[1:], True, commons)


cpdef Set union(list sets, Commons commons):
    cdef Set result = Set(commons)
    for one in sets:
        insert_all(result, one)
    return result


cdef list subtrahends(list sets):
    """What is to be taken from the first, the largest first; None: the first is among them."""
    cdef list others = sets[1:]
    if sets[0] in others:
        return None
    others.sort(key=len, reverse=True)
    return others


cdef bint looks_up(list sets):
    """Whether looking up the first one's members in the others is less work than taking the others' members out."""
    cdef Py_ssize_t total = 0
    for one in sets:
        total += (<Set>one).size()
    return (<Set>sets[0]).size() * len(sets) // 2 <= total


cpdef int write_difference(list sets, Writer reply) except -1:
    cdef list others = subtrahends(sets)
    if others is None:
        reply.set(0)
        return 0
    if looks_up(sets):
        return write_selected(sets[0], others, False, reply)
    return difference(sets, (<Set>sets[0]).commons).write_members(reply)


cpdef Set difference(list sets, Commons commons):
    cdef list others = subtrahends(sets)
    cdef Set result = Set(commons)
    if others is None:
        return result
    if looks_up(sets):
        return store_selected(sets[0], others, False, commons)
    insert_all(result, sets[0])
    for other in others:
        discard_all(result, other)
    return result
