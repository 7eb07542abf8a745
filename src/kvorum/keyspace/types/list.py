"""Lists: elements in an order, used mostly at both ends, by index and by range.

What a list is for is a queue or a log, of three elements or of a hundred million. So it must be cheap when it is small, its
ends must cost the same however long it is, and reaching into its middle must not walk through half of it. The
compiled twin keeps listpacks of some kilobytes (``list-max-listpack-size``, in Redis' meaning) in a counted tree; this one
is a Python list, slow in the middle but easily seen to be right, and tells what both do.

Positions count from 0; a negative ``index`` of ``get``, ``set`` and ``pop`` counts from the end. Nothing here raises an error
because of what a client sent: what does not exist is ``None``, ``False`` or 0. Ranges (``drop``, ``write_range``) are the
caller's to bound.

The encoding is called ``quicklist`` whatever the size, as in Redis 7.0. ``list-compress-depth`` is accepted and does nothing:
compressing the middle of lists would trade time for memory that few lists have in their middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types import listpack
from kvorum.keyspace.values import Value
from kvorum.resp.writer import Writer

if TYPE_CHECKING:
    from kvorum.observe.digest import Digest

OBJECT_BYTES = 64
ELEMENT_BYTES = 8
SAFETY_LIMIT = 8192
PLAIN_FROM = 1 << 30
EMPTY_NODE_BYTES = len(listpack.pack([]))


class List(Value):
    """A list of bytes."""

    kind = b"list"

    def __init__(self, commons: Commons) -> None:
        super().__init__()
        self.commons = commons
        self._elements: list[bytes] = []
        self._bytes = 0

    # ---- What the table asks

    def used_bytes(self) -> int:
        return OBJECT_BYTES + self._bytes

    def encoding(self) -> bytes:
        return b"quicklist"

    def elements(self) -> int:
        """Parts that are freed in one go: the compiled twin's leaves."""
        return len(self._elements)

    def copy(self) -> List:
        copied = List(self.commons)
        for element in self._elements:
            copied.push(element)
        return copied

    def release_some(self, budget: int) -> int:
        released = min(budget, len(self._elements))
        self.drop(len(self._elements) - released, released)
        return released

    def add_to_digest(self, digest: Digest) -> None:
        """The order matters."""
        for element in self._elements:
            digest.mix(element)

    # ---- Ends

    def __len__(self) -> int:
        return len(self._elements)

    def length(self) -> int:
        """The number of elements."""
        return len(self._elements)

    def __iter__(self) -> Iterator[bytes]:
        """From head to tail. If the list changes meanwhile some may be missed or come twice; nothing else happens."""
        return iter(list(self._elements))

    def push(self, element: bytes, at_head: bool = False) -> None:
        """One more element at an end."""
        self._insert(0 if at_head else len(self._elements), element)

    def pop(self, at_head: bool = False) -> bytes | None:
        """Take the element at an end away; None: the list is empty."""
        element = self.get(0 if at_head else -1)
        if element is not None:
            self.drop_end(at_head)
        return element

    def drop_end(self, at_head: bool) -> None:
        """Take the element at an end away; the list must not be empty."""
        self.drop(0 if at_head else len(self._elements) - 1, 1)

    # ---- The middle

    def get(self, index: int) -> bytes | None:
        """The element at an index."""
        return self._elements[index] if -len(self._elements) <= index < len(self._elements) else None

    def set(self, index: int, element: bytes) -> bool:
        """Replace the element at an index; whether there was one."""
        old = self.get(index)
        if old is None:
            return False
        self._elements[index] = element
        self._bytes += len(element) - len(old)
        return True

    def insert_beside(self, pivot: bytes, element: bytes, after: bool) -> bool:
        """Insert before or after the first element that equals ``pivot``; whether there is one."""
        if pivot not in self._elements:
            return False
        self._insert(self._elements.index(pivot) + after, element)
        return True

    def drop(self, start: int, count: int) -> None:
        """Take away so many elements, which must exist, from ``start`` on."""
        assert 0 <= start <= start + count <= len(self._elements)
        for element in self._elements[start : start + count]:
            self._bytes -= ELEMENT_BYTES + len(element)
        del self._elements[start : start + count]

    def remove_equal(self, element: bytes, count: int) -> int:
        """Take away the first ``count`` elements that are equal: 0 all of them, negative the last ones. How many."""
        found = [index for index, other in enumerate(self._elements) if other == element]
        if count > 0:
            found = found[:count]
        elif count < 0:
            found = found[count:]
        for index in reversed(found):
            self.drop(index, 1)
        return len(found)

    def positions(self, element: bytes, rank: int, count: int, max_length: int) -> list[int]:
        """Indexes of elements that are equal, in the order of the search.

        The search begins at the head, with a negative ``rank`` at the tail. The ``rank``-th one found is the first that
        counts (``rank`` is not 0); the search ends after ``count`` of them, or when it has looked at ``max_length`` elements.
        0 for these two: no end.
        """
        order = list(enumerate(self._elements))
        if rank < 0:
            order.reverse()
        found = [index for index, other in order[: max_length or None] if other == element]
        return found[abs(rank) - 1 :][: count or None]

    # ---- For handlers, which in the compiled twin pass what they have without making objects of it

    def push_span(self, element: bytes, at_head: bool) -> None:
        """As ``push``."""
        self.push(element, at_head)

    def write_end(self, writer: Writer, at_head: bool) -> None:
        """Write the element at an end of a list that is not empty."""
        writer.string(self._elements[0 if at_head else -1])

    def write_element_at(self, writer: Writer, index: int) -> None:
        """Write an element that exists; ``index`` is not negative."""
        writer.string(self._elements[index])

    def write_range(self, writer: Writer, start: int, count: int, backwards: bool) -> None:
        """Write ``count`` elements, which must exist, from ``start`` on or down from it; but no array header."""
        step = -1 if backwards else 1
        for index in range(start, start + step * count, step):
            writer.string(self._elements[index])

    # ---- For DUMP and the like

    def packed(self) -> bytes | None:
        """The listpack of the elements if they are in a single one."""
        nodes = [blob for plain, blob in self.nodes() if not plain]
        return nodes[0] if len(nodes) == 1 and self._fits(len(self._elements), len(nodes[0])) else None

    def nodes(self) -> Iterator[tuple[bool, bytes]]:
        """The elements as the nodes that Redis would have: whether it is a plain string, and its bytes or listpack.

        Where nodes end depends on how the list came about; this is one way of many.
        """
        part: list[bytes] = []
        part_bytes = EMPTY_NODE_BYTES
        for element in self._elements:
            entry_bytes = len(listpack.pack([element])) - EMPTY_NODE_BYTES
            if part and not self._fits(len(part) + 1, part_bytes + entry_bytes):
                yield False, listpack.pack(part)
                part, part_bytes = [], EMPTY_NODE_BYTES
            if len(element) >= PLAIN_FROM:
                yield True, element
            else:
                part.append(element)
                part_bytes += entry_bytes
        if part:
            yield False, listpack.pack(part)

    def push_packed(self, blob: bytes) -> None:
        """Append all elements of a listpack that is known to be valid."""
        for element in listpack.unpack(blob):
            self.push(element)

    @classmethod
    def from_packed(cls, commons: Commons, blob: bytes) -> List:
        """A list of the elements of a listpack that is known to be valid."""
        made = cls(commons)
        made.push_packed(blob)
        return made

    # ---- Private

    def _insert(self, index: int, element: bytes) -> None:
        self._elements.insert(index, element)
        self._bytes += ELEMENT_BYTES + len(element)

    def _fits(self, count: int, size: int) -> bool:
        """Whether so many elements, in a listpack of so many bytes, make one node."""
        limit = self.commons.list_max_size
        largest = SAFETY_LIMIT if limit >= 0 else 2048 << min(-limit, 5)
        return (limit < 0 or count <= limit) and size + ELEMENT_BYTES <= largest
