"""Coverage-guided fuzzing of whole RDB files: ``python tests/fuzz/fuzz_rdb_file.py [libFuzzer options] [corpus folder]``.

An input is one byte that chooses, and then content: the parts of a file, as they are, or put into a valid file instead of
some of its bytes. It gets no checksum. Whatever it is: both readers refuse it, or both have the same keys of it, and what
they have can be written and read again.
"""

from __future__ import annotations

import sys
from types import ModuleType

import atheris

from kvorum.journal.rdb import RdbError, file_format
from kvorum.keyspace.table import Keyspace
from kvorum.testing.twins import load_plain
from tests.journal.rdb.files import READERS, Contents, digest, new_keyspace, put, read, write

AS_IT_IS = 0x80
STRICT = 0x40
HEADER = b"REDIS0011"
END = b"\xff" + bytes(8)


def valid_file() -> bytes:
    """Something of everything, small."""
    keyspace = new_keyspace()
    keyspace.configure_access_clock("allkeys-lru", 10, 1)
    contents: list[Contents] = [
        b"text",
        b"12",
        b"ab" * 30,
        [b"a", b"1"],
        {b"a", b"b"},
        {b"1", b"2"},
        {b"a": b"b"},
        {b"a": 1.0},
    ]
    for number, value in enumerate(contents):
        put(keyspace, number % 2, b"key:%d" % number, value, keyspace.now_ms + 5 if number % 3 == 1 else 0)
    return write(keyspace, policy="allkeys-lru", checksum=False)[len(HEADER) : -len(END)]


VALID = valid_file()
values_module = load_plain("kvorum.journal.rdb.values")


def outcome(data: bytes, twin: str, strict: bool, budget_bytes: int) -> tuple[str, bytes]:
    """What both have to agree in."""
    keyspace = new_keyspace()
    try:
        read(data, keyspace, twin, budget_bytes, strict=strict)
    except RdbError as error:
        return type(error).__name__, b""
    check_again(keyspace, twin)
    return "", digest(keyspace)


def check_again(keyspace: Keyspace, twin: str) -> None:
    again = new_keyspace()
    read(write(keyspace, twin), again, twin)
    assert digest(again) == digest(keyspace)


def check(data: bytes) -> None:
    """One input."""
    if len(data) < 2:
        return
    choice, content = data[0], data[1:]
    if choice < AS_IT_IS:
        at = content[0] % len(VALID)
        content = VALID[:at] + content[1:] + VALID[at + len(content) - 1 :]
    file = HEADER + content + END
    strict = bool(choice & STRICT)
    results = [outcome(file, twin, strict, 1 + (choice & 0x3F)) for twin in READERS]
    assert results[0] == results[1], results


def instrument(module: ModuleType) -> None:
    for thing in list(vars(module).values()):
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        if isinstance(thing, type):
            for name, function in list(vars(thing).items()):
                if hasattr(function, "__code__"):
                    setattr(thing, name, atheris.instrument_func(function))
        elif hasattr(thing, "__code__"):
            setattr(module, thing.__name__, atheris.instrument_func(thing))


def main() -> None:
    """Fuzz until an option of libFuzzer ends it."""
    for module in (READERS["plain"], values_module, file_format):
        instrument(module)
    values_module.READERS.update(
        {kind: getattr(values_module, read.__name__) for kind, read in values_module.READERS.items()}
    )
    READERS["plain"].read_value = values_module.read_value  # type: ignore[attr-defined]
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
