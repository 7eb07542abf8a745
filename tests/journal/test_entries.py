"""Entries in increment files: written and read, damaged in every place, cut at every byte, and read by Redis' own programs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal import entries as compiled
from kvorum.journal.records import Damage, DamageKind
from kvorum.testing.records import Commands, Entry, read_records
from kvorum.testing.redis_server import RedisPrograms, RedisServer
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.journal.entries")
NOW = 1_700_000_000_000
LINES = b"#kvorum-session one\r\n#kvorum-session two\r\n"


@pytest.fixture(params=[compiled, plain], ids=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def entry(index: int, body: bytes, database: int = 0, term: int = 1) -> bytes:
    return compiled.annotation(index, term, NOW + index, database, body) + body


def some_file() -> tuple[bytes, list[int]]:
    """Five entries, with all that may stand in them and between them; and where each ends."""
    data, ends = b"", []
    for piece in (
        compiled.select(0) + entry(7, command(b"SET", b"one", b"1")),
        compiled.durable(7, 95) + compiled.select(12) + entry(8, command(b"SET", b"two", b"\0" * 9), 12),
        entry(9, b"", 12, term=2),
        entry(10, LINES + command(b"SADD", b"three", b"\r\n") + command(b"DEL", b"two"), 12, term=2),
        entry(11, b"#kvorum-members 1 AAAA\r\n", 12, term=2),
    ):
        data += piece
        ends.append(len(data))
    return data, ends


def read(module: ModuleType, data: bytes, **options: Any) -> list[Any]:
    return list(read_records(data, "some.aof", module=module, **options))


def entries_of(module: ModuleType, data: bytes) -> tuple[list[tuple[Entry, bytes]], Damage | None]:
    """The entries with their bodies, and the damage after them."""
    records = read(module, data)
    damage = records.pop() if records and isinstance(records[-1], Damage) else None
    assert all(isinstance(record, Entry) for record in records), records
    return [(record, data[record.body_start : record.end]) for record in records], damage


def test_an_entry_looks_as_documented(twin: ModuleType) -> None:
    body = command(b"PING")
    assert twin.annotation(5, 2, NOW, 3, body) == b"#kvorum 1 5 2 1700000000000 3 14 64e4ed23\r\n"
    assert twin.select(13) == command(b"SELECT", b"13")
    assert twin.durable(5, 400).startswith(b"#kvorum-durable 1 5 400 ")


def test_reading_gives_what_was_written(twin: ModuleType) -> None:
    data, ends = some_file()
    records = read(twin, data, last_index=6)
    assert [(one.index, one.term, one.time_ms - NOW, one.database, one.end) for one in records] == [
        (7, 1, 7, 0, ends[0]),
        (8, 1, 8, 12, ends[1]),
        (9, 2, 9, 12, ends[2]),
        (10, 2, 10, 12, ends[3]),
        (11, 2, 11, 12, ends[4]),
    ]
    assert records[1].start == ends[0] + len(compiled.durable(7, 95)), "with its SELECT, without the line before it"
    reader = twin.EntryReader(data, "some.aof")
    assert [reader.next() for _ in range(4)] == [twin.ENTRY] * 4
    assert reader.body() == LINES + command(b"SADD", b"three", b"\r\n") + command(b"DEL", b"two")
    counts: dict[tuple[bytes, int], int] = {}
    assert reader.tally(reader.body_start, reader.end, counts) == 2
    assert counts == {(b"SADD", 3): 1, (b"DEL", 2): 1}
    assert reader.tally(reader.body_start, reader.end - 1, {}) == -1
    assert [reader.next() for _ in range(3)] == [twin.ENTRY, twin.END, twin.END]
    assert reader.tally(reader.body_start, reader.end, counts) == 0
    assert (reader.durable_index, reader.durable_offset, reader.last_index, reader.last_term) == (7, 95, 11, 2)
    assert reader.damage is None


WORDS = st.lists(st.binary(max_size=20), min_size=1, max_size=4)
BATCHES = st.lists(st.tuples(st.integers(0, 15), st.lists(WORDS, max_size=3)), max_size=6)


@given(BATCHES, st.integers(1, 10**17), st.binary(max_size=40))
def test_whatever_is_written_is_read_again_and_a_torn_rest_is_found(
    batches: list[tuple[int, list[list[bytes]]]], first: int, rest: bytes
) -> None:
    data, bodies = b"", []
    for index, (database, commands) in enumerate(batches, first):
        bodies.append(b"".join(command(*words) for words in commands))
        data += compiled.select(database) + entry(index, bodies[-1], database)
    for module in (compiled, plain):
        found, damage = entries_of(module, data)
        assert [body for _, body in found] == bodies
        assert damage is None
    assert read(compiled, data + rest) == read(plain, data + rest)


def test_every_truncation_is_torn_and_leaves_what_was_whole(twin: ModuleType) -> None:
    data, ends = some_file()
    whole, _ = entries_of(twin, data)
    for size in range(len(data)):
        found, damage = entries_of(twin, data[:size])
        assert found == whole[: sum(end <= size for end in ends)]
        if damage is not None:
            assert damage.torn, damage
            assert damage.bytes_after == size - damage.offset > 0
            assert entries_of(twin, data[: damage.offset]) == (found, None), "cut there, it is a good file"
        else:
            assert size in (0, *ends, ends[0] + len(compiled.durable(7, 95)))


def test_no_truncation_of_what_was_safe_on_disk_is_torn(twin: ModuleType) -> None:
    data, _ = some_file()
    for size in range(len(data)):
        damage = read(twin, data[:size], durable_offset=len(data))[-1]
        assert isinstance(damage, Damage)
        assert damage.kind is DamageKind.LOST
        assert f"{len(data)} bytes of" in str(damage)


@pytest.mark.parametrize("tail", [b"", bytes(100), compiled.durable(10, 400)], ids=["end", "zeros", "durable"])
def test_no_flipped_byte_makes_an_entry_vanish_or_lie(tail: bytes) -> None:
    """Found and never called torn, or harmless."""
    data, _ = some_file()
    whole, _ = entries_of(compiled, data)
    for at in range(len(data)):
        for value in {data[at] ^ 1 << bit for bit in range(8)} | {0, 10, 13, 32, 35, 42, 48, 57, 255} - {data[at]}:
            flipped = data[:at] + bytes([value]) + data[at + 1 :] + tail
            records = read(compiled, flipped)
            damage = records[-1]
            assert isinstance(damage, Damage), (at, value)
            if damage.torn:
                assert records[:-1] == [one for one, _ in whole], (at, value, damage)
                assert tail
            found = [one for one in records if isinstance(one, Entry)]
            assert found == [one for one, _ in whole][: len(found)]
            if value in (0, 57):
                assert read(plain, flipped) == records


def test_a_length_that_is_too_great_is_not_torn(twin: ModuleType) -> None:
    """The last entry, the one before the last, and one whose own commands do not go on after it."""
    body = command(b"SET", b"a", b"b")
    longer = entry(1, body).replace(b" 27 ", b" 927 ")
    for data in (longer, longer + entry(2, body), longer + compiled.select(3) + entry(2, body, 3), longer + b"\r\n"):
        damage = read(twin, data)[-1]
        assert isinstance(damage, Damage)
        assert (damage.kind, damage.offset) == (DamageKind.HEADER, 0)


def test_a_later_durable_position_keeps_even_a_much_damaged_entry_from_being_torn(twin: ModuleType) -> None:
    body = command(b"SET", b"a", b"b" * 100)
    damaged = entry(1, body).replace(b" %d " % len(body), b" 999 ").replace(b"$100", b"$900")
    assert read(twin, damaged, last_index=0)[-1].torn
    damage = read(twin, damaged + compiled.durable(1, len(damaged)))[-1]
    assert (damage.kind, damage.offset) == (DamageKind.LOST, 0)
    # What does not fit was only a value that looks like it.
    for forged in (compiled.durable(1, 10_000), compiled.durable(0, len(damaged)), compiled.durable(1, 0)):
        assert read(twin, damaged + forged, last_index=0)[-1].torn


@pytest.mark.parametrize("kept", [0, 1, 20, 60, 100, 140])
def test_zeros_where_the_end_was_not_written_are_torn(twin: ModuleType, kept: int) -> None:
    first, second = entry(1, command(b"SET", b"a", b"b")), entry(2, command(b"SET", b"a", b"b" * 100))
    records = read(twin, first + second[:kept] + bytes(500))
    assert isinstance(records[0], Entry)
    assert records[1].kind is DamageKind.TORN
    assert (records[1].offset, records[1].bytes_after) == (len(first), kept + 500)


def test_a_line_whose_last_byte_would_stand_in_the_next_sector_may_be_torn(twin: ModuleType) -> None:
    second = entry(2, command(b"SET", b"a", b"b"))
    kept = second.index(b"\r\n", second.index(b"#")) + 1
    for missing, kind in ((0, DamageKind.TORN), (1, DamageKind.HEADER)):
        first = entry(1, command(b"SET", b"a", b"b" * 300))
        first = entry(1, command(b"SET", b"a", b"b" * (300 + 512 - len(first) - kept - missing)))
        assert len(first) + kept + missing == 512
        damage = read(twin, first + second[:kept] + bytes(len(second) - kept))[-1]
        assert (damage.kind, damage.offset) == (kind, len(first))


def test_zeros_in_the_middle_are_damage(twin: ModuleType) -> None:
    first, second = entry(1, command(b"SET", b"a", b"b" * 500)), entry(2, command(b"SET", b"a", b"b"))
    damage = read(twin, first[:100] + bytes(100) + first[200:] + second)[-1]
    assert damage.kind is DamageKind.CHECKSUM
    damage = read(twin, first + bytes(512) + second)[-1]
    assert (damage.kind, damage.offset) == (DamageKind.GARBAGE, len(first))


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (entry(1, b"") + entry(3, b""), DamageKind.ORDER, "entry 3 follows entry 1"),
        (entry(1, b"") + entry(1, b""), DamageKind.ORDER, "entry 1 follows entry 1"),
        (entry(1, b"", term=5) + entry(2, b"", term=4), DamageKind.ORDER, "term 4 follows one of term 5"),
        (entry(1, b"").replace(b"#kvorum 1", b"#kvorum 2"), DamageKind.FORMAT, "unknown format 2"),
        (compiled.select(4) + entry(1, b"", 5), DamageKind.DATABASE, "for database 5"),
        (command(b"DEL", b"x") + entry(1, b""), DamageKind.UNANNOTATED, "stand before entry 1"),
        (b"#something\r\n", DamageKind.HEADER, "does not know"),
        (b"#" + b"x" * 2000, DamageKind.HEADER, "does not end"),
        (b"#TS:12x\r\n", DamageKind.HEADER, "#TS:"),
        (compiled.durable(1, 1), DamageKind.ORDER, "said to be safe"),
        (entry(4, b"") + compiled.durable(5, 0), DamageKind.ORDER, "said to be safe"),
        (compiled.durable(1, 0).replace(b"1 1 0", b"1 2 0"), DamageKind.CHECKSUM, "durable position"),
        (b"rubbish", DamageKind.GARBAGE, "neither a command"),
        (b"*0\r\n", DamageKind.GARBAGE, "without a name"),
        (b"*1\r\n$03\r\nDEL\r\n", DamageKind.GARBAGE, "out of range"),
        (b"*1\r\n$99999999999999999999\r\n", DamageKind.GARBAGE, "out of range"),
        (b"*1\r\n$-1\r\n", DamageKind.GARBAGE, "no number"),
        (b"*1\r\n$3\r\nDELxx", DamageKind.GARBAGE, "end of an argument"),
        (command(b"EXEC"), DamageKind.GARBAGE, "EXEC without MULTI"),
        (command(b"MULTI") * 2, DamageKind.GARBAGE, "MULTI inside MULTI"),
        (b"*1\r\n$3\r\nDE", DamageKind.TORN, "inside a command"),
        (compiled.select(3), DamageKind.TORN, "without an entry"),
        (compiled.select(3) + bytes(16), DamageKind.TORN, "without an entry"),
        (b"#TS:17", DamageKind.TORN, "inside an annotation"),
        (bytes(3), DamageKind.TORN, "only zeros"),
    ],
)
def test_what_is_wrong_is_named(twin: ModuleType, data: bytes, kind: DamageKind, words: str) -> None:
    damage = read(twin, data)[-1]
    assert isinstance(damage, Damage)
    assert (damage.kind, damage.file) == (kind, "some.aof")
    assert words in damage.what
    text = str(damage)
    assert text.startswith(f"some.aof, byte {damage.offset}: {damage.what} (")
    assert text.endswith(damage.remedy)
    assert damage.bytes_after == len(data) - damage.offset


def test_a_suffix_that_redis_wrote_is_handed_out(twin: ModuleType) -> None:
    first = entry(1, command(b"SET", b"a", b"b"))
    suffix = command(b"SELECT", b"0") + command(b"multi") + command(b"INCR", b"n") + command(b"EXEC")
    assert read(twin, first + suffix)[1:] == [Commands(len(first), len(first + suffix), 0)]
    stamped = b"#TS:1700000000\r\n" + suffix + b"#TS:1700000001\r\n" + command(b"DEL", b"n")
    start = len(b"#TS:1700000000\r\n")
    assert read(twin, stamped) == [
        Commands(start, start + len(suffix), 1700000000),
        Commands(2 * start + len(suffix), len(stamped), 1700000001),
    ]


def test_an_unfinished_transaction_is_torn_as_a_whole(twin: ModuleType) -> None:
    whole, begun = command(b"SET", b"a", b"b"), command(b"MULTI") + b"#TS:1700000000\r\n" + command(b"INCR", b"n")
    for size in range(1, len(begun) + 1):
        records = read(twin, whole + begun[:size])
        assert records[0] == Commands(0, len(whole), 0)
        assert records[1].torn
        assert records[1].offset == len(whole)


def test_a_select_is_torn_with_what_it_was_for(twin: ModuleType) -> None:
    whole = command(b"SET", b"a", b"b")
    for rest in (b"", b"#", b"*1\r\n$5\r\nFLU", b"*1\r\n" + bytes(16)):
        records = read(twin, whole + command(b"select", b"3") + rest)
        assert records[0] == Commands(0, len(whole), 0)
        assert (records[1].kind, records[1].offset) == (DamageKind.TORN, len(whole))
    stamped = command(b"SELECT", b"3") + b"#TS:5\r\n" + whole
    assert [record.end for record in read(twin, stamped)] == [stamped.index(b"#"), len(stamped)]


def test_long_runs_come_in_pieces_that_lie_side_by_side(twin: ModuleType) -> None:
    one = command(b"SET", b"key", b"x" * 5000)
    records = read(twin, one * 1000)
    assert len(records) == 5
    assert [record.start for record in records[1:]] == [record.end for record in records[:-1]]
    assert records[-1].end == 1000 * len(one)


def test_reading_can_begin_further_on(twin: ModuleType) -> None:
    data, ends = some_file()
    reader = twin.EntryReader(data, "some.aof", ends[1], 8, 1)
    assert (reader.next(), reader.index) == (twin.ENTRY, 9)
    reader = twin.EntryReader(data, "some.aof", ends[1], 5)
    assert reader.next() == reader.next() == twin.DAMAGED
    assert reader.damage.what == "entry 9 follows entry 5"
    with pytest.raises(ValueError, match="cannot begin at"):
        twin.EntryReader(data, "some.aof", len(data) + 1)


def test_memory_is_let_go_of(twin: ModuleType) -> None:
    data = bytearray(some_file()[0])
    reader = twin.EntryReader(data, "some.aof")
    reader.next()
    reader.close()
    data.append(1)  # impossible while somebody looks at it
    assert reader.next() == twin.END


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A data directory whose one increment is ``some_file``."""
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.1.incr.aof").write_bytes(some_file()[0] + compiled.durable(11, 300))
    (folder / "appendonly.aof.manifest").write_bytes(b"file appendonly.aof.1.incr.aof seq 1 type i\n")
    return tmp_path


def test_redis_loads_it_and_goes_on_from_there(
    start_redis: Callable[..., RedisServer], directory: Path, twin: ModuleType
) -> None:
    server = start_redis("--appendonly", "yes", "--dir", str(directory), "--appendfsync", "always")
    client = redis.Redis(port=server.port, db=12)
    assert client.smembers("three") == {b"\r\n"}
    assert client.exists("two") == 0
    assert client.select(0)
    client.execute_command("SET", "more", "1")
    client.close()
    server.stop()
    records = read(twin, (directory / "appendonlydir" / "appendonly.aof.1.incr.aof").read_bytes())
    assert [type(record) for record in records] == [Entry] * 5 + [Commands]


def test_redis_check_aof_approves(redis_programs: RedisPrograms, directory: Path) -> None:
    program = redis_programs.server.parent / "redis-check-aof"
    if not program.exists():
        pytest.skip(f"there is no {program.name} beside redis-server")
    manifest = directory / "appendonlydir" / "appendonly.aof.manifest"
    done = subprocess.run([program, manifest], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All AOF files and manifest are valid" in done.stdout
