"""Entries of the journal as they stand in an increment file, writing and reading.

A file is what redis-server 7 calls an incremental append-only file: commands in RESP. Before the commands of one
entry stands an annotation, a line that Redis skips because it begins with ``#``::

    #kvorum 1 <index> <term> <time_ms> <database> <length> <checksum>\\r\\n
    <length bytes: the effects of one turn in RESP, whole transactions, beginning in <database>>

The 1 is the format. Numbers are canonical decimals of at most 18 digits; the checksum is eight hexadecimal digits,
CRC-32C of the line as it stands before `` <checksum>`` followed by the body. Indexes count up by one, terms never go
back. In a Raft group lines may stand before the effects of an entry (``bodies``), and one that begins a term is empty.
Where Redis would be in another database, a SELECT stands before the annotation, in exactly the form that
``select`` writes. Before that may stand what is safe on disk by then::

    #kvorum-durable 1 <index> <offset> <checksum>\\r\\n

Entries up to ``index`` and the file up to ``offset`` had been fsynced. Redis' own ``#TS:<seconds>`` lines are
understood. Lines stay below the 1,024 bytes of Redis' line buffer. Commands without annotation are taken only as a
suffix of the file: redis-server has gone on from our directory, or the whole file is its own.

**What may be called torn.** A crash cuts off the end of what was not fsynced yet, or leaves zeros there. So only this
is torn: the file ends (or from some point on holds nothing but at least 16 zeros, or fewer from the start of a sector of
the disk on) inside of something that is well-formed up to there. Never torn is

- an entry that is all there and has the wrong checksum, wherever it is, even if its last few bytes are such zeros as no
  crash leaves;
- anything before a durable position, be it one from a line further on in the file or the caller's own knowledge
  (``durable_offset``; a file that is not the last one is safe to its end);
- an entry that ends too early according to its length, if what stands there is not the beginning of RESP, goes on
  after the last whole command with something else than a command, or has the right checksum for what is whole of it:
  then the length is wrong.

So no single changed byte makes a whole entry look torn, whether or not a durable position follows. Damage in general
is where the reader stops: nothing is skipped, nothing after it is looked at, except to tell that something is there.

The module is compiled by ``entries.pxd``. It reads memory, mostly a mapped file, and keeps no object per entry.
Rejected: a regular expression per line, which makes Python objects; lengths in binary, which Redis could not read.
"""

from __future__ import annotations

import re

from kvorum.journal.crc32c import crc32c, crc32c_range
from kvorum.journal.records import Damage, DamageKind

# What ``EntryReader.next`` says.
END = 0
ENTRY = 1
COMMANDS = 2
DAMAGED = 3

LONGEST_LINE = 1023
# So many bytes of plain commands are handed out at once, or one command or transaction if it is longer.
RUN_BYTES = 1 << 20
# Fewer zeros at the end could be a damaged byte or two.
LEAST_ZEROS = 16
# A disk writes so many bytes or none of them.
SECTOR_BYTES = 512
MOST_DIGITS = 18

# The same as C numbers.
_END = 0
_IS_ENTRY = 1
_IS_COMMANDS = 2
_IS_DAMAGED = 3
_INCOMPLETE = -1
_MALFORMED = -2
_ENTRY = b"#kvorum "
_LINE = b"#kvorum-"
_DURABLE = b"#kvorum-durable "
_TIMESTAMP = b"#TS:"
_SELECT = b"*2\r\n$6\r\nSELECT\r\n$"
_NUMBER = rb"(?:0|[1-9][0-9]{0,17})"
_DURABLE_LINE = re.compile(rb"(#kvorum-durable 1 (%b) (%b)) ([0-9a-f]{8})\r\n" % (_NUMBER, _NUMBER))


def _beginning(start: bytes, numbers: int, checksum: bool) -> re.Pattern[bytes]:
    """Matches every beginning of such a line, and with it every way in which it can be torn."""
    tail = rb"(?:[0-9a-f]{0,7}|[0-9a-f]{8}\r?)" if checksum else rb"\r?"
    for number in range(numbers, 0, -1):
        last = number == numbers and not checksum
        tail = rb"(?:%b%b)?" % (_NUMBER, tail if last else rb"(?: %b)?" % tail)
    for at in range(len(start) - 1, -1, -1):
        tail = rb"(?:%b%b)?" % (re.escape(start[at : at + 1]), tail)
    return re.compile(tail)


