"""Where the files of a directory are that an operator names: ``kvorum check DIR`` and ``kvorum restore DIR``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

MANIFEST = ".manifest"
TEMPORARY = "temp-"
_LOG_FILE = re.compile(r"(.+)\.[0-9]+\.(?:base|incr)\.(?:rdb|aof)")


@dataclass(frozen=True, slots=True)
class Log:
    """An append-only directory and the first part of its files' names (appendfilename)."""

    directory: Path
    filename: str


@dataclass(frozen=True, slots=True)
class Place:
    """What was named: a log, snapshots, single files."""

    log: Log | None
    files: tuple[Path, ...] = ()


def find_place(path: Path) -> Place:
    """What stands at ``path``; click.UsageError if that is nothing of kvorum or Redis."""
    if path.is_dir():
        return _in_directory(path)
    if not path.exists():
        raise click.UsageError(f"{path}: there is no such file or directory")
    if path.name.endswith(MANIFEST):
        return Place(Log(path.parent, path.name.removesuffix(MANIFEST)))
    return Place(None, (path,))


def find_log(path: Path) -> Log:
    """The log at ``path``; click.UsageError if there is none."""
    log = find_place(path).log
    if log is None:
        raise click.UsageError(f"{path}: there is no append-only directory; name it, or the directory that holds it")
    return log


def _in_directory(path: Path) -> Place:
    logs = _logs(path) or [log for one in sorted(path.iterdir()) if one.is_dir() for log in _logs(one)]
    if len(logs) > 1:
        found = ", ".join(f"{one.directory / one.filename}{MANIFEST}" for one in logs)
        raise click.UsageError(f"{path}: there are several logs, name one of them: {found}")
    files = sorted(path.glob("*.rdb"))
    if not logs or logs[0].directory != path:
        files += sorted(path.glob("*.aof"))  # of redis-server before version 7
    files = [one for one in files if not _belongs_to_log(one)]
    if not logs and not files:
        raise click.UsageError(f"{path}: there are no files of kvorum or Redis here")
    return Place(logs[0] if logs else None, tuple(files))


def _belongs_to_log(path: Path) -> bool:
    return path.name.startswith(TEMPORARY) or _LOG_FILE.fullmatch(path.name) is not None


def _logs(path: Path) -> list[Log]:
    """Those with a manifest, and those that must have lost theirs."""
    names = [one.name for one in path.iterdir() if not one.name.startswith(TEMPORARY)]
    found = {name.removesuffix(MANIFEST) for name in names if name.endswith(MANIFEST)}
    lost = {match[1] for name in names if (match := _LOG_FILE.fullmatch(name))}
    return [Log(path, name) for name in sorted(found or lost)]
