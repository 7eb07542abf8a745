"""``kvorum check``: is everything in a data directory whole, what is in it, and cutting off what is not.

Exit status 0: whole; 1: something is damaged, or could not be repaired; 2: wrong use.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvorum.cli.places import Place, find_place
from kvorum.quoting import quote

if TYPE_CHECKING:
    from kvorum.journal.entries import EntryReader
    from kvorum.journal.inspection import FileReport, LogReport, Problem, Verify
    from kvorum.journal.repair import Cut

    _RangeType = click.ParamType[tuple[int, float]]
else:
    _RangeType = click.ParamType  # is not generic before click 8.2

DAMAGED_STATUS = 1
SHOWN_COMMANDS = 3
SHOWN_WORDS = 6
SHOWN_BYTES = 40
SHOWN_NAMES = 12
_RANGE = re.compile(r"([0-9]{1,18})(-)?([0-9]{1,18})?")


class EntryRange(_RangeType):
    """``FROM``, ``FROM-`` or ``FROM-TO``: the first and the last index."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, float]:
        found = _RANGE.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is not FROM, FROM- or FROM-TO", param, ctx)
        first, dash, last = found.groups()
        if not dash:
            last = first
        return int(first), int(last) if last else float("inf")


@click.command("check", short_help="Verify, show and repair data on disk.")
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--fix", is_flag=True, help="Cut the log off where it stops making sense, after showing what would go.")
@click.option("--yes", is_flag=True, help="Do not ask before that.")
@click.option("--discard", is_flag=True, help="Do not keep what is cut off; else it goes into a file beside it.")
@click.option(
    "--entries", type=EntryRange(), is_flag=False, flag_value="0-", metavar="[FROM[-TO]]",
    help="List the entries, all or those with these indexes.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each entry and, last, for the whole.")
def check(path: Path, fix: bool, yes: bool, discard: bool, entries: tuple[int, float] | None, as_json: bool) -> None:
    """Verify every checksum in DIR: a data directory, its append-only directory, or a single file of it (manifest, .aof
    or .rdb). Show what is in each file. Nothing is changed without --fix.

    Exit status: 0 if everything is whole, 1 if something is damaged, 2 for wrong use.
    """
    if (yes or discard) and not fix:
        raise click.UsageError("--yes and --discard say how --fix works, and need it")
    program = _Check(find_place(path), entries, as_json)
    program.inspect()
    if fix and program.problems:
        program.repair(yes, discard)
    sys.exit(program.finish())


