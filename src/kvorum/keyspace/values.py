"""What the table asks of a value that is not a string.

The types themselves stand in ``keyspace/types``. The table keeps one reference and knows nothing else of them.
"""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable


@runtime_checkable
class StoredValue(Protocol):
    """A list, a hash, a set, …

    ``accounted_bytes`` belongs to the table: what it last counted for this value. A command that changed the value's
    size calls ``Database.remeasure``, which asks ``used_bytes`` again; both must therefore be cheap.

    A value may also have ``release_some(budget: int) -> int``, which lets go of up to so many elements and returns
    how many (0: none is left), so that UNLINK frees even a huge one in steps.
    """

    accounted_bytes: int

    @property
    def kind(self) -> bytes:
        """The name that TYPE answers; a class attribute."""

    def used_bytes(self) -> int:
        """What the value costs outside the table."""

    def encoding(self) -> bytes:
        """The name that OBJECT ENCODING answers."""

    def elements(self) -> int:
        """How many parts would have to be freed."""

    def copy(self) -> Self:
        """An independent value that is equal."""
