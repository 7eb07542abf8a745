"""C side of the reply markers: with these declarations the writer reads their fields without a dictionary look-up."""


cdef class Status:
    cdef readonly bytes text


cdef class BigNumber:
    cdef readonly bytes digits


cdef class Verbatim:
    cdef readonly bytes format
    cdef readonly bytes data


cdef class Push:
    cdef readonly object items


cdef class Members:
    cdef readonly object items


cdef class Pairs:
    cdef readonly object items


cdef class Attribute:
    cdef readonly object attributes
    cdef readonly object reply


cdef class Marker:
    cdef readonly str name
