"""What the table asks of a value that is not a string.

The types themselves stand in ``keyspace/types``; each is a class derived from ``Value``. The table keeps one reference
and knows nothing else of them.
"""

from __future__ import annotations

from typing import Self


class Value:
    """A list, a hash, a set, …: what a key of such a type refers to.

    ``accounted_bytes`` belongs to the table: what it last counted for this value. A command that changed the value's
    size calls ``Database.remeasure``, which asks ``used_bytes`` again; both must therefore be cheap.

    A type also has ``kind``, the name that TYPE answers, ``add_to_digest(digest)`` for DEBUG DIGEST, and, if it can be
    big, ``release_some``, so that UNLINK frees even a huge one in steps.
    """

    kind = b"none"

    def __init__(self) -> None:
        self.accounted_bytes = 0

    def used_bytes(self) -> int:
        """What the value costs outside the table, the object itself included."""
        raise NotImplementedError

    def encoding(self) -> bytes:
        """The name that OBJECT ENCODING answers."""
        raise NotImplementedError

    def elements(self) -> int:
        """How many parts would have to be freed."""
        raise NotImplementedError

    def copy(self) -> Self:
        """An independent value that is equal."""
        raise NotImplementedError

    def release_some(self, budget: int) -> int:
        """Let go of up to ``budget`` elements; how many, 0: none is left that has to be freed by itself."""
        return 0