_BEGINNINGS = (
    _beginning(b"#kvorum 1 ", 5, checksum=True),
    _beginning(b"#kvorum-durable 1 ", 2, checksum=True),
    _beginning(b"#TS:", 1, checksum=False),
)


def annotation(index: int, term: int, time_ms: int, database: int, body: bytes | bytearray | memoryview) -> bytes:
    """The line that stands before ``body``."""
    head = b"#kvorum 1 %d %d %d %d %d" % (index, term, time_ms, database, len(body))
    return b"%b %08x\r\n" % (head, crc32c(body, crc32c(head)))


def select(database: int) -> bytes:
    """What stands before the annotation where the file is in another database."""
    number = b"%d" % database
    return b"%b%d\r\n%b\r\n" % (_SELECT, len(number), number)


def durable(index: int, offset: int) -> bytes:
    """The line that says that entries up to ``index`` and this file up to ``offset`` are safe on disk."""
    head = b"#kvorum-durable 1 %d %d" % (index, offset)
    return b"%b %08x\r\n" % (head, crc32c(head))


class EntryReader:
    """Reads one file from ``start`` on.

    ``data`` is the whole file; ``last_index`` is the entry before its first, or negative if that is unknown,
    ``last_term`` its term. ``durable_offset``: up to there the file is known to have been safe on disk.

    After ``next`` returned ENTRY: ``index``, ``term``, ``time_ms``, ``database``, ``start``, ``body_start``,
    ``end`` describe it. After COMMANDS: ``start``, ``end``, ``timestamp_s``. After DAMAGED, ``damage`` does. After
    END and DAMAGED it says the same again. ``durable_index`` and ``durable_offset`` are the last position known to
    be safe, at any time; ``last_index`` and ``last_term`` are the last entry's.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        file: str,
        start: int = 0,
        last_index: int = -1,
        last_term: int = 0,
        durable_offset: int = 0,
    ) -> None:
        self.data = memoryview(data)
        self.file = file
        self.file_size = self.size = len(self.data)
        if not 0 <= start <= self.size:
            raise ValueError(f"{file} has {self.size} bytes, so reading cannot begin at {start}")
        self.start = self.body_start = self.end = start
        self.index = last_index
        self.term = last_term
        self.last_index = last_index
        self.last_term = last_term
        self.time_ms = 0
        self.database = 0
        self.timestamp_s = 0
        self.durable_index = -1
        self.durable_offset = durable_offset
        self.damage: Damage | None = None
        self.plain_start = -1
        self.cursor = 0
        self.word_start = 0
        self.word_end = 0
        self.words = 0
        self.trouble_at = 0
        self.trouble = ""

    def next(self) -> int:
        """Read on: END, ENTRY, COMMANDS or DAMAGED."""
        if self.damage is not None:
            return _IS_DAMAGED
        result = self._read()
        if result == _IS_DAMAGED and self._only_zeros_follow():
            self.damage = None
            result = self._read()
        if result == _END and self.size < self.file_size:
            return self._torn(self.size, "there are only zeros")
        if result == _END and self.file_size < self.durable_offset:
            return self._damaged(
                self.file_size,
                DamageKind.LOST,
                f"the file ends, but {self.durable_offset} bytes of it were safe on disk",
            )
        return result

    def bytes_of(self, start: int, end: int) -> bytes:
        """A piece of the file."""
        if not 0 <= start <= end <= self.file_size:
            raise IndexError(f"{self.file} has no bytes {start} to {end}")
        return bytes(self.data[start:end])

    def body(self) -> bytes:
        """The commands of the entry that was read last."""
        return self.bytes_of(self.body_start, self.end)

    def tally(self, start: int, end: int, counts: dict[tuple[bytes, int], int], lines: bool = False) -> int:
        """How many commands stand between two offsets; negative if these bytes are not whole commands. ``counts`` gets how
        often each stands there: its first word as it is, and how many words it has. ``lines``: annotations may stand between
        them, as in what COMMANDS means; those of an entry's body may stand before them in any case."""
        size = self.size
        if not 0 <= start <= end <= size:
            raise IndexError(f"{self.file} has no bytes {start} to {end}")
        self.size = end
        count = 0
        at = start
        while at < end:
            if lines and self.data[at] == 35:
                at = self._line_end(at)
            elif count == 0 and self.data[at] == 35:
                at = self._body_line(at)
            elif self.data[at] == 42:
                at = self._command(at)
                if at > 0:
                    count += 1
                    key = (bytes(self.data[self.word_start : self.word_end]), self.words)
                    counts[key] = counts.get(key, 0) + 1
            else:
                at = _MALFORMED
            if at < 0:
                count = -1
                break
        self.size = size
        return count

    @property
    def has_commands(self) -> bool:
        """Whether commands without annotation have been read from this file."""
        return self.plain_start >= 0

    def close(self) -> None:
        """Let go of the memory, so that a mapped file can be closed."""
        self.size = self.file_size = self.end = self.start = 0
        self.data = memoryview(b"")

    def _read(self) -> int:
        """The next record, after the lines that belong to none."""
        while True:
            at = self.end
            if at >= self.size:
                return _END
            byte = self.data[at]
            if byte == 42:
                after = self._selected(at)
                return self._entry(at, after) if after >= 0 else self._commands(at)
            if byte != 35:
                return self._damaged(at, DamageKind.GARBAGE, "neither a command nor an annotation begins")
            if self._has(at, _ENTRY):
                return self._entry(at, at)
            after = self._other_line(at)
            if after < 0:
                return _IS_DAMAGED
            self.end = after

    def _has(self, at: int, word: bytes) -> bool:
        """Whether ``word`` stands there."""
        length = len(word)
        if self.size - at < length:
            return False
        for position in range(length):  # noqa: SIM110 - compiled, this is C
            if self.data[at + position] != word[position]:
                return False
        return True

    def _line_end(self, at: int) -> int:
        """The offset after the line that begins there; _INCOMPLETE at the end of the file, _MALFORMED if it is too long."""
        limit = at + LONGEST_LINE
        if limit > self.size:
            limit = self.size
        for position in range(at, limit):
            if self.data[position] == 10:
                return position + 1
        return _MALFORMED if limit == at + LONGEST_LINE else _INCOMPLETE

    def _body_line(self, at: int) -> int:
        """The offset after the line of a body that begins there; _INCOMPLETE if the file ends in it, or _MALFORMED."""
        for position in range(min(len(_LINE), self.size - at)):
            if self.data[at + position] != _LINE[position]:
                return _MALFORMED
        end = self._line_end(at)
        if end > 0 and (self.data[end - 2] != 13 or self._has(at, _DURABLE)):
            return _MALFORMED
        return end

    def _field(self, at: int, end: int) -> int:
        """The canonical number from ``at`` to the next space or carriage return, where ``cursor`` stands then; negative if it
        is none."""
        number = 0
        position = at
        while position < end:
            digit = self.data[position] - 48
            if digit < 0 or digit > 9:
                break
            if position - at == MOST_DIGITS or (number == 0 and position > at):
                return _MALFORMED
            number = number * 10 + digit
            position += 1
        self.cursor = position
        if position == at or position >= end:
            return _MALFORMED
        if self.data[position] != 32 and self.data[position] != 13:
            return _MALFORMED
        return number

    def _spaced_field(self, end: int) -> int:
        """The number after the space on which ``cursor`` stands; negative if it is none."""
        if self.data[self.cursor] != 32:
            return _MALFORMED
        return self._field(self.cursor + 1, end)

    def _checksum_field(self, end: int) -> int:
        """The checksum at the end of the line, after the space on which ``cursor`` stands; negative if there is none."""
        at = self.cursor
        if end - at != 11 or self.data[at] != 32 or self.data[end - 2] != 13:
            return _MALFORMED
        checksum = 0
        for position in range(at + 1, at + 9):
            byte = self.data[position]
            if 48 <= byte <= 57:
                checksum = checksum * 16 + byte - 48
            elif 97 <= byte <= 102:
                checksum = checksum * 16 + byte - 87
            else:
                return _MALFORMED
        return checksum

    def _entry(self, start: int, at: int) -> int:
        """The entry whose annotation is at ``at``, with what belongs to it from ``start`` on."""
        if at >= self.size:
            return self._torn(start, "the file ends after a SELECT without an entry")
        end = self._line_end(at)
        if end < 0:
            return self._broken_line(start, at, end)
        format_number = self._field(at + 8, end)
        if format_number != 1:
            return self._broken_format(start, format_number)
        index = self._spaced_field(end)
        term = self._spaced_field(end) if index >= 0 else _MALFORMED
        time_ms = self._spaced_field(end) if term >= 0 else _MALFORMED
        database = self._spaced_field(end) if time_ms >= 0 else _MALFORMED
        length_at = self.cursor + 1
        length = self._spaced_field(end) if database >= 0 else _MALFORMED
        head_end = self.cursor
        checksum = self._checksum_field(end) if length >= 0 else _MALFORMED
        if checksum < 0:
            return self._damaged(start, DamageKind.HEADER, "the annotation of an entry is malformed")
        if length > self.size - end:
            return self._short_entry(start, at, length_at, end, length, checksum)
        if crc32c_range(self.data, end, end + length, crc32c_range(self.data, at, head_end, 0)) != checksum:
            return self._damaged(start, DamageKind.CHECKSUM, f"entry {index} of {length} bytes has a wrong checksum")
        if not self._in_order(start, at, index, term, database):
            return _IS_DAMAGED
        self.index = self.last_index = index
        self.term = self.last_term = term
        self.time_ms = time_ms
        self.database = database
        self.start = start
        self.body_start = end
        self.end = end + length
        return _IS_ENTRY

    def _in_order(self, start: int, at: int, index: int, term: int, database: int) -> bool:
        """Whether this entry may stand where it does."""
        if self.plain_start >= 0:
            what = f"commands without annotation stand before entry {index}"
            self._damaged(self.plain_start, DamageKind.UNANNOTATED, what)
        elif self.last_index >= 0 and index != self.last_index + 1:
            self._damaged(start, DamageKind.ORDER, f"entry {index} follows entry {self.last_index}")
        elif term < self.last_term:
            self._damaged(start, DamageKind.ORDER, f"entry {index} of term {term} follows one of term {self.last_term}")
        elif start != at and self.bytes_of(start, at) != select(database):
            what = f"entry {index} is for database {database}, and the SELECT before it says something else"
            self._damaged(start, DamageKind.DATABASE, what)
        return self.damage is None

    def _short_entry(self, start: int, at: int, length_at: int, body: int, length: int, checksum: int) -> int:
        """The file ends before the entry does: torn, or is the length wrong?"""
        what = f"the file ends after {self.size - body} of the {length} bytes of an entry"
        position = body
        in_lines = True
        while position < self.size:
            in_lines = in_lines and self.data[position] == 35
            if in_lines:
                after = self._body_line(position)
            else:
                after = self._command(position) if self.data[position] == 42 else _MALFORMED
            if after == _MALFORMED:
                return self._damaged(
                    start, DamageKind.HEADER, f"{what}, but these bytes do not look like its beginning"
                )
            if after == _INCOMPLETE:
                break
            position = after
        head = self.bytes_of(at, length_at) + b"%d" % (position - body)
        if crc32c_range(self.data, body, position, crc32c(head)) == checksum:
            return self._damaged(start, DamageKind.HEADER, f"{what}, but they are all: its length is wrong")
        if self.size < self.file_size and not self._unwritten(self.size, body + length):
            return self._damaged(start, DamageKind.CHECKSUM, "an entry has a wrong checksum, and zeros at its end")
        return self._torn(start, what)

    def _broken_line(self, start: int, at: int, reason: int) -> int:
        """There is no end of the line that begins at ``at``."""
        if reason == _INCOMPLETE:
            text = self.bytes_of(at, self.size)
            # A crash ends there only with a sector; else it is more likely that a byte was damaged.
            only_end_missing = self.size < self.file_size and text.endswith(b"\r") and self.size % SECTOR_BYTES != 0
            if not only_end_missing and any(beginning.fullmatch(text) for beginning in _BEGINNINGS):
                return self._torn(start, "the file ends inside an annotation")
        return self._damaged(start, DamageKind.HEADER, "the line of an annotation does not end as it should")

    def _broken_format(self, start: int, format_number: int) -> int:
        if format_number > 1:
            return self._damaged(start, DamageKind.FORMAT, f"an annotation has the unknown format {format_number}")
        return self._damaged(start, DamageKind.HEADER, "the annotation of an entry is malformed")

    def _other_line(self, at: int) -> int:
        """Take notice of a line that is no entry; the offset after it, or negative after damage."""
        end = self._line_end(at)
        if end < 0:
            self._broken_line(at, at, end)
            return _MALFORMED
        if self._has(at, _DURABLE):
            self._durable_line(at, end)
        elif self._has(at, _TIMESTAMP):
            seconds = self._field(at + 4, end)
            if seconds >= 0 and self.cursor == end - 2 and self.data[end - 2] == 13:
                self.timestamp_s = seconds
            else:
                self._damaged(at, DamageKind.HEADER, "a #TS: annotation is malformed")
        else:
            self._damaged(at, DamageKind.HEADER, "there is an annotation that kvorum does not know")
        return end if self.damage is None else _MALFORMED

    def _durable_line(self, at: int, end: int) -> None:
        found = _DURABLE_LINE.fullmatch(self.bytes_of(at, end))
        if found is None:
            self._damaged(at, DamageKind.HEADER, "the annotation of a durable position is malformed")
            return
        if crc32c(found[1]) != int(found[4], 16):
            self._damaged(at, DamageKind.CHECKSUM, "the annotation of a durable position has a wrong checksum")
            return
        index, offset = int(found[2]), int(found[3])
        if offset > at or (self.last_index >= 0 and index > self.last_index):
            what = f"entry {index} and byte {offset} are said to be safe on disk, but they do not stand before this"
            self._damaged(at, DamageKind.ORDER, what)
            return
        self.durable_index = max(index, self.durable_index)
        self.durable_offset = max(offset, self.durable_offset)

    def _durable_line_after(self, offset: int) -> int:
        """A position after ``offset`` that a line further on says was safe on disk, or -1. What a client has written into a
        value may look like one; where it does not fit, it is none."""
        for found in _DURABLE_LINE.finditer(self.data, offset):
            if crc32c(found[1]) == int(found[4], 16):
                index, safe = int(found[2]), int(found[3])
                if offset < safe <= found.start() and index > self.last_index:
                    return safe
        return -1

    def _selected(self, at: int) -> int:
        """The offset after the SELECT that belongs to an entry and begins there; negative if what begins there is
        something else."""
        if not self._has(at, _SELECT):
            return _MALFORMED
        after = self._command(at)
        if after < 0 or (after < self.size and not self._begins_entry(after)):
            return _MALFORMED
        return after

    def _begins_entry(self, at: int) -> bool:
        """Whether the annotation of an entry stands there, or as much of it as there is room for."""
        for position in range(min(len(_ENTRY), self.size - at)):  # noqa: SIM110
            if self.data[at + position] != _ENTRY[position]:
                return False
        return True

    def _commands(self, start: int) -> int:
        """As many plain commands as follow each other, but no half transaction."""
        if self.plain_start < 0:
            self.plain_start = start
        at = usable = start
        in_transaction = False
        timestamp_s = self.timestamp_s
        while at < self.size and (in_transaction or at - start < RUN_BYTES):
            if self.data[at] == 35:
                if not in_transaction:
                    break
                after = self._other_line(at)
                self.timestamp_s = timestamp_s
            else:
                after = (
                    self._command(at) if self.data[at] == 42 else self._malformed(at, "something else than a command")
                )
                if after > 0 and self._is_word(b"MULTI", b"multi"):
                    if in_transaction:
                        after = self._malformed(at, "MULTI inside MULTI")
                    in_transaction = True
                elif after > 0 and self._is_word(b"EXEC", b"exec"):
                    if not in_transaction:
                        after = self._malformed(at, "EXEC without MULTI")
                    in_transaction = False
            if after < 0:
                return self._end_of_commands(start, usable, after)
            at = after
            # A SELECT is part of what comes after it: torn with it, too.
            if not in_transaction and not self._is_word(b"SELECT", b"select"):
                usable = at
        if not in_transaction and at < self.size and (self.data[at] != 35 or self._line_end(at) >= 0):
            usable = at
        if usable < at:
            return self._end_of_commands(start, usable, _INCOMPLETE)
        return self._end_of_commands(start, usable, 0)

    def _end_of_commands(self, start: int, usable: int, reason: int) -> int:
        """What can be used of a run is handed out; what is wrong behind it comes up again as the next record."""
        if usable > start:
            self.damage = None
            self.start = start
            self.end = usable
            return _IS_COMMANDS
        if self.damage is not None:
            found, self.damage = self.damage, None
            return self._damaged(start, found.kind, found.what) if not found.torn else self._torn(start, found.what)
        if reason == _INCOMPLETE:
            return self._torn(start, "the file ends inside a command or transaction")
        return self._damaged(start, DamageKind.GARBAGE, f"{self.trouble} stands at byte {self.trouble_at}")

    def _command(self, at: int) -> int:
        """The offset after the command that begins there, _INCOMPLETE if the file ends in it, or _MALFORMED. ``word_start`` and
        ``word_end`` are its first word."""
        count = self._length(at, 42)
        if count < 0:
            return count
        if count == 0:
            return self._malformed(at, "a command without a name")
        for argument in range(count):
            length = self._length(self.cursor, 36)
            if length < 0:
                return length
            start = self.cursor
            room = self.size - start
            if room > length and self.data[start + length] != 13:
                return self._malformed(start + length, "no end of an argument")
            if room < length + 2:
                return _INCOMPLETE
            if self.data[start + length + 1] != 10:
                return self._malformed(start + length, "no end of an argument")
            if argument == 0:
                self.word_start = start
                self.word_end = start + length
            self.cursor = start + length + 2
        self.words = count
        return self.cursor

    def _length(self, at: int, mark: int) -> int:
        """The number of a line such as ``$12``; ``cursor`` stands after it. _INCOMPLETE or _MALFORMED if it is not there."""
        if at >= self.size:
            return _INCOMPLETE
        if self.data[at] != mark:
            return self._malformed(at, "not the length that belongs there")
        number = 0
        position = at + 1
        while position < self.size:
            digit = self.data[position] - 48
            if digit < 0 or digit > 9:
                break
            if position - at > MOST_DIGITS or (number == 0 and position > at + 1):
                return self._malformed(at, "a length out of range")
            number = number * 10 + digit
            position += 1
        if position == self.size:
            return _INCOMPLETE
        if position == at + 1 or self.data[position] != 13:
            return self._malformed(at, "a length that is no number")
        if position + 1 == self.size:
            return _INCOMPLETE
        if self.data[position + 1] != 10:
            return self._malformed(at, "a length without the end of its line")
        self.cursor = position + 2
        return number

    def _is_word(self, upper: bytes, lower: bytes) -> bool:
        """Whether the command that was just read has this name."""
        if self.word_end - self.word_start != len(upper):
            return False
        for position in range(len(upper)):
            byte = self.data[self.word_start + position]
            if byte != upper[position] and byte != lower[position]:
                return False
        return True

    def _malformed(self, at: int, what: str) -> int:
        self.trouble_at = at
        self.trouble = what
        return _MALFORMED

    def _only_zeros_follow(self) -> bool:
        """After damage: whether the file has nothing but zeros from some later point on, and is to be read as if it ended
        there."""
        if self.size < self.file_size or self.damage is None or self.damage.torn:
            return False
        used = self.size
        while used > self.end and self.data[used - 1] == 0:
            used -= 1
        if used == self.size or (used > self.end and not self._unwritten(used, self.size)):
            return False
        self.size = used
        return True

    def _unwritten(self, used: int, end: int) -> bool:
        """Whether the zeros between these offsets, with nothing but zeros behind them, are what a crash leaves, rather than
        a damaged byte or two: many, or the rest of the file from the start of a sector on."""
        sector = (used + SECTOR_BYTES - 1) // SECTOR_BYTES * SECTOR_BYTES
        return end - used >= LEAST_ZEROS or (sector < end and sector < self.file_size - 1)

    def _torn(self, offset: int, what: str) -> int:
        """The file ends too early: torn, if it can be."""
        if offset < self.durable_offset:
            what += f", although {self.durable_offset} bytes of the file were safe on disk"
            return self._damaged(offset, DamageKind.LOST, what)
        safe = self._durable_line_after(offset)
        if safe >= 0:
            what += f", although a later annotation says that {safe} bytes of the file were safe on disk"
            return self._damaged(offset, DamageKind.LOST, what)
        return self._damaged(offset, DamageKind.TORN, what)

    def _damaged(self, offset: int, kind: DamageKind, what: str) -> int:
        self.damage = Damage(self.file, offset, kind, what, self.file_size - offset)
        return _IS_DAMAGED
