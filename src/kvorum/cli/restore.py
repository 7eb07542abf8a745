"""``kvorum restore``: a new data directory as the old one was at a point in time.

Exit status 0: it is there; 1: it could not be restored; 2: wrong use.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvorum.cli.places import find_log

if TYPE_CHECKING:
    from kvorum.journal.restoring import Point

    _PointType = click.ParamType[Point]
else:
    _PointType = click.ParamType  # is not generic before click 8.2

FAILED_STATUS = 1
_UNIX = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(s|ms)")
_INDEX = re.compile(r"[0-9]{1,18}")
_LOOKS_LIKE_TIME = 1_000_000_000


class PointType(_PointType):
    """``1234`` (an index), ``1700000000s`` or ``1700000000123ms`` (Unix time), or ISO 8601 with a zone."""

    name = "time|index"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Point:
        from kvorum.journal.restoring import Point

        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        if _INDEX.fullmatch(value):
            return Point(index=int(value))
        unix = _UNIX.fullmatch(value)
        if unix is not None:
            return Point(time_ms=int(Decimal(unix[1]) * (1000 if unix[2] == "s" else 1)))
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither an index (1234), nor a Unix time (1700000000s, 1700000000123ms), nor a time as "
                "2026-11-20T17:00:00Z", param, ctx,
            )  # fmt: skip
        if moment.tzinfo is None:
            self.fail(f"{value!r} has no zone; say {value}Z for UTC, or {value}+01:00", param, ctx)
        whole = moment.replace(microsecond=0).timestamp()
        return Point(time_ms=int(whole) * 1000 + moment.microsecond // 1000)


@click.command("restore", short_help="Copy data as they were at a point in time.")
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--until", "point", type=PointType(), required=True, metavar="TIME|INDEX", help=(
    "The last entry: its index (1234), or a time, which is included: 2026-11-20T17:00:00Z, 1700000000s or "
    "1700000000123ms."
))  # fmt: skip
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, metavar="NEWDIR", help=(
    "The new data directory; it must be empty, or not be there."
))  # fmt: skip
def restore(path: Path, point: Point, target: Path) -> None:
    """Make the data directory NEWDIR with what DIR had at a point in time: the base of its log and all entries up to
    there. DIR is only read. Every checksum is verified, before and after. `kvorum check DIR --entries` shows indexes
    and times.

    Exit status: 0 if it is restored, 1 if it cannot be, 2 for wrong use.
    """
    from kvorum.journal.disk import DiskError, RealDisk
    from kvorum.journal.restoring import RestoreError, show_ms
    from kvorum.journal.restoring import restore as make

    log = find_log(path)
    try:
        restored = make(RealDisk(), str(log.directory.resolve()), log.filename, point, str(target.absolute()))
    except (RestoreError, DiskError) as error:
        click.echo(f"kvorum: not restored: {error}", err=True)
        if point.index >= _LOOKS_LIKE_TIME:
            click.echo(
                f"kvorum: {point.index} is an index; as a time write {point.index}s or {point.index}ms", err=True
            )
        sys.exit(FAILED_STATUS)
    when = f", {show_ms(restored.time_ms)}" if restored.time_ms >= 0 else ""
    click.echo(f"restored up to index {restored.index}{when}: {restored.files} files in {target}")
    click.echo(f"start it with: {_command(log.directory.resolve().name, log.filename, target)}")


def _command(directory: str, filename: str, target: Path) -> str:
    words = ["kvorum server", f"--dir {target}", "--appendonly yes"]
    if directory != "appendonlydir":
        words.append(f"--appenddirname {directory}")
    if filename != "appendonly.aof":
        words.append(f"--appendfilename {filename}")
    return " ".join(words)
