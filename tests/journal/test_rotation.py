"""The end of an increment that is followed by another one is never torn."""

from __future__ import annotations

from kvorum.journal.journal import Journal
from kvorum.journal.manifest import Manifest
from kvorum.testing.disk import FakeDisk

PING = b"*1\r\n$4\r\nPING\r\n"


def test_a_line_about_safety_behind_the_last_entry_is_safe_before_the_next_increment_begins() -> None:
    disk = FakeDisk(("/", "/log"))
    journal = Journal(disk, "/log", "log", Manifest(), clock=lambda: 5)
    first = journal.file.path
    journal.write_entry(1, 1, 5, 0, PING, 0)
    journal.flusher.wait(journal.written)
    journal.note_idle()  # sees that something was written
    before = disk.size(first)
    journal.note_idle()  # says how far it is safe
    assert disk.size(first) > before
    journal.rotate()
    whole = disk.read(first)
    states = [state for state in disk.crash_states() if state.after == len(disk.operations)]
    assert states
    assert {state.files[first] for state in states} == {whole}
    journal.close()
