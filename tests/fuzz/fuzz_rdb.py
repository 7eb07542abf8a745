"""Coverage-guided fuzzing of RESTORE: ``python tests/fuzz/fuzz_rdb.py [libFuzzer options] [corpus folder]``.

An input is one byte that chooses, and then content: as it is, or put into a valid payload instead of some of its bytes. It
gets a right checksum. Whatever it is: the value is refused by ``RdbError``, or it can be used, copied, written and read again;
and both twins of the codecs below say the same.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris

from kvorum.journal.rdb import RdbError, lzf
from kvorum.journal.rdb import encoding as compiled
from kvorum.journal.rdb import values as compiled_values
from kvorum.testing.twins import load_plain
from tests.journal.rdb.encodings import seal
from tests.journal.rdb.forgery import VALID, judge, outcome_of_value

plain = load_plain("kvorum.journal.rdb.encoding")
plain_lzf = load_plain("kvorum.journal.rdb.lzf")
values_module = load_plain("kvorum.journal.rdb.values")
ziplist_module = load_plain("kvorum.journal.rdb.ziplist")
zipmap_module = load_plain("kvorum.journal.rdb.zipmap")
METHODS = ("byte", "length", "string", "text_double", "binary_double")
AS_IT_IS = 0xF0
MOST_COMPRESSED_SIZE = 5000


def outcome(function: Any, *arguments: Any) -> str:
    """What both twins have to agree in."""
    try:
        return repr(function(*arguments))
    except RdbError as error:
        return str(error)


def check_twins(choice: int, content: bytes) -> None:
    method = METHODS[choice % len(METHODS)]
    readers = [module.RdbReader(content) for module in (compiled, plain)]
    for _ in range(4):
        one, two = (outcome(getattr(reader, method)) for reader in readers)
        assert one == two, (method, one, two)
        assert readers[0].position == readers[1].position or "at byte" in one
    size = int.from_bytes(content[:2], "little") % MOST_COMPRESSED_SIZE
    assert outcome(lzf.decompress, content[2:], size) == outcome(plain_lzf.decompress, content[2:], size)
    assert lzf.compress(content) == plain_lzf.compress(content)


def check_value(payload: bytes) -> None:
    judge(payload)
    for strict in (True, False):
        one, two = (outcome_of_value(module, payload, strict) for module in (compiled_values, values_module))
        assert one == two, (one, two)


def check(data: bytes) -> None:
    """One input."""
    if len(data) < 2:
        return
    choice, content = data[0], data[1:]
    if choice >= AS_IT_IS:
        check_value(seal(content))
        check_twins(choice, content)
        return
    original = VALID[choice % len(VALID)][:-10]
    at = content[0] % len(original)
    check_value(seal(original[:at] + content[1:] + original[at + len(content) - 1 :]))


def main() -> None:
    """Fuzz until an option of libFuzzer ends it."""
    for module in (plain, plain_lzf, values_module, ziplist_module, zipmap_module):
        for thing in list(vars(module).values()):
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                for name, function in list(vars(thing).items()):
                    if callable(function) and hasattr(function, "__code__"):
                        setattr(thing, name, atheris.instrument_func(function))
            elif hasattr(thing, "__code__") and thing.__module__ == module.__name__:
                setattr(module, thing.__name__, atheris.instrument_func(thing))
    values_module.READERS.update(
        {kind: getattr(values_module, read.__name__) for kind, read in values_module.READERS.items()}
    )
    values_module.ziplist_elements = ziplist_module.ziplist_elements  # type: ignore[attr-defined]
    values_module.zipmap_elements = zipmap_module.zipmap_elements  # type: ignore[attr-defined]
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
