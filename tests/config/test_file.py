"""Configuration files: what is understood, and how errors are told."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvorum.config import Config, ConfigError, load
from kvorum.config.options import BY_NAME
from kvorum.errors import StartupError

DIRECTIVES = st.sampled_from(
    [*sorted(BY_NAME), "include", "user", "rename-command", "loadmodule", "list-max-ziplist-value"]
)
WORDS = st.sampled_from(
    ["yes", "no", "1", "-1", "1gb", "50%", '""', "'x'", '"\\x00"', "KEA", "normal", "*", "..", "no one"]
)
LINES = st.tuples(DIRECTIVES, st.lists(WORDS | st.text(max_size=5), max_size=4)).map(
    lambda parts: " ".join((parts[0], *parts[1]))
)


def test_comments_blank_lines_quotes_and_case() -> None:
    config = load(stdin=b"# comment\r\n\r\n  MaxMemory   \"1gb\"\t\r\nlogfile ''\nhz 20")
    assert (config.maxmemory, config.logfile, config.hz) == (2**30, "", 20)


def test_the_file_is_remembered_with_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kvorum.conf").write_text("hz 20\n")
    assert load(file="kvorum.conf").file == tmp_path / "kvorum.conf"
    assert Config().file is None


def test_included_files_are_read_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "one.conf").write_text("hz 20\nmaxclients 7\n")
    (tmp_path / "two.conf").write_text("timeout 9\n")
    config = load(stdin=f"hz 1\ninclude {tmp_path}/*.conf\nmaxclients 8\ninclude {tmp_path}/none-*.conf\n".encode())
    assert (config.hz, config.maxclients, config.timeout) == (20, 8, 9)


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kvorum.conf"
    file.write_text(f"include {file}\n")
    with pytest.raises(ConfigError, match="more than 16 levels deep"):
        load(file=file)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("maxmemory 1zb", "maxmemory 1zb: argument must be a memory value"),
        ("maxmemory", "maxmemory: wrong number of arguments"),
        ("port 1 2", "port 1 2: wrong number of arguments"),
        ('logfile "a', "Unbalanced quotes in configuration line"),
        ("bogus 1", "bogus 1: unknown option 'bogus'"),
        ("slave-priority x", "replica-priority: argument couldn't be parsed into an integer"),
        ("rename-command FLUSHALL ''", "rename-command: not supported"),
        ("loadmodule /x.so", "Redis modules cannot be loaded"),
        ("http-port 80", "not supported yet: there is no HTTP server"),
        ("include /nowhere/at/all.conf", "can't open config file '/nowhere/at/all.conf': No such file or directory"),
        ("include", "wrong number of arguments"),
        ("port\x1b[2J 1", "port?[2J 1: unknown option"),
    ],
)
def test_errors_tell_file_line_and_text(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "kvorum.conf"
    file.write_text(f"# first line\n{line}\n")
    with pytest.raises(StartupError) as caught:
        load(file=file)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{file}:2: ") or "can't open" in message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["requirepass s3cret more", 'masterauth "s3cret', "user default on >s3cret"])
def test_errors_do_not_show_passwords(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(stdin=line.encode())
    assert "s3cret" not in str(caught.value)
    assert "(redacted)" in str(caught.value)


def test_obsolete_directives_are_skipped() -> None:
    assert load(stdin=b"lua-replicate-commands yes\nlist-max-ziplist-entries 5\nhz 20").hz == 20


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't open config file '.*': Is a directory"):
        load(file=tmp_path)
    with pytest.raises(ConfigError, match="can't open config file"):
        load(file="with\0nul")


@given(st.lists(LINES, max_size=6).map("\n".join).map(str.encode) | st.binary(max_size=80))
@example(b'dir ""')
@example(b'include "a\\x00b"')
@example(b"save 1\xff 2")
@example(b"\x0b")
def test_whatever_a_file_contains_it_is_used_or_refused(content: bytes) -> None:
    directory = os.getcwd()
    with contextlib.suppress(ConfigError):
        config = load(stdin=content)
        assert set(config.get([b"*"])) >= {b"port", b"maxmemory"}
    assert os.getcwd() == directory
