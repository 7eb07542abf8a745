"""C types for ``strings.py``: with Call known, its annotations are enough for direct calls and Spans."""
cimport cython

from kvorum.commands.call cimport Call
