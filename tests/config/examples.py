"""For each option of the table a value that is not the default, and some that must be refused."""

from __future__ import annotations

from typing import Any

from kvorum.config.kinds import (
    Boolean,
    Directory,
    Enumeration,
    Flags,
    Integer,
    KeyspaceEvents,
    MemoryOrPercent,
    Octal,
    OomScores,
    Option,
    OutputLimitsOption,
    Percentiles,
    ReplicaOf,
    SavePoints,
    Secret,
    Words,
)

# Options whose values must be of a special form.
SPECIAL = {
    "proc-title-template": ("{title} at {port}", "{nothing}"),
    "cluster-announce-hostname": ("node-1.example", "under_score"),
    "cluster-announce-human-nodename": ("node1", "a b"),
    "dbfilename": ("other.rdb", "a/b"),
    "appendfilename": ("other.aof", ""),
    "appenddirname": ("otherdir", "a/b"),
    "activedefrag": ("no", "yes"),
    "dir": ("/", "/nowhere/at/all"),
    "databases": ("1000", "100000"),
    "peers": ("a:1 [::1]:2", "a:1 a:1"),
    "raft-join": ("a:1 b:65535", "a:65536"),
    "raft-announce": ("node-1.example:6379", "node-1"),
    "announce": ("127.0.0.1:1", ":1"),
    "raft-bind": ("[::]:7379", "::7379:1"),
    "raft-http": ("a:1", "a"),
}


def good_value(option: Option[Any]) -> str:
    """A value that the option takes, besides its default."""
    if option.name in SPECIAL:
        return SPECIAL[option.name][0]
    match option:
        case Boolean():
            return "no" if option.default else "yes"
        case MemoryOrPercent():
            return "5%"
        case Octal():
            return "700"
        case Integer():
            low, high = option.capped or (option.low, option.high)
            return str(next(value for value in (high // 2, low, high) if value != option.default and value >= 0))
        case Enumeration():
            return next(word for word, member in option.words.items() if member != option.default)
        case Flags():
            return "nosave now"
        case Directory():
            return "/"
        case Words():
            return "127.0.0.1 ::1"
        case SavePoints():
            return "900 1 300 10"
        case OutputLimitsOption():
            return "normal 1mb 512kb 10 pubsub 1 2 3"
        case OomScores():
            return "1 2 3"
        case Percentiles():
            return "50 99.5"
        case KeyspaceEvents():
            return "AKE"
        case ReplicaOf():
            return "127.0.0.1 6379"
        case Secret():
            return "s3cret"
    return "something"


def bad_values(option: Option[Any]) -> list[str]:
    """Values that the option never takes."""
    if option.name in SPECIAL:
        return [SPECIAL[option.name][1]]
    match option:
        case MemoryOrPercent():
            return ["101%", "-1", "1x"]
        case Octal():
            return ["1000", "9"]
        case Integer():
            outside = [str(option.high + 1)] + ([str(option.low - 1)] if option.low > 0 else [])
            return ["", "one", *outside]
        case Boolean():
            return ["maybe", ""]
        case Enumeration():
            return ["nonsense", ""]
        case Flags():
            return ["nonsense", "save nosave"]
        case Words():
            return [" ".join(["127.0.0.1"] * (option.limit + 1))]
        case SavePoints():
            return ["900", "0 1", "1 x"]
        case OutputLimitsOption():
            return ["normal 1 2", "primary 1 2 3", "normal x 1 1"]
        case OomScores():
            return ["1 2", "1 2 3000"]
        case Percentiles():
            return ["101", "x", "nan"]
        case KeyspaceEvents():
            return ["Q"]
        case ReplicaOf():
            return ["localhost", "localhost 70000"]
    return []
