"""What is wrong in a file of the journal.

``Damage`` is a value, not an exception: the reader stops there, and it is the start of the server or ``kvorum check`` that
decides what it means. Only ``DamageKind.TORN`` may be cut off without asking; how the reader makes sure that
nothing acknowledged is ever called torn stands in ``entries.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class DamageKind(Enum):
    """What is wrong."""

    TORN = "torn"  # the end of the file was never acknowledged as safe on disk
    LOST = "lost"  # the file ends before what was safe on disk does
    CHECKSUM = "checksum"
    HEADER = "header"  # an annotation cannot be as it is
    GARBAGE = "garbage"  # neither annotation nor command
    ORDER = "order"  # entries are missing, or out of order
    DATABASE = "database"  # a SELECT that does not fit its entry
    UNANNOTATED = "unannotated"  # plain commands where none may be
    FORMAT = "format"  # of a later version


_CUT = (
    "restore the file from a backup or another node, or run `kvorum check --fix`, which shows what would go and cuts "
    "the file there"
)
_REMEDIES = {
    DamageKind.TORN: "it never was acknowledged as safe on disk: the next start cuts it off, and so does "
    "`kvorum check --fix`",
    DamageKind.UNANNOTATED: "if another server has written to this directory in the meantime, start it again there and let "
    "it rewrite the log (BGREWRITEAOF); else " + _CUT,
    DamageKind.FORMAT: "start the version of kvorum that wrote the file, or a later one",
}


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a file stops making sense. ``offset`` is the end of what can be used of it, ``bytes_after`` the rest."""

    file: str
    offset: int
    kind: DamageKind
    what: str
    bytes_after: int

    @property
    def torn(self) -> bool:
        """Whether this is what a crash leaves behind: it may be cut off, with a warning."""
        return self.kind is DamageKind.TORN

    @property
    def remedy(self) -> str:
        """What the operator can do, as the end of a sentence."""
        return _REMEDIES.get(self.kind, _CUT)

    def __str__(self) -> str:
        return f"{self.file}, byte {self.offset}: {self.what} ({self.bytes_after} bytes from there on); {self.remedy}"
