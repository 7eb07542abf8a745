"""CONFIG GET, SET and REWRITE answer what redis-server 7.0.15 answers, but for the differences named here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from kvorum.config import Config, load
from kvorum.config.kinds import (
    Boolean,
    Enumeration,
    Flags,
    Integer,
    KeyspaceEvents,
    Memory,
    OomScores,
    Option,
    OutputLimitsOption,
    Percentiles,
    SavePoints,
    Text,
)
from kvorum.config.options import OPTIONS
from kvorum.errors import CommandError
from kvorum.testing.process import ServerProcess, start_on_free_port
from kvorum.testing.redis_server import RedisPrograms, RedisServer
from tests.config.examples import bad_values, good_value

# Options that redis-server 7.0.15 lacks: those of 7.2, and our own.
NOT_IN_REDIS = {
    "aof-segment-size", "cluster-announce-human-nodename", "cluster-ping-interval", "http-port", "locale-collate",
    "log-sampling",
    "log-sampling-interval", "logdir", "node-id", "acks", "announce", "cluster-secret", "follower-writes", "peers",
    "raft-announce", "raft-bind", "raft-bootstrap", "raft-dir", "raft-election-ms", "raft-heartbeat-ms", "raft-http", "raft-join",
    "raft-log-keep", "raft-uncommitted-limit", "reads", "standalone",
    "set-max-listpack-entries", "set-max-listpack-value", "text-port",
}  # fmt: skip
# Defaults that differ on purpose.
OTHER_DEFAULTS = {
    "save": "a single node persists by its log, not by snapshots",
    "appendonly": "a server that is told nothing keeps what it is given",
}
# Values that the fixture gives to redis-server.
GIVEN = {"port", "dir", "bind", "logfile", "pidfile", "unixsocket", "daemonize", "enable-protected-configs",
         "enable-debug-command", "save", "appendonly", "protected-mode", "loglevel"}  # fmt: skip
# Not tried on the real server: they would cut the connection, change the machine, or need files that do not exist.
NOT_TRIED = {
    "port", "bind", "dir", "appendonly", "watchdog-period", "oom-score-adj", "oom-score-adj-values",
    "maxmemory-clients", "activedefrag", "maxclients", "crash-log-enabled", "rdb-key-save-delay", "key-load-delay",
}  # fmt: skip

NUMBERS = ["", "0", "1", "-1", "-0", "+1", "01", " 1", "1 ", "1.5", "1e3", "0x10", "one", "9223372036854775807",
           "9223372036854775808", "18446744073709551615"]  # fmt: skip
SIZES = ["1b", "1K", "1kb", "2Mb", "1g", "3GB", "1tb", "1 kb", "-1kb", "1kk", "5%", "0%"]


@pytest.fixture(scope="module")
def client(redis_programs: RedisPrograms) -> Iterator[redis.Redis]:
    with (
        RedisServer("--enable-protected-configs", "yes", programs=redis_programs) as server,
        redis.Redis(host=server.host, port=server.port, single_connection_client=True) as client,
    ):
        yield client


def candidates(option: Option[Any]) -> list[str]:
    """Values to try on both."""
    general = [good_value(option), *bad_values(option)]
    match option:
        case Integer():
            edges = [str(edge) for edge in (option.low - 1, option.low, option.high, option.high + 1)]
            return general + NUMBERS + (SIZES if isinstance(option, Memory) else ["1kb"]) + edges
        case Boolean():
            return ["yes", "no", "YES", "No", "1", "true", ""]
        case Enumeration():
            return [*option.words, *map(str.upper, option.words), "nonsense", "", " "]
        case Flags():
            return ["", "default", "now force", "NOSAVE", "nosave  now", "nosave save", "default now", "x"]
        case SavePoints():
            return ["", "900 1", "900 1 300 10", "+9 01", "9 -1", "0 1", "9", " 9 1", "9 1 ", "x y", "900 1 300"]
        case OutputLimitsOption():
            some = ["replica 1 2 3 slave 4 5 6", "NORMAL 1 1 1", "master 0 0 1", "pubsub 0 0 -1", "pubsub 1 1 1k"]
            return [*general, "", *some]
        case Percentiles():
            return [*general, "", "0 100", "1e1", "33.33333333", "-1", "inf", "50  99", "1,5"]
        case KeyspaceEvents():
            return ["", "A", "AKE", "KEA", "Kg$lshzxetdn", "m", "Km", "gg", "KEx ", "q", "AKEn"]
        case Text() | OomScores():
            return [*general, "", "with blank", "a/b", "ü"]
    return general


def difference(option: Option[Any], value: str) -> str | None:
    """Why the answers to this value differ."""
    if option.lacking:
        return "values that promise what is lacking are refused"
    if option.name == "notify-keyspace-events" and "n" in value:
        return "Redis forgets to show n beside A"
    if isinstance(option, Memory) and value.isdecimal() and int(value) >= 2**64:
        return "a size beyond 64 bits is not cut to fit"
    if isinstance(option, Memory) and (value == "" or value.lower() in ("b", "kb")):
        return "a size without a number is 0 to Redis; here it is refused"
    if option.name == "loglevel" and value in ("nothing", "NOTHING", "nonsense", "", " "):
        return "7.2 has a level more"
    if isinstance(option, Percentiles) and value == "0x10":
        return "hexadecimal percentiles are refused"
    return None


def redis_says(client: redis.Redis, name: str, value: str) -> str:
    try:
        client.config_set(name, value)
    except redis.ResponseError as error:
        return str(error)
    return shown(client, name)


def shown(client: redis.Redis, name: str) -> str:
    return client.config_get(name)[name] or ""


def kvorum_says(config: Config, name: str, value: str) -> str:
    try:
        config.set([(name.encode(), value.encode())])
    except CommandError as error:
        return error.message.decode().removeprefix("ERR ")
    return config.get([name.encode()])[name.encode()].decode()


COMPARED = [option for option in OPTIONS if option.name not in NOT_IN_REDIS | NOT_TRIED]


@pytest.mark.parametrize("option", COMPARED, ids=lambda option: option.name)
def test_set_answers_the_same(client: redis.Redis, option: Option[Any]) -> None:
    config = Config.of(enable_protected_configs="yes")
    before = shown(client, option.name)
    try:
        for value in candidates(option):
            if difference(option, value) is None:
                theirs = redis_says(client, option.name, value)
                assert (value, kvorum_says(config, option.name, value)) == (value, theirs)
    finally:
        if option.mutable:
            client.config_set(option.name, before)


def test_every_option_of_redis_is_known_and_shown(client: redis.Redis) -> None:
    theirs = client.config_get("*")
    ours = Config().get([b"*"])
    assert {name.decode() for name in ours} - theirs.keys() == NOT_IN_REDIS - {"cluster-ping-interval"}
    assert theirs.keys() - {name.decode() for name in ours} == set()


def test_defaults_are_the_same(client: redis.Redis) -> None:
    ours = {name.decode(): value.decode() for name, value in Config().get([b"*"]).items()}
    not_compared = GIVEN | OTHER_DEFAULTS.keys()
    theirs = {name: value for name, value in client.config_get("*").items() if name and name not in not_compared}
    assert {name: ours[name] for name in theirs} == theirs


def test_hidden_options_are_hidden_there_too(client: redis.Redis) -> None:
    hidden = [option.name for option in OPTIONS if option.hidden and option.name not in NOT_IN_REDIS]
    assert hidden
    for name in hidden:
        assert client.config_get(name), name
        assert name not in client.config_get("*")


def test_an_option_given_under_two_names_is_refused_here_although_redis_lets_the_last_one_win() -> None:
    with pytest.raises(CommandError, match="duplicate parameter"):
        Config().set([(b"slave-priority", b"1"), (b"replica-priority", b"2")])


def test_names_are_looked_up_alike(client: redis.Redis) -> None:
    config = Config()
    for patterns in (["MaxMemory"], ["timeout", "TIMEO*"], ["MAXMEMORY", "maxmemory*"], ["*OF"], ["save*", "nothing"]):
        found = config.get([pattern.encode() for pattern in patterns])
        assert {name.decode() for name in found} == client.config_get(*patterns).keys()


@pytest.mark.parametrize(
    "words",
    [
        ["nothing", "1"],
        ["hz", "1", "nothing", "1"],
        ["daemonize", "yes", "nothing", "1"],
        ["Daemonize", "yes"],
        ["hz", "10", "HZ", "10"],
        ["replica-priority", "7", "timeout", "x"],
    ],
)
def test_refusals_of_several_are_the_same(client: redis.Redis, words: list[str]) -> None:
    config = Config()
    with pytest.raises(redis.ResponseError) as theirs:
        client.execute_command("CONFIG SET", *words)
    encoded = [word.encode() for word in words]
    with pytest.raises(CommandError) as ours:
        config.set(list(zip(encoded[::2], encoded[1::2], strict=True)))
    assert ours.value.message.decode() == "ERR " + str(theirs.value)


OLD_FILE = """\
# Comment

