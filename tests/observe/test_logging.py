"""The log: what a line looks like, where it goes, what is thinned, and what is never shown."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.config import Config
from kvorum.errors import CommandError, StartupError
from kvorum.observe.logging import MAX_LINES_PER_EVENT, Level, Logger, open_logger
from kvorum.testing.clock import FakeClock

SETTINGS: dict[str, str] = {"loglevel": "debug"}


class Log:
    """A logger, its clock, and what it has written."""

    def __init__(self, **settings: str) -> None:
        self.clock = FakeClock()
        self.stream = io.StringIO()
        self.config = Config.of(**SETTINGS | settings)
        self.logger: Logger = open_logger(self.config, self.clock, self.stream)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def messages(self) -> list[str]:
        """The lines after process, role and date."""
        return [re.sub(r"^\d+:\w \d\d \w{3} \d{4} [\d:.]{12} ", "", line) for line in self.lines]


def test_a_line_has_process_role_date_level_event_and_fields() -> None:
    log = Log()
    log.logger.role = "S"
    log.logger.notice("client closed", address="127.0.0.1:1", reason="too slow", bytes=7, name=b"\xff\n", empty="")
    [line] = log.lines
    assert re.fullmatch(
        rf"{os.getpid()}:S 1[45] Nov 2023 \d\d:\d\d:20\.000 notice client closed address=127\.0\.0\.1:1 "
        r'reason="too slow" bytes=7 name="\\\\xff\\n" empty=""',
        line,
    ), line


def test_levels() -> None:
    log = Log(loglevel="notice")
    for write in (log.logger.debug, log.logger.verbose, log.logger.notice, log.logger.warning):
        write("event")
    assert log.messages == ["notice event", "warning event"]
    log.config.set([(b"loglevel", b"debug")])
    assert log.logger.level is Level.DEBUG
    log.logger.debug("now")
    log.config.set([(b"loglevel", b"nothing")])
    log.logger.warning("not now")
    assert log.messages[2:] == ["debug now"]


def test_bound_fields_stand_in_each_line() -> None:
    log = Log()
    peer = log.logger.bind(peer="a:1")
    peer.notice("connected")
    peer.notice("gone", reason="timeout")
    log.logger.notice("alone")
    assert log.messages == ["notice connected peer=a:1", "notice gone peer=a:1 reason=timeout", "notice alone"]


def test_an_exception_comes_with_its_traceback() -> None:
    log = Log()
    try:
        raise ValueError("no\x1b[2J good")
    except ValueError:
        log.logger.exception("command failed", command="get")
    assert log.messages[0] == "warning command failed command=get"
    assert log.lines[1] == "    Traceback (most recent call last):"
    assert log.lines[-1] == "    ValueError: no\\x1b[2J good"


@given(st.text(), st.text() | st.binary())
def test_nothing_in_an_event_or_a_field_ends_the_line(event: str, value: str | bytes) -> None:
    log = Log()
    log.logger.warning(event, value=value)
    assert log.stream.getvalue().count("\n") == 1
    assert log.stream.getvalue().rstrip("\n").isprintable()


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    log = Log(logdir=str(tmp_path))
    log.logger.warning("tried", password="s3cret", requirepass=b"s3cret", request=[b"AUTH", b"s3cret"])
    log.logger.warning("tried", request=[b"CONFIG", b"SET", b"requirepass", b"s3cret"], masterauth="s3cret")
    log.logger.close()
    for written in (log.stream.getvalue(), (tmp_path / "redis.log").read_text()):
        assert "s3cret" not in written
        assert written.count("(redacted)") == 5


def test_lines_that_repeat_themselves_are_thinned_and_counted() -> None:
    log = Log()
    for _ in range(5):
        log.logger.warning("write failed", file="x")
    log.logger.warning("write failed", file="y")
    assert log.messages == ["warning write failed file=x", "warning write failed file=y"]
    log.clock.advance(999)
    log.logger.flush_repeated()
    assert len(log.lines) == 2
    log.clock.advance(1)
    log.logger.flush_repeated()
    assert log.messages[2:] == ["warning write failed file=x repeated=4"]
    log.logger.warning("write failed", file="x")
    assert log.messages[3:] == ["warning write failed file=x"]


def test_an_event_with_ever_other_fields_is_thinned_too() -> None:
    log = Log()
    for number in range(MAX_LINES_PER_EVENT + 20):
        log.logger.warning("client closed", client=number)
    assert len(log.lines) == MAX_LINES_PER_EVENT
    log.clock.advance(1000)
    log.logger.notice("other")
    assert log.messages[MAX_LINES_PER_EVENT:] == ["warning client closed repeated=20", "notice other"]


def test_closing_tells_what_was_held_back() -> None:
    log = Log()
    for _ in range(3):
        log.logger.warning("again")
    log.logger.close()
    log.logger.close()
    log.logger.warning("after the end")
    assert log.messages == ["warning again", "warning again repeated=2"]


def test_sampling_can_be_turned_off_and_its_interval_changed() -> None:
    log = Log()
    log.config.set([(b"log-sampling", b"no")])
    log.logger.warning("again")
    log.logger.warning("again")
    assert len(log.lines) == 2
    log.config.set([(b"log-sampling", b"yes"), (b"log-sampling-interval", b"60")])
    for _ in range(4):
        log.logger.warning("other")
        log.clock.advance(10_000)
    assert len(log.lines) == 3


def test_logdir_has_the_same_lines_as_json(tmp_path: Path) -> None:
    log = Log(dir=str(tmp_path), logdir="logs")
    log.logger.notice("Ready", port=7, path=Path("/x"), name=b"\xff", pid="mine")
    [line] = map(json.loads, (tmp_path / "logs" / "redis.log").read_text().splitlines())
    assert line == {
        "time": "2023-11-14T22:13:20.000Z", "level": "notice", "pid": os.getpid(), "role": "M", "event": "Ready",
        "port": 7, "path": "/x", "name": "\\xff", "pid_": "mine",
    }  # fmt: skip
    assert len(log.lines) == 1
    log.logger.close()


def test_logdir_can_be_changed(tmp_path: Path) -> None:
    log = Log(dir=str(tmp_path), logdir="one", enable_protected_configs="yes")
    log.config.set([(b"logdir", b"other")])
    log.logger.notice("in the other")
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="logdir"):
        log.config.set([(b"logdir", b"file")])
    log.logger.notice("still there")
    log.config.set([(b"logdir", b"")])
    log.logger.notice("nowhere")
    log.logger.close()
    assert (tmp_path / "one" / "redis.log").read_text() == ""
    lines = (tmp_path / "other" / "redis.log").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["in the other", "still there"]


def test_a_logfile_takes_the_place_of_standard_output_and_may_be_rotated(tmp_path: Path) -> None:
    log = Log(dir=str(tmp_path), logfile="k.log")
    log.logger.notice("one")
    (tmp_path / "k.log").rename(tmp_path / "k.log.1")
    log.clock.advance(1000)
    log.logger.notice("two")
    log.logger.close()
    assert log.lines == []
    assert (tmp_path / "k.log.1").read_text().endswith("notice one\n")
    assert (tmp_path / "k.log").read_text().endswith("notice two\n")


def test_two_servers_log_to_two_places(tmp_path: Path) -> None:
    one, other = Log(), Log(loglevel="warning")
    one.logger.notice("one")
    other.logger.notice("other")
    other.logger.warning("other")
    assert (one.messages, other.messages) == (["notice one"], ["warning other"])


def test_a_log_that_cannot_be_written_is_counted_and_stops_nothing() -> None:
    log = Log()
    log.stream.close()
    log.logger.warning("into the void")
    assert log.logger.lost == 1


def test_a_terminal_that_lacks_characters_gets_escapes() -> None:
    raw = io.BytesIO()
    logger = open_logger(Config(), FakeClock(), io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    logger.notice("größer")
    assert raw.getvalue().endswith(b"notice gr\\xf6\\xdfer\n")


def test_places_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match=r"can't open the log file .*: No such file or directory"):
        Log(logfile=str(tmp_path / "nothing" / "k.log"))
    with pytest.raises(StartupError, match="logdir"):
        Log(logdir=str(tmp_path / "file"))
