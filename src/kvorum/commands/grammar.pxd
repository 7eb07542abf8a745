"""C side of the decoders; ``grammar.py`` is compiled with these types."""
cimport cython

cdef object ABSENT


@cython.final
cdef class Cursor:
    cdef list words
    cdef Py_ssize_t position
    cdef Py_ssize_t end
    cdef Py_ssize_t reserved

    cdef bytes take(self)
    cdef Py_ssize_t available(self) noexcept


@cython.final
cdef class Late:
    cdef readonly bytes word
    cdef readonly object convert


cdef class Node:
    cdef readonly object argument
    cdef readonly bytes name
    cdef readonly bytes token
    cdef readonly bytes label
    cdef readonly bint optional
    cdef readonly bint repeats
    cdef readonly bint repeats_token
    cdef readonly bint late
    cdef readonly Py_ssize_t minimum

    cpdef object read(self, Cursor cursor)
    cpdef object read_token(self, Cursor cursor)
    cpdef object read_value(self, Cursor cursor)


cdef class Leaf(Node):
    cdef readonly object convert


cdef class PureToken(Node):
    pass


cdef class Choice(Node):
    cdef readonly list alternatives
    cdef readonly bint pure
    cdef readonly dict by_token
    cdef readonly Node fallback

    @cython.locals(alternative=Node)
    cpdef object read_value(self, Cursor cursor)


cdef class Together(Node):
    cdef readonly Run sequence


cdef object _settled(object value)

cdef list _counted(Node node, Cursor cursor, object count)


cdef object _merged(Node node, object before, object value)


cdef class Part:
    cdef readonly Py_ssize_t minimum
    cdef public Py_ssize_t behind

    cpdef object read(self, Cursor cursor, list values)


cdef class Position(Part):
    cdef readonly Py_ssize_t index
    cdef readonly Node node
    cdef readonly object counted_by
    cdef readonly bint optional


cdef class Options(Part):
    cdef readonly list entries
    cdef readonly dict counted_by
    cdef readonly dict by_token

    @cython.locals(index=cython.Py_ssize_t, node=Node)
    cpdef object read(self, Cursor cursor, list values)


@cython.final
cdef class Run:
    cdef readonly Py_ssize_t count
    cdef readonly list nodes
    cdef readonly bint late
    cdef readonly list parts
    cdef readonly Py_ssize_t minimum

    @cython.locals(part=Part)
    cpdef object read(self, Cursor cursor, list values)


@cython.final
cdef class Decoder:
    cdef readonly object declaration
    cdef readonly Py_ssize_t first
    cdef readonly Py_ssize_t at_most
    cdef readonly bint listed
    cdef readonly Run run
    cdef readonly Py_ssize_t exact
    cdef readonly list converters
    cdef readonly bint plain
    cdef readonly bint shares_defaults
    cdef readonly tuple defaults

    @cython.locals(values=list, position=cython.Py_ssize_t, word=bytes)
    cpdef tuple decode(self, list request)
