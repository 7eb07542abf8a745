"""The server's log: structured lines on standard output or in a file, and as JSON in ``logdir``.

``log.notice("client closed", address="127.0.0.1:4711", reason="idle")`` prints

    4242:M 20 Nov 2026 11:05:20.123 notice client closed address=127.0.0.1:4711 reason=idle

An event is a fixed text; what varies goes into fields. There is one ``Logger`` per server and nothing global: the
processors hang on the object, so two servers in one process log to two places. A line below the level costs one
comparison.

Lines that repeat themselves are thinned (``log-sampling``): within an interval a line that was already written, and
any more than ``MAX_LINES_PER_EVENT`` of one event, are only counted; the count is written when the interval is over.

Secrets never reach an output: fields named like one are replaced, and so are passwords in requests (``redaction``).
A log that cannot be written must not stop the server: such lines are counted and lost.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

import structlog

from kvorum.clock import Clock
from kvorum.config import Config, ValueRefusedError
from kvorum.errors import StartupError
from kvorum.observe.redaction import redact

JSON_FILE = "redis.log"
MAX_LINES_PER_EVENT = 100  # in one sampling interval
MAX_COUNTED_LINES = 1024  # different lines that one interval remembers; further ones are written unsampled
_REOPEN_CHECK_NS = 1_000_000_000
_FILE_MODE = 0o644
_SECRET_FIELDS = frozenset(("password", "passwords", "secret", "requirepass", "masterauth", "masteruser", "auth"))
_REDACTED = "(redacted)"
_OWN_FIELDS = ("time", "level", "pid", "role", "event")

Fields = MutableMapping[str, Any]


class Level(enum.IntEnum):
    """How important a line is; named as Redis' levels."""

    DEBUG = 0
    VERBOSE = 1
    NOTICE = 2
    WARNING = 3
    NOTHING = 4


# Plain numbers: comparing members of an enumeration would cost more than the rest of a call that writes nothing.
_DEBUG, _VERBOSE, _NOTICE, _WARNING = (int(level) for level in Level if level is not Level.NOTHING)


class Output(Protocol):
    """Where lines go."""

    def write(self, line: Line) -> None: ...

    def close(self) -> None: ...


