"""Where the entries of the log stand: a sparse table of index, file and offset, and the terms.

A start fills it while it reads the log, and the journal goes on while it writes, so any entry can be read again without
looking through the whole log. There is a mark about every ``MARK_BYTES`` of a file; from there on one reads.

Invariants: files are in the order of their entries and without gaps; marks rise in index, and within a file in offset; terms
rise; the term of ``base_index``, the entry before the first one, is known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

MARK_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Place:
    """Entry ``index`` is the first one behind ``offset`` of the file ``path``; lines and a SELECT may stand before it."""

    path: str
    offset: int
    index: int


class UnknownEntryError(LookupError):
    """The entry is not in the log: not any more, or not yet."""


class EntryOffsets:
    """``base_index`` and ``base_term``: the entry before the first that can be read, 0 and 0 where the log begins."""

    def __init__(self, base_index: int = 0, base_term: int = 0) -> None:
        self.reset(base_index, base_term)

    def reset(self, base_index: int, base_term: int) -> None:
        """A log without entries that begins behind this one."""
        self.base_index = base_index
        self.base_term = base_term
        self._files: list[str] = []
        self._first: list[int] = []  # of each file: the entry that it begins with, if it has any
        self._starts: list[int] = []  # and where in it entries begin
        self._marks: list[int] = []
        self._offsets: list[int] = []
        self._terms: list[int] = []
        self._since: list[int] = []  # the first entry of each term

    @property
    def files(self) -> list[str]:
        """Those that are known, in order."""
        return list(self._files)

    def first_of(self, path: str) -> int:
        """The entry that this file begins with, if it has any. KeyError."""
        return self._first[self._file(path)]

    def begin_file(self, path: str, first_index: int, offset: int = 0) -> None:
        """The entries from this one on stand in that file, behind ``offset``."""
        self._files.append(path)
        self._first.append(first_index)
        self._starts.append(offset)

    def note(self, index: int, offset: int) -> None:
        """This entry begins there, in the last file."""
        self._marks.append(index)
        self._offsets.append(offset)

    def note_term(self, index: int, term: int) -> None:
        """A term begins with this entry."""
        self._since.append(index)
        self._terms.append(term)

    def term(self, index: int) -> int:
        """The term of an entry from ``base_index`` on; of those behind the last it says the last one's. UnknownEntryError."""
        at = bisect_right(self._since, index) - 1
        if index < self.base_index:
            raise UnknownEntryError(f"entry {index} is not in the log any more")
        return self._terms[at] if at >= 0 else self.base_term

    def place(self, index: int) -> Place:
        """Where to begin reading for this entry, or for one that comes next. UnknownEntryError."""
        file = bisect_right(self._first, index) - 1
        if index <= self.base_index or file < 0:
            raise UnknownEntryError(f"entry {index} is not in the log any more")
        mark = bisect_right(self._marks, index) - 1
        if mark >= 0 and self._marks[mark] >= self._first[file]:
            return Place(self._files[file], self._offsets[mark], self._marks[mark])
        return Place(self._files[file], self._starts[file], self._first[file])

    def files_after(self, path: str) -> list[str]:
        """The files behind this one, in order. KeyError."""
        return self._files[self._file(path) + 1 :]

    def truncate_after(self, index: int) -> None:
        """The entries behind this one are gone. Files behind its own stay, and are empty."""
        kept = bisect_right(self._marks, index)
        del self._marks[kept:], self._offsets[kept:]
        kept = bisect_right(self._since, index)
        del self._since[kept:], self._terms[kept:]
        for file in range(bisect_right(self._first, index + 1), len(self._files)):
            self._first[file] = index + 1
            self._starts[file] = 0

    def drop_before(self, index: int) -> None:
        """The log begins with this entry: what is known of those before goes, except for the last one's term."""
        if index - 1 <= self.base_index:
            return
        self.base_index, self.base_term = index - 1, self.term(index - 1)
        kept = bisect_right(self._since, self.base_index)
        del self._since[:kept], self._terms[:kept]
        file = bisect_right(self._first, index) - 1
        # A file whose beginning is gone is still read from its first mark on.
        del self._files[: max(file, 0)], self._first[: max(file, 0)], self._starts[: max(file, 0)]
        kept = bisect_left(self._marks, self._first[0]) if self._first else len(self._marks)
        del self._marks[:kept], self._offsets[:kept]

    def drop_files_before(self, path: str) -> None:
        """The files before this one are gone, and their entries with them. KeyError."""
        self.drop_before(self.first_of(path))

    def _file(self, path: str) -> int:
        try:
            return self._files.index(path)
        except ValueError:
            raise KeyError(path) from None
