"""Writing an entry to a file by one system call. See ``entries.py`` for what an entry looks like.

Rejected: formatting in Python and ``os.writev``, which cost a turn with few requests about as much as a request.
"""

from __future__ import annotations

import os

from kvorum.journal.entries import annotation


def write_entry(
    descriptor: int, before: bytes, index: int, term: int, time_ms: int, database: int, batch: bytes, start: int
) -> int:
    """Append ``before``, an annotation and ``batch`` from ``start`` on. Returns the bytes written, all of them; else a
    negative errno, or 0 if the system wrote only a part."""
    body = memoryview(batch)[start:]
    line = annotation(index, term, time_ms, database, body)
    size = len(before) + len(line) + len(body)
    try:
        written = os.writev(descriptor, (before, line, body))
    except OSError as error:
        return -(error.errno or 1)
    return written if written == size else 0
