"""C types for ``strings.py``: with Call known, its annotations are enough for direct calls and Spans."""
cimport cython

from kvorum.commands.call cimport Call

# Imported as Python constants; handed on as C ones.
cdef int GENERIC
cdef int STRING
