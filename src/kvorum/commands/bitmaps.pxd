"""C types for ``bitmaps.py``: with Call and Bits known, a string goes from the table to the loops as a Span."""
cimport cython

from kvorum.commands.call cimport Call
from kvorum.keyspace.bits cimport Bits, Combination