class _Check:
    """One run. ``holder``: the process that writes here, 0 if its id is unknown, None if there is none."""

    def __init__(self, place: Place, entries: tuple[int, float] | None, as_json: bool) -> None:
        from kvorum.journal.directory import holder
        from kvorum.journal.disk import RealDisk

        self.place = place
        self.disk = RealDisk()
        self.entries = entries
        self.as_json = as_json
        self.repaired: list[Cut] = []
        self.kept: list[str] = []
        self.refusal = ""
        self.log: LogReport | None = None
        self.files: list[FileReport] = []
        self.directory = place.log.directory if place.log is not None else place.files[0].parent
        self.holder = holder(str(self.directory))

    def inspect(self) -> None:
        """Read everything."""
        from kvorum.journal.inspection import inspect_file, inspect_log

        verify = known_commands()
        listener = self._list if self.entries is not None else None
        if self.place.log is not None:
            directory, filename = str(self.place.log.directory), self.place.log.filename
            self.log = inspect_log(self.disk, directory, filename, verify, listener)
        self.files = [inspect_file(self.disk, str(one), None, verify, listener) for one in self.place.files]

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong. What a server is just writing is no torn end."""
        found = (self.log.problems if self.log is not None else []) + [
            one.problem for one in self.files if one.problem is not None
        ]
        return [one for one in found if not (one.torn and self.holder is not None)]

    def repair(self, yes: bool, discard: bool) -> None:
        """Cut off what cannot be used, if that helps and is wanted."""
        from kvorum.journal.directory import DataDirectory, DirectoryError
        from kvorum.journal.disk import DiskError
        from kvorum.journal.inspection import LogReport
        from kvorum.journal.repair import CannotRepairError, cut_off, plan_cuts

        held = None
        try:
            held = DataDirectory.open(self.disk, str(self.directory), checks_node=False)
            report = self.log or LogReport(str(self.directory), "", files=self.files)
            cuts = plan_cuts(self.disk, report)
            if cuts and self._agreed(cuts, yes, discard):
                self.kept = cut_off(self.disk, cuts, not discard)
                self.repaired = cuts
                self.entries = None
                self.inspect()
        except (CannotRepairError, DirectoryError, DiskError) as error:
            self.refusal = str(error)
        finally:
            if held is not None:
                held.close()

    def _agreed(self, cuts: list[Cut], yes: bool, discard: bool) -> bool:
        click.echo("This would be cut off:", err=True)
        for one in cuts:
            click.echo(f"  {one}", err=True)
        where = "and would be gone" if discard else "and kept in a file beside it"
        if yes:
            return True
        try:
            if click.confirm(f"Cut it off, {where}?", err=True):
                return True
        except click.Abort:
            click.echo(err=True)
        self.refusal = "nothing was cut off; --yes does it without asking"
        return False

    def finish(self) -> int:
        """Print what was found; the exit status."""
        problems = self.problems
        if self.as_json:
            click.echo(json.dumps(self._object(problems)))
        else:
            for line in self._lines():
                click.echo(line)
        for one in problems:
            click.echo(f"kvorum: {'torn' if one.torn else 'damaged'}: {one}", err=True)
        if self.refusal:
            click.echo(f"kvorum: not repaired: {self.refusal}", err=True)
        return DAMAGED_STATUS if problems or self.refusal else 0

    def _object(self, problems: list[Problem]) -> dict[str, Any]:
        log = self.log
        return {
            "whole": not problems,
            "directory": str(self.directory),
            "node_id": log.node_id if log is not None else "",
            "held_by": self.holder,
            "manifest_has_checksum": bool(log is not None and log.manifest is not None and log.manifest.checked),
            "files": [_file_object(one) for one in self._reports()],
            "problems": [_problem_object(one) for one in problems],
            "repaired": [
                {"file": one.path, "offset": one.offset, "bytes": one.bytes_after, "entries": one.loss.entries,
                 "first_index": one.loss.first_index, "last_index": one.loss.last_index}
                for one in self.repaired
            ],
            "kept": self.kept,
        }  # fmt: skip

    def _reports(self) -> list[FileReport]:
        return [*(self.log.files if self.log is not None else []), *self.files]

    def _lines(self) -> Iterable[str]:
        log = self.log
        if log is not None:
            yield f"directory {log.directory}" + (f", node {log.node_id}" if log.node_id else "")
            if log.manifest is not None:
                checksum = "its checksum is right" if log.manifest.checked else "without checksum, as Redis writes it"
                yield f"manifest {log.filename}.manifest: {len(log.manifest.files)} files, {checksum}"
        if self.holder is not None:
            who = f"the process {self.holder}" if self.holder else "a process"
            yield f"{who} is writing here: what it has not finished yet does not count"
        for one in self._reports():
            yield from describe_file(one)
        for cut in self.repaired:
            yield f"cut off: {cut}"
        for path in self.kept:
            yield f"kept in {path}"
        yield "damaged" if self.problems else "whole"

    def _list(self, kind: int, reader: EntryReader) -> None:
        from kvorum.journal.entries import ENTRY
        from kvorum.journal.inspection import changes_members, is_no_op

        assert self.entries is not None
        if kind != ENTRY:
            if not self.as_json and self.entries[0] == 0:
                click.echo(f"         without annotation  {reader.end - reader.start} bytes  byte {reader.start}")
            return
        if not self.entries[0] <= reader.index <= self.entries[1]:
            return
        commands = shorten(reader.bytes_of(reader.body_start, min(reader.end, reader.body_start + 4096)))
        size = reader.end - reader.body_start
        kind_of = "no-op" if is_no_op(reader) else "members" if changes_members(reader) else "commands"
        if self.as_json:
            found = {"index": reader.index, "term": reader.term, "time_ms": reader.time_ms, "database": reader.database,
                     "bytes": size, "offset": reader.start, "kind": kind_of, "commands": commands}  # fmt: skip
            click.echo(json.dumps(found))
        else:
            click.echo(f"{reader.index:>8}  term {reader.term}  {_entry_text(reader, kind_of, commands)}")


def _entry_text(reader: EntryReader, kind: str, commands: str) -> str:
    if kind == "no-op":
        return "the term begins"
    if kind == "members":
        return f"the members change  {commands}"
    size = reader.end - reader.body_start
    return f"{show_time(reader.time_ms)}  db{reader.database}  {size} bytes  {commands}"


def known_commands() -> Verify:
    """Says of a command whether it can stand in a log."""
    from kvorum.commands import all_groups
    from kvorum.commands.registry import Registry

    commands = Registry(all_groups()).commands

    def verify(name: bytes, words: int) -> str:
        command = commands.get(name.lower())
        shown = name.decode(errors="backslashreplace")[:SHOWN_BYTES]
        if command is None:
            return f"the command {shown!r} is unknown"
        wrong = words != command.arity if command.arity > 0 else words < -command.arity
        return f"the command {shown!r} stands there with {words - 1} arguments" if wrong else ""

    return verify


def show_time(time_ms: int) -> str:
    """Unix milliseconds for people, in UTC."""
    try:
        shown = datetime.fromtimestamp(time_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
    return shown.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


def show_size(size: int) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def shorten(body: bytes) -> str:
    """The first commands of a piece of RESP, shortened, on one line."""
    shown: list[str] = []
    at = 0
    while at < len(body) and len(shown) < SHOWN_COMMANDS:
        words, at = _line(body, at) if body[at : at + 1] == b"#" else _words(body, at)
        if not words:
            break
        shown.append(" ".join(words))
    return "; ".join(shown) + (" …" if at < len(body) else "")


def _line(body: bytes, at: int) -> tuple[list[str], int]:
    """The annotation line at ``at``, and where it ends."""
    end = body.find(b"\r\n", at)
    if end < 0:
        return [], len(body)
    text = body[at:end].decode(errors="backslashreplace")
    return [text if len(text) <= SHOWN_BYTES else text[:SHOWN_BYTES] + "…"], end + 2


def _words(body: bytes, at: int) -> tuple[list[str], int]:
    """The words of the command at ``at``, those that are shown, and where it ends."""
    end = body.find(b"\r\n", at)
    if end < 0 or not body[at + 1 : end].isdigit():
        return [], len(body)
    count, at = int(body[at + 1 : end]), end + 2
    words: list[str] = []
    for number in range(count):
        end = body.find(b"\r\n", at)
        if end < 0 or not body[at + 1 : end].isdigit():
            return [*words, "…"], len(body) + 1
        length, at = int(body[at + 1 : end]), end + 2
        if number < SHOWN_WORDS:
            word = quote(body[at : at + min(length, SHOWN_BYTES)]).decode()
            plain = number == 0 and word[1:-1].isalpha()
            words.append((word[1:-1] if plain else word) + ("…" if length > SHOWN_BYTES else ""))
        elif number == SHOWN_WORDS:
            words.append("…")
        at += length + 2
    return words, at


def describe_file(one: FileReport) -> Iterable[str]:
    """What is in a file, in lines."""
    yield f"{one.kind} {one.name}: {show_size(one.size)}"
    if one.is_rdb:
        keys = ", ".join(f"db{database} {count}" for database, count in sorted(one.keys.items()))
        checksum = "its checksum is right" if one.has_checksum else "without checksum"
        yield (
            f"  RDB version {one.rdb_version}, {sum(one.keys.values())} keys ({keys or 'none'}), {one.expires} of them expire, "
            f"{checksum if one.problem is None else 'not whole'}"
        )
        if b"kvorum-index" in one.aux:
            term = f" of term {one.last_term}" if one.last_term >= 0 else ""
            index = one.aux[b"kvorum-index"].decode(errors="replace")
            yield f"  up to index {index}{term}, begun by {show_time(one.last_time_ms)}"
    if one.entries:
        databases = ", ".join(f"db{database} {count}" for database, count in sorted(one.entries_in.items()))
        yield f"  {one.entries} entries, {one.first_index} to {one.last_index}, terms {one.first_term} to {one.last_term}"
        if one.entries_in:
            yield f"  {show_time(one.first_time_ms)} to {show_time(one.last_time_ms)}; {databases}"
        if one.no_ops or one.members_entries:
            yield f"  of a group: {one.terms} terms, {one.no_ops} begin here; its members change {one.members_entries} times"
    if one.durable_index >= 0:
        yield f"  known to be safe: up to entry {one.durable_index} and byte {one.durable_offset}"
    if one.names:
        names = sorted(one.names.items(), key=lambda pair: (-pair[1], pair[0]))
        more = f" and {len(names) - SHOWN_NAMES} others" if len(names) > SHOWN_NAMES else ""
        yield "  " + ", ".join(f"{name} {count}" for name, count in names[:SHOWN_NAMES]) + more
    if one.plain_commands:
        yield f"  {one.plain_commands} commands without annotation from byte {one.plain_start} on, as redis-server writes"


def _file_object(one: FileReport) -> dict[str, Any]:
    return {
        "file": one.path, "kind": one.kind, "size": one.size, "format": "rdb" if one.is_rdb else "aof",
        "rdb_version": one.rdb_version, "has_checksum": one.has_checksum,
        "keys": {str(database): count for database, count in sorted(one.keys.items())}, "expires": one.expires,
        "entries": one.entries, "first_index": one.first_index, "last_index": one.last_index,
        "first_term": one.first_term, "last_term": one.last_term, "terms": one.terms,
        "no_ops": one.no_ops, "members_entries": one.members_entries,
        "first_time_ms": one.first_time_ms, "last_time_ms": one.last_time_ms,
        "entries_in": {str(database): count for database, count in sorted(one.entries_in.items())},
        "commands": dict(sorted(one.names.items())),
        "durable_index": one.durable_index, "durable_offset": one.durable_offset,
        "plain_start": one.plain_start, "plain_commands": one.plain_commands,
        "problem": _problem_object(one.problem) if one.problem is not None else None,
    }  # fmt: skip


def _problem_object(one: Problem) -> dict[str, Any]:
    return {
        "file": one.file, "offset": one.offset, "what": one.what, "remedy": one.remedy,
        "bytes_after": one.bytes_after, "torn": one.torn,
    }  # fmt: skip
