"""CONFIG GET and SET over the values of one server."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvorum.config import Config, ValueRefusedError
from kvorum.config.options import LogLevel, MaxmemoryPolicy, NotifyFlag
from kvorum.errors import CommandError


def refusal(config: Config, *words: bytes, **circumstances: bool) -> str:
    """What CONFIG SET says to these names and values."""
    with pytest.raises(CommandError) as caught:
        config.set(list(zip(words[::2], words[1::2], strict=True)), **circumstances)
    return caught.value.message.decode()


def test_values_are_read_as_attributes_and_by_any_name() -> None:
    config = Config.of(
        maxmemory="1mb", maxmemory_policy="allkeys-lru", hash_max_listpack_entries=7, requirepass=b"\xff"
    )
    assert config.maxmemory == 2**20
    assert config.maxmemory_policy is MaxmemoryPolicy.ALLKEYS_LRU
    assert config.requirepass == b"\xff"
    assert config["hash-max-ziplist-entries"] == config["HASH-MAX-LISTPACK-ENTRIES"] == 7


def test_settings_of_a_program_are_checked() -> None:
    with pytest.raises(TypeError, match="unknown option 'maxmemroy'"):
        Config.of(maxmemroy=1)
    with pytest.raises(ValueRefusedError, match="port: argument must be between 0 and 65535 inclusive"):
        Config.of(port=70000)
    assert Config.of(bind=["127.0.0.1", "::1"], save="", appendonly=False, dir=Path("/")).bind == ("127.0.0.1", "::1")


def test_two_servers_do_not_share_values() -> None:
    one, other = Config(), Config()
    one.set([(b"maxmemory", b"5")])
    assert (one.maxmemory, other.maxmemory) == (5, 0)


def test_get_finds_by_name_and_pattern_without_regard_to_case() -> None:
    config = Config()
    assert config.get([b"MaxMemory"]) == {b"MaxMemory": b"0"}
    assert config.get([b"nothing", b"n?thing"]) == {}
    found = config.get([b"maxmemory", b"MAXMEM*", b"*of"])
    assert {b"maxmemory", b"maxmemory-samples", b"slaveof", b"replicaof"} <= found.keys()
    assert b"maxmemory" not in config.get([b"MAXMEMORY", b"maxmemory*"])


def test_hidden_options_are_shown_only_by_name() -> None:
    assert b"key-load-delay" not in Config().get([b"*"])
    assert Config().get([b"key-load-delay"]) == {b"key-load-delay": b"0"}


def test_set_changes_several_options_at_once() -> None:
    config = Config()
    config.set([(b"maxmemory", b"10mb"), (b"LogLevel", b"DEBUG"), (b"notify-keyspace-events", b"KEA")])
    assert (config.maxmemory, config.loglevel) == (10 * 2**20, LogLevel.DEBUG)
    assert NotifyFlag.STREAM in config.notify_keyspace_events
    assert config.get([b"notify-keyspace-events"]) == {b"notify-keyspace-events": b"AKE"}


def test_set_is_all_or_nothing() -> None:
    config = Config()
    config.set([(b"maxmemory", b"10000002")])
    assert refusal(config, b"maxmemory", b"10000001", b"maxmemory-clients", b"200%", b"hz", b"x") == (
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - "
        "percentage argument must be less or equal to 100"
    )
    assert config.maxmemory == 10000002


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((b"foo", b"1"), "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
        ((b"Daemonize", b"yes"), "'Daemonize') - can't set immutable config"),
        ((b"dir", b"/"), "'dir') - can't set protected config"),
        ((b"hz", b"1", b"HZ", b"2"), "'HZ') - duplicate parameter"),
        ((b"slave-priority", b"1", b"replica-priority", b"2"), "'replica-priority') - duplicate parameter"),
        ((b"slave-priority", b"x"), "'replica-priority') - argument couldn't be parsed into an integer"),
        ((b"active-expire-effort", b"11"), "argument must be between 1 and 10 inclusive"),
        ((b"maxmemory", b"1tb"), "argument must be a memory value"),
        ((b"http-port", b"80"), "'http-port') - not supported yet: there is no HTTP server yet"),
    ],
)
def test_refusals(words: tuple[bytes, ...], message: str) -> None:
    assert message in refusal(Config(), *words)


def test_a_value_that_is_set_already_is_no_change() -> None:
    Config().set([(b"port", b"6379"), (b"appendonly", b"no"), (b"save", b"")])


def test_protected_options_follow_enable_protected_configs() -> None:
    Config.of(enable_protected_configs="yes").set([(b"dbfilename", b"x.rdb")])
    local = Config.of(enable_protected_configs="local")
    local.set([(b"dbfilename", b"x.rdb")], local=True)
    assert "protected" in refusal(local, b"dbfilename", b"y.rdb", local=False)


def test_some_options_wait_until_the_data_set_is_loaded() -> None:
    assert refusal(Config(), b"appendonly", b"no", loading=True).startswith("LOADING")


def test_hooks_hear_of_changes_once_and_see_all_new_values() -> None:
    config = Config()
    heard: list[tuple[int, int]] = []

    def hook(config: Config) -> None:
        heard.append((config.maxmemory, config.maxmemory_samples))

    config.on_change("maxmemory", hook)
    config.on_change("maxmemory-samples", hook)
    config.set([(b"maxmemory", b"5"), (b"maxmemory-samples", b"6")])
    config.set([(b"maxmemory", b"5"), (b"hz", b"20")])
    assert heard == [(5, 6)]


def test_a_hook_that_refuses_has_everything_put_back() -> None:
    config = Config()
    seen: list[int] = []

    def refuse(config: Config) -> None:
        if config.timeout == 7:
            raise ValueRefusedError("no luck")

    config.on_change("maxmemory", lambda config: seen.append(config.maxmemory))
    config.on_change("slave-priority", lambda config: seen.append(-1))
    config.on_change("timeout", refuse)
    message = refusal(config, b"maxmemory", b"5", b"timeout", b"7", b"replica-priority", b"3")
    assert message == "ERR CONFIG SET failed (possibly related to argument 'timeout') - no luck"
    assert (config.maxmemory, config.timeout, config.replica_priority) == (0, 0, 100)
    assert seen == [5, 0]


def test_reset_goes_back_to_the_start() -> None:
    config = Config.of(maxmemory=5)
    seen: list[int] = []
    config.on_change("maxmemory", lambda config: seen.append(config.maxmemory))
    config.set([(b"maxmemory", b"7"), (b"hz", b"20")])
    config.reset()
    assert (config.maxmemory, config.hz, seen) == (5, 10, [7, 5])


def test_output_limits_of_classes_not_named_stay() -> None:
    config = Config()
    config.set([(b"client-output-buffer-limit", b"slave 1gb 0 0 normal 1kb 1k 1")])
    limits = config.client_output_buffer_limit
    assert limits.replica == (2**30, 0, 0)
    assert limits.normal == (1024, 1000, 1)
    assert limits.pubsub == (32 * 2**20, 8 * 2**20, 60)


def test_secrets_are_known() -> None:
    assert Config.is_sensitive(b"RequirePass")
    assert Config.is_sensitive(b"masterauth")
    assert not Config.is_sensitive(b"maxmemory")
    assert not Config.is_sensitive(b"nothing")