slave-priority 5
MAXMEMORY 100mb
hash-max-ziplist-entries 3
repl-timeout 5
repl-timeout 7
client-output-buffer-limit pubsub 1mb 1mb 1
logfile ''


# The end
"""
SETTINGS = {
    "maxmemory": "2gb",
    "timeout": "20",
    "notify-keyspace-events": "KEA",
    "replica-announce-ip": 'a b"',
    "shutdown-on-sigterm": "now force",
    "active-defrag-ignore-bytes": "1500",
}


def test_rewritten_files_have_the_same_lines(redis_programs: RedisPrograms, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "kvorum.conf", tmp_path / "redis.conf"
    ours.write_text(OLD_FILE)
    theirs.write_text(OLD_FILE)
    config = load(file=ours)
    config.set([(name.encode(), value.encode()) for name, value in SETTINGS.items()])
    config.rewrite()

    def start(port: int) -> ServerProcess:
        command = [str(redis_programs.server), str(theirs), "--port", str(port), "--bind", "127.0.0.1"]
        return ServerProcess(command, re.compile("Ready to accept connections"))

    process = start_on_free_port(start)
    try:
        found = re.search(r"port=(\d+)", process.output)
        assert found
        with redis.Redis(port=int(found[1])) as client:
            for name, value in SETTINGS.items():
                client.config_set(name, value)
            client.config_rewrite()
    finally:
        process.stop()
    assert relevant(ours) == relevant(theirs)


def relevant(file: Path) -> tuple[list[str], set[str]]:
    """The lines up to the signature in order, and the set of those below: their order is not Redis' to promise."""
    lines = file.read_text().splitlines()
    at = lines.index("# Generated by CONFIG REWRITE")
    not_compared = ("dir ", "save ", "user ", "port ", "bind ", "#")
    return [line for line in lines[:at] if line], {line for line in lines[at:] if not line.startswith(not_compared)}