class Line:
    """A line with what every line has; rendered once for each form that is asked for."""

    __slots__ = ("event", "fields", "level", "pid", "role", "time_ms", "traceback")

    def __init__(self, time_ms: int, level: Level, role: str, event: str, fields: Mapping[str, object]) -> None:
        self.time_ms = time_ms
        self.level = level
        self.pid = os.getpid()
        self.role = role
        self.event = event
        self.fields = {name: value for name, value in fields.items() if name != "exception"}
        self.traceback = str(fields.get("exception", ""))

    def text(self) -> str:
        """In one line, followed by the traceback if there is one."""
        seconds, milliseconds = divmod(self.time_ms, 1000)
        when = time.strftime("%d %b %Y %H:%M:%S", time.localtime(seconds))
        words = [f"{self.pid}:{self.role}", f"{when}.{milliseconds:03d}", self.level.name.lower(), _escaped(self.event)]
        words += [f"{name}={_shown(value)}" for name, value in self.fields.items()]
        after = "".join(f"\n    {_escaped(line)}" for line in self.traceback.splitlines())
        return " ".join(words) + after + "\n"

    def json(self) -> str:
        """As one JSON object; a field that is named like one of ours gets an underscore."""
        when = datetime.fromtimestamp(self.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
        values: dict[str, object] = {
            "time": when.replace("+00:00", "Z"),
            "level": self.level.name.lower(),
            "pid": self.pid,
            "role": self.role,
            "event": self.event,
        }
        for name, value in self.fields.items():
            values[name + "_" if name in _OWN_FIELDS else name] = value
        if self.traceback:
            values["exception"] = self.traceback
        return json.dumps(values, default=_for_json) + "\n"


class StreamOutput:
    """Text on a stream that belongs to the process."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: Line) -> None:
        text = line.text()
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        self._stream.flush()

    def close(self) -> None:
        """The stream is not ours to close."""


class FileOutput:
    """A file, opened anew when somebody moved it away, as log rotation does."""

    def __init__(self, path: Path, render: Callable[[Line], str], clock: Clock) -> None:
        """Raises StartupError if the file cannot be opened."""
        self._path = path
        self._render = render
        self._clock = clock
        self._next_check_ns = 0
        try:
            self._descriptor = self._open()
        except OSError as error:
            raise StartupError(f"can't open the log file {path}: {error.strerror}") from None

    def write(self, line: Line) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_check_ns:
            self._next_check_ns = now_ns + _REOPEN_CHECK_NS
            self._reopen_if_moved()
        data = self._render(line).encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)

    def _reopen_if_moved(self) -> None:
        ours = os.fstat(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(self._path)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        fresh = self._open()
        os.close(self._descriptor)
        self._descriptor = fresh


class Sampler:
    """Decides which lines are written, and counts those that are not."""

    def __init__(self, clock: Clock, config: Config) -> None:
        self._clock = clock
        self._config = config
        self._began_ns = clock.monotonic_ns()
        self._seen: dict[str, _Seen] = {}
        self._written: dict[str, int] = {}

    def admits(self, level: Level, event: str, fields: Mapping[str, object]) -> bool:
        """Whether to write this line now."""
        if not self._config.log_sampling:
            return True
        key = f"{level}{event}\0{fields!r}"
        seen = self._seen.get(key)
        written = self._written.get(event, 0)
        if seen is None and written < MAX_LINES_PER_EVENT:
            self._written[event] = written + 1
            if len(self._seen) < MAX_COUNTED_LINES:
                self._seen[key] = _Seen(level, event, {name: fields[name] for name in fields if name != "exception"})
            return True
        if seen is None:
            # One of too many lines of this event: counted together, without the fields in which they differ.
            seen = self._seen.setdefault(f"{level}{event}", _Seen(level, event, {}))
        seen.repeated += 1
        return False

    def take_repeated(self, at_once: bool = False) -> list[_Seen]:
        """What was only counted in the interval that is over, if it is (or ``at_once``); a new one begins then."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._began_ns < self._config.log_sampling_interval * 1_000_000_000 and not at_once:
            return []
        self._began_ns = now_ns
        repeated = [seen for seen in self._seen.values() if seen.repeated]
        self._seen.clear()
        self._written.clear()
        return repeated


class _Seen:
    """A line of the present interval, and how often it came again."""

    __slots__ = ("event", "fields", "level", "repeated")

    def __init__(self, level: Level, event: str, fields: dict[str, object]) -> None:
        self.level = level
        self.event = event
        self.fields = fields
        self.repeated = 0


class Outputs:
    """What the loggers of one server share: level, role, sampling, and where lines go."""

    def __init__(self, clock: Clock, sampler: Sampler, outputs: Sequence[Output]) -> None:
        self.level = _NOTICE
        self.role = "M"
        self.lost = 0
        self._clock = clock
        self._sampler = sampler
        self._outputs = list(outputs)
        self._json: Output | None = None

    def set_json(self, output: Output | None) -> None:
        """Write JSON there from now on. It comes first, so that who has read a line elsewhere finds it there, too."""
        if self._json is not None:
            self._outputs.remove(self._json)
            self._json.close()
        self._json = output
        if output is not None:
            self._outputs.insert(0, output)

    def emit(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        """Write a line, unless it repeats itself; what was held back before comes first."""
        self.write_repeated()
        if self._sampler.admits(level, event, fields):
            self._write(level, event, fields)

    def write_repeated(self, at_once: bool = False) -> None:
        for seen in self._sampler.take_repeated(at_once):
            self._write(seen.level, seen.event, {**seen.fields, "repeated": seen.repeated})

    def close(self) -> None:
        self.write_repeated(at_once=True)
        for output in self._outputs:
            output.close()
        self._outputs.clear()
        self._json = None

    def _write(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        line = Line(self._clock.wall_ms(), level, self.role, event, fields)
        for output in self._outputs:
            try:
                output.write(line)
            except (OSError, ValueError):
                self.lost += 1

    # structlog calls its logger by the name of the level.
    def debug(self, *, event: str, fields: Mapping[str, object]) -> None:
        self.emit(Level.DEBUG, event, fields)

    def verbose(self, *, event: str, fields: Mapping[str, object]) -> None:
        self.emit(Level.VERBOSE, event, fields)

    def notice(self, *, event: str, fields: Mapping[str, object]) -> None:
        self.emit(Level.NOTICE, event, fields)

    def warning(self, *, event: str, fields: Mapping[str, object]) -> None:
        self.emit(Level.WARNING, event, fields)


class Logger(structlog.BoundLoggerBase):
    """Writes lines. ``bind(peer=…)`` gives a logger whose lines all have these fields."""

    _logger: Outputs

    def debug(self, event: str, **fields: object) -> None:
        if self._logger.level <= _DEBUG:
            self._proxy_to_logger("debug", event, **fields)

    def verbose(self, event: str, **fields: object) -> None:
        if self._logger.level <= _VERBOSE:
            self._proxy_to_logger("verbose", event, **fields)

    def notice(self, event: str, **fields: object) -> None:
        if self._logger.level <= _NOTICE:
            self._proxy_to_logger("notice", event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        if self._logger.level <= _WARNING:
            self._proxy_to_logger("warning", event, **fields)

    def exception(self, event: str, **fields: object) -> None:
        """A warning with the traceback of the exception that is being handled."""
        self.warning(event, exception=traceback.format_exc(), **fields)

    @property
    def level(self) -> Level:
        return Level(self._logger.level)

    @level.setter
    def level(self, level: Level) -> None:
        self._logger.level = int(level)

    @property
    def role(self) -> str:
        """What this process is, as Redis marks it: ``M`` a primary, ``S`` a replica."""
        return self._logger.role

    @role.setter
    def role(self, role: str) -> None:
        self._logger.role = role

    @property
    def lost(self) -> int:
        """How many lines could not be written."""
        return self._logger.lost

    def flush_repeated(self) -> None:
        """Write the counts of lines held back, if their interval is over; to be called about once a second."""
        self._logger.write_repeated()

    def close(self) -> None:
        """Write what is held back and close the files; later lines go nowhere. Twice is harmless."""
        self._logger.close()


def open_logger(config: Config, clock: Clock, stream: TextIO | None = None) -> Logger:
    """The log that ``config`` asks for; follows ``CONFIG SET loglevel`` and ``logdir``.

    ``stream`` takes the place of standard output.

    :raises StartupError: a file or the directory cannot be used.
    """
    output: Output = StreamOutput(stream or sys.stdout)
    if config.logfile:
        output = FileOutput(Path(config.dir, config.logfile), Line.text, clock)
    outputs = Outputs(clock, Sampler(clock, config), [output])
    outputs.set_json(_open_json(config, clock))
    logger = Logger(outputs, [_redact_fields, _hand_over], {})

    def follow_level(config: Config) -> None:
        logger.level = Level[config.loglevel.name]

    def follow_directory(config: Config) -> None:
        try:
            outputs.set_json(_open_json(config, clock))
        except StartupError as error:
            raise ValueRefusedError(str(error)) from None

    follow_level(config)
    config.on_change("loglevel", follow_level)
    config.on_change("logdir", follow_directory)
    return logger


def _open_json(config: Config, clock: Clock) -> Output | None:
    if not config.logdir:
        return None
    directory = Path(config.dir, config.logdir)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(f"logdir {directory}: {error.strerror}") from None
    return FileOutput(directory / JSON_FILE, Line.json, clock)


def _redact_fields(logger: object, method: str, fields: Fields) -> Fields:
    for name, value in fields.items():
        if name in _SECRET_FIELDS:
            fields[name] = _REDACTED
        elif isinstance(value, list | tuple) and value and all(isinstance(word, bytes) for word in value):
            fields[name] = redact(value)
    return fields


def _hand_over(logger: object, method: str, fields: Fields) -> tuple[tuple[()], dict[str, Any]]:
    """The end of the chain: what ``Outputs`` is called with."""
    return (), {"event": fields.pop("event"), "fields": fields}


def _shown(value: object) -> str:
    """A field's value as one word."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, list | tuple):
        value = " ".join(_shown(item) for item in value)
    word = str(value)
    if word and word.isprintable() and not any(character in word for character in ' "=\\'):
        return word
    return '"' + _escaped(word.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _escaped(text: str) -> str:
    """Without anything that ends a line or moves a cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _for_json(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
