"""The command line of ``kvorum server`` is read as redis-server reads its own, and a little more kindly."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvorum.cli.flags import read_flags
from kvorum.config import Config, ConfigError, load


def config_of(*arguments: str) -> Config:
    return load(flags=read_flags(arguments).directives)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--maxmemory", "700mb"],
        ["-maxmemory", "700mb"],
        ["--maxmemory=700mb"],
        ["-maxmemory=700mb"],
        ["--maxmemory 700mb"],
        ["--maxmemory '700mb'"],
        ["--MaxMemory", "700MB"],
    ],
)
def test_one_option_in_all_ways_of_writing_it(arguments: list[str]) -> None:
    assert config_of(*arguments, "--hz", "20").maxmemory == 700 * 2**20
    assert config_of("--hz", "20", *arguments).hz == 20


def test_a_port_may_stand_first() -> None:
    assert config_of("6969").port == 6969
    assert config_of("6969", "--port", "7000").port == 7000


def test_a_file_may_stand_first_or_be_named(tmp_path: Path) -> None:
    assert read_flags(["my.conf", "--hz", "20"]).file == "my.conf"
    assert read_flags(["6969", "my.conf"]).file == "my.conf"
    assert read_flags(["--hz", "20", "--config", "my.conf"]).file == "my.conf"
    assert read_flags(["--config=my.conf"]).file == "my.conf"
    with pytest.raises(ConfigError, match=r"more than one configuration file: 'a\.conf' and 'b\.conf'"):
        read_flags(["a.conf", "--config", "b.conf"])


def test_a_dash_first_or_last_is_standard_input() -> None:
    assert read_flags(["-"]).reads_stdin
    assert read_flags(["-", "--hz", "20"]).reads_stdin
    assert read_flags(["my.conf", "--hz", "20", "-"]).reads_stdin
    assert not read_flags(["--requirepass", "-"]).reads_stdin


def test_the_word_after_a_name_is_its_value_whatever_it_looks_like() -> None:
    config = config_of("--proc-title-template", "--my--title--template", "--requirepass", "-x", "--hz", "20")
    assert (config.proc_title_template, config.requirepass, config.hz) == ("--my--title--template", b"-x", 20)
    assert config_of("--list-max-listpack-size", "-3").list_max_listpack_size == -3


def test_save_without_a_value_is_empty() -> None:
    for arguments in (["--save"], ["--save", "--hz", "20"], ["--save", ""], ["--save="], ["--hz", "20", "--save", ""]):
        assert config_of(*arguments).save == ()


def test_lists_take_words_up_to_the_next_flag() -> None:
    config = config_of("--bind", "127.0.0.1", "-::1", "--shutdown-on-sigterm", "nosave", "force", "-hz", "20")
    assert config.bind == ("127.0.0.1", "-::1")
    assert config.hz == 20
    assert config_of("--shutdown-on-sigterm", "nosave force").shutdown_on_sigterm == config.shutdown_on_sigterm
    assert config_of("--oom-score-adj-values", "-1", "-2", "-3").oom_score_adj_values == (-1, -2, -3)


def test_a_yes_no_option_alone_means_yes() -> None:
    config = config_of("--io-threads-do-reads", "--log-sampling", "no", "--always-show-logo")
    assert (config.io_threads_do_reads, config.log_sampling, config.always_show_logo) == (True, False, True)


def test_other_names() -> None:
    config = config_of("-dbfile", "x.rdb", "--host", "127.0.0.1", "--slave-priority", "3")
    assert (config.dbfilename, config.bind, config.replica_priority) == ("x.rdb", ("127.0.0.1",), 3)


def test_files_can_be_included(tmp_path: Path) -> None:
    (tmp_path / "part.conf").write_text("hz 20\n")
    assert config_of("--include", str(tmp_path / "part.conf")).hz == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port"], "--port: wrong number of arguments"),
        (["--port", "6380", "--loglevel"], "--loglevel: wrong number of arguments"),
        (["--port", "6379", "6380"], "--port 6379 6380: wrong number of arguments"),
        (["--port", "--bla", "--hz", "1"], "--port --bla: argument couldn't be parsed into an integer"),
        (["--loglevel", "--bla"], r"argument\(s\) must be one of the following"),
        (["--shutdown-on-sigint"], r"argument\(s\) must be one of the following"),
        (["70000"], "port 70000: argument must be between 0 and 65535 inclusive"),
        (["--nothing", "1"], "unknown option '--nothing'"),
        (["--maxmemroy=1"], r"unknown option '--maxmemroy'; did you mean 'maxmemory'\?"),
        (["--hz", "1", "-nothing"], "unknown option '-nothing'"),
        (["--logfile 'x"], "unbalanced quotes"),
        (["--config"], "--config: wrong number of arguments"),
        (["--"], "unexpected argument '--'"),
        (["--replicaof", "127.0.0.1", "abc"], "Invalid master port"),
    ],
)
def test_errors_name_what_is_wrong(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_of(*arguments)


def test_errors_do_not_show_passwords() -> None:
    with pytest.raises(ConfigError, match=r"--requirepass \(redacted\): wrong number of arguments"):
        config_of("--requirepass", "s3cret", "x")
