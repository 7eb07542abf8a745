"""Cutting a damaged log where it stops making sense: what ``kvorum check --fix`` does, after it has shown what would go.

Only the end of a log can be cut off. Where whole entries of a later file come after the damage, or where the base or the
manifest is what is damaged, nothing that is cut makes a log of it again, and nothing is touched. Nor is the log of a group's
member, unless its end is torn: the others count on what the member has acknowledged, and it would not know that it is gone.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from kvorum.journal.directory import VOTES_FILE
from kvorum.journal.disk import Disk, DiskFile, FileView, append_all
from kvorum.journal.inspection import FileReport, LogReport, Loss, entries_behind

COPY_BYTES = 1 << 20
MOST_NAMES = 1000


class CannotRepairError(Exception):
    """Cutting would not help; the text says why and what does."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The end of a file that is to go, and what is in it."""

    path: str
    offset: int
    bytes_after: int
    loss: Loss

    def __str__(self) -> str:
        loss = self.loss
        entries = "no entry that is whole" if loss.entries == 0 else f"{loss.entries} entries that are whole"
        indexes = f", indexes {loss.first_index} to {loss.last_index}" if loss.first_index >= 0 else ""
        return f"{self.path}, byte {self.offset}: {self.bytes_after} bytes, with {entries}{indexes}"


def plan_cuts(disk: Disk, report: LogReport) -> list[Cut]:
    """What must go so that the rest is whole. CannotRepairError, DiskError."""
    if report.problem is not None:
        raise CannotRepairError(str(report.problem))
    _refuse_member(disk, report)
    damaged = [at for at, one in enumerate(report.files) if one.problem is not None]
    if not damaged:
        if report.node_problem is not None:
            raise CannotRepairError(str(report.node_problem))
        return []
    return _plan(disk, report.files[damaged[0]], report.files[damaged[0] + 1 :])


def _refuse_member(disk: Disk, report: LogReport) -> None:
    """Raise if the directory is that of a member of a group, and something else than a torn end would be cut off."""
    for one in report.files:
        if (
            one.problem is not None
            and not one.problem.torn
            and disk.exists(posixpath.join(report.directory, VOTES_FILE))
        ):
            raise CannotRepairError(
                f"{one.problem.file}, byte {one.problem.offset}: {one.problem.what}; this is the log of a member of a group, "
                f"and the others count on what it has acknowledged: remove it from the group, empty its directory, and add it "
                f"again"
            )


def _plan(disk: Disk, first: FileReport, later: list[FileReport]) -> list[Cut]:
    problem = first.problem
    assert problem is not None
    if problem.offset < 0 or ((first.kind == "base" or first.is_rdb) and not problem.torn):
        raise CannotRepairError(f"{problem}")
    behind = [_cut(disk, one.path, 0) for one in later if one.problem is None or one.problem.offset >= 0]
    for one in later:
        lost = any(cut.path == one.path and cut.loss.entries for cut in behind)
        if one.entries or one.plain_commands or lost or (one.problem is not None and one.problem.offset != 0):
            raise CannotRepairError(
                f"{problem.file}, byte {problem.offset}: {problem.what}; {one.name} behind it is not empty, so nothing that is "
                f"cut off here helps: take the file from a backup or another node, or make a new directory of what is whole "
                f"with `kvorum restore --until INDEX`"
            )
    return [_cut(disk, first.path, problem.offset), *(one for one in behind if one.bytes_after)]


def _cut(disk: Disk, path: str, offset: int) -> Cut:
    with disk.view(path) as view:
        return Cut(path, offset, view.size - offset, entries_behind(view, offset))


def cut_off(disk: Disk, cuts: list[Cut], keep: bool) -> list[str]:
    """Do it, safely on disk; paths of the files that keep what was cut off. DiskError: what is not cut yet is as it was."""
    kept = [_keep(disk, one) for one in cuts if keep and one.bytes_after]
    # From the last file to the first: whatever is there in between can be repaired in the same way.
    for one in reversed(cuts):
        file = disk.open_append(one.path)
        try:
            disk.truncate(file, one.offset)
            disk.fsync(file)
        finally:
            disk.close(file)
    return kept


def _keep(disk: Disk, cut: Cut) -> str:
    path = _free_name(disk, f"{cut.path}.cut-at-{cut.offset}")
    file = disk.create(path)
    try:
        with disk.view(cut.path) as view:
            copy_bytes(disk, view, file, cut.offset, view.size)
        disk.fsync(file)
    except BaseException:
        disk.unlink(path)
        raise
    finally:
        disk.close(file)
    disk.sync_directory(posixpath.dirname(path) or ".")
    return path


def copy_bytes(disk: Disk, view: FileView, file: DiskFile, start: int, end: int) -> None:
    """Append a piece of one file to another."""
    for at in range(start, end, COPY_BYTES):
        append_all(disk, file, bytes(view.data[at : min(at + COPY_BYTES, end)]))


def _free_name(disk: Disk, path: str) -> str:
    if not disk.exists(path):
        return path
    for number in range(2, MOST_NAMES):
        if not disk.exists(f"{path}.{number}"):
            return f"{path}.{number}"
    raise CannotRepairError(f"{path}: there are {MOST_NAMES} such files already; remove some")
