"""C side of the registry; ``registry.py`` is compiled with these types."""
from kvorum.commands.command cimport Command
from kvorum.commands.index cimport CommandIndex


cdef class Registry:
    cdef readonly dict commands
    cdef readonly CommandIndex index
    cdef int _ids
