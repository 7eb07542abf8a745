"""Each option of the table can be given as a flag, in the environment and in a file, and says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kvorum.cli.flags import read_flags
from kvorum.config import Config, ConfigError, load
from kvorum.config.kinds import Option, SavePoint, SavePoints
from kvorum.config.options import OPTIONS
from tests.config.examples import bad_values, good_value

Way = Callable[[str, str, str], Config]


def by_flag(name: str, variable: str, value: str) -> Config:
    return load(flags=read_flags(["--" + name, value]).directives)


def by_flag_with_equals_sign(name: str, variable: str, value: str) -> Config:
    return load(flags=read_flags([f"-{name}={value}"]).directives)


def by_environment(name: str, variable: str, value: str) -> Config:
    return load(environment={variable: value})


def by_file(name: str, variable: str, value: str) -> Config:
    return load(stdin=f'{name.upper()} "{value}"\n'.encode())


WAYS = [by_flag, by_flag_with_equals_sign, by_environment, by_file]


def ids(option: object) -> str | None:
    return option.name if isinstance(option, Option) else None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_a_value_given_in_any_way_arrives(option: Option[Any], way: Way) -> None:
    value = good_value(option)
    expected = option.parse(words_of(option, value), option.default)
    for name in option.names:
        variable = option.environment_name if name == option.name else "KVORUM_" + name.upper().replace("-", "_")
        if is_refused(option, expected):
            with pytest.raises(ConfigError, match=f"(?i){option.name}.*not supported yet"):
                way(name, variable, value)
        else:
            assert way(name, variable, value)[option.name] == expected


def words_of(option: Option[Any], value: str) -> list[str]:
    return value.split(" ") if option.takes_many_words else [value]


def is_refused(option: Option[Any], value: object) -> bool:
    return bool(option.lacking) and not (option.harmless and option.harmless(value))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("option", [option for option in OPTIONS if bad_values(option)], ids=ids)
def test_a_bad_value_is_refused_by_name(option: Option[Any], way: Way) -> None:
    for value in bad_values(option):
        with pytest.raises(ConfigError, match=f"(?i){option.name}"):
            way(option.name, option.environment_name, value)


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_what_config_get_shows_can_be_given_again(option: Option[Any]) -> None:
    for value in (option.initial(), option.parse(words_of(option, good_value(option)), option.initial())):
        shown = option.format(value)
        if option.name != "replicaof" or shown:
            assert option.format(option.parse(words_of(option, shown), option.default)) == shown


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_the_default_is_a_valid_value_and_promises_nothing_that_is_lacking(option: Option[Any]) -> None:
    if option.name != "dir":
        option.validate(option.default)


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_each_option_has_a_summary_of_one_sentence_or_two(option: Option[Any]) -> None:
    assert option.summary.endswith(".")
    assert "\n" not in option.summary
    assert option.topic


def test_flags_win_over_environment_over_file() -> None:
    file = b"maxclients 1\nmaxmemory 1\nhz 1\n"
    environment = {"KVORUM_MAXCLIENTS": "2", "KVORUM_MAXMEMORY": "2"}
    config = load(stdin=file, environment=environment, flags=read_flags(["--maxclients", "3"]).directives)
    assert (config.maxclients, config.maxmemory, config.hz) == (3, 2, 1)


def test_the_file_can_be_named_in_the_environment(tmp_path: Any) -> None:
    file = tmp_path / "kvorum.conf"
    file.write_text("hz 7\n")
    config = load(environment={"KVORUM_CONFIG": str(file)})
    assert config.hz == 7
    assert config.file == file


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"unknown option 'maxmemroy'; did you mean 'maxmemory'\?"):
        load(stdin=b"maxmemroy 1gb")
    with pytest.raises(ConfigError, match="KVORUM_MAXMEMROY: unknown option"):
        load(environment={"KVORUM_MAXMEMROY": "1gb"})


def test_variables_with_which_kubernetes_describes_a_service_are_no_options() -> None:
    links = {
        "KVORUM_SERVICE_HOST": "10.0.0.1",
        "KVORUM_SERVICE_PORT": "6379",
        "KVORUM_PORT": "tcp://10.0.0.1:6379",
        "KVORUM_PORT_6379_TCP_ADDR": "10.0.0.1",
        "KVORUM_PLAIN": "1",
    }
    assert load(environment=links).port == 6379


def test_unit_suffixes() -> None:
    sizes = {"1": 1, "1b": 1, "1k": 1000, "1KB": 1024, "1m": 10**6, "1Mb": 2**20, "1g": 10**9, "1gb": 2**30}
    for word, size in sizes.items():
        assert load(stdin=f"maxmemory {word}".encode()).maxmemory == size


def test_lists_may_have_commas_and_spaces() -> None:
    expected = ("127.0.0.1", "::1")
    for words in (["127.0.0.1,", "::1"], ["127.0.0.1, ::1"], ["127.0.0.1", "::1"], ["127.0.0.1,::1"]):
        assert load(flags=read_flags(["--bind", *words]).directives).bind == expected


def test_save_directives_of_one_source_add_up() -> None:
    once, again = SavePoint(900, 1), SavePoint(300, 10)
    option = SavePoints((SavePoint(3600, 1),), "When to save.")
    points = option.accumulate(["300", "10"], option.read(["900", "1"], option.default))
    assert points == (once, again)
    assert option.accumulate([""], points) == ()


def test_log_levels_have_other_names_too() -> None:
    for word, level in {"debug": "debug", "info": "notice", "warn": "warning", "error": "warning"}.items():
        assert load(flags=read_flags(["--loglevel", word]).directives).loglevel == level


def test_hz_out_of_range_is_capped() -> None:
    assert load(stdin=b"hz 0").hz == 1
    assert load(stdin=b"hz 100000").hz == 500


def test_the_directory_becomes_absolute(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load(stdin=b"dir ./data").dir == str(tmp_path / "data")
    assert load(stdin=b"dir data\ndir ..").dir == str(tmp_path)
    assert load().dir == str(tmp_path)
