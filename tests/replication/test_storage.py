"""What a member of a group has on disk: its votes, and the log as the core reads and writes it."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvorum.journal.bodies import MalformedBodyError, body_lines
from kvorum.journal.disk import DiskError
from kvorum.journal.entries import ENTRY, EntryReader
from kvorum.journal.journal import Journal
from kvorum.journal.manifest import Manifest
from kvorum.journal.offsets import MARK_BYTES, EntryOffsets, UnknownEntryError
from kvorum.journal.recovery import Recovery, RecoveryError
from kvorum.keyspace.table import Keyspace
from kvorum.replication.raft.core.entries import ConfState, Entry, EntryType, HardState, Snapshot, entries_size
from kvorum.replication.raft.core.errors import CompactedError, InvariantError, UnavailableError
from kvorum.replication.raft.entry_data import MalformedEntryError, decode, encode, from_disk, to_disk
from kvorum.replication.raft.hard_state import FILE_NAME, RECORD_BYTES, SLOT_BYTES, HardStateError, HardStateFile
from kvorum.replication.raft.storage import JournalStorage
from kvorum.testing.disk import FakeDisk

PLACE = "/data/log"
FILENAME = "a.aof"
INCR = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
GROUP = "0123456789abcdef" * 2
EVERYTHING = 1 << 40


# The two forms of an entry


def entry_bodies() -> st.SearchStrategy[bytes]:
    return st.binary(min_size=1, max_size=40).filter(lambda body: not body.startswith(b"#kvorum-members "))


entries = st.one_of(
    st.builds(lambda: Entry(2, 9)),
    st.builds(
        lambda time_ms, database, body: Entry(2, 9, encode(time_ms, database, body)),
        st.integers(0, 10**18 - 1),
        st.integers(0, 32767),
        entry_bodies(),
    ),
    st.builds(
        lambda data, kind: Entry(2, 9, data, kind),
        st.binary(max_size=3000),
        st.sampled_from([EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2]),
    ),
)


@given(entries)
def test_an_entry_comes_back_from_disk_as_it_was(entry: Entry) -> None:
    time_ms, database, data, start = to_disk(entry)
    body = data[start:]
    again = from_disk(entry.index, entry.term, time_ms, database, body)
    assert again == entry
    assert to_disk(again) == (time_ms, database, data, start)
    if entry.type != EntryType.NORMAL:
        lines, end = body_lines(body)
        assert end == len(body)
        assert all(len(line) + 2 <= 1023 for line in lines)


def test_the_data_of_a_batch_are_time_database_and_body() -> None:
    assert decode(encode(1700000000123, 3, INCR)) == (1700000000123, 3, INCR)
    assert to_disk(Entry(1, 1, encode(5, 3, INCR)))[2:] == (b"\0\0\0\0\0\0\0\x05\0\x03" + INCR, 10)


@pytest.mark.parametrize(
    "data",
    [
        b"short",
        bytes(10),  # nothing but a header: on disk it would be a no-op
        encode(-1, 0, b"x"),
        encode(10**18, 0, b"x"),
        encode(1, -1, b"x"),
        encode(0, 0, b"#kvorum-members 1 AAAA\r\n"),
    ],
)
def test_data_that_are_no_batch_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedEntryError):
        to_disk(Entry(1, 1, data))


@pytest.mark.parametrize(
    "body",
    [
        b"#kvorum-members 1 AAAA",
        b"#kvorum-members 0 AAAA\r\n",
        b"#kvorum-members 3 AAAA\r\n",
        b"#kvorum-members 1 AAA\r\n",
        b"#kvorum-members 1  AAAA\r\n",
        b"#kvorum-members 1 AAAA\r\n" + INCR,
        b"#kvorum-members 1 AAAA\r\n#kvorum-members 2 AAAA\r\n",
        b"#kvorum-members \r\n",
    ],
)
def test_a_change_of_membership_in_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedEntryError):
        from_disk(1, 1, 0, 0, body)


def test_lines_stand_before_the_commands() -> None:
    assert body_lines(b"#kvorum-session a b\r\n#kvorum-x\r\n" + INCR) == ([b"#kvorum-session a b", b"#kvorum-x"], 32)
    assert body_lines(INCR) == ([], 0)
    assert body_lines(b"") == ([], 0)
    assert body_lines(b"#kvorum-" + bytes(1013) + b"\r\n")[1] == 1023
    for wrong in (b"#kvorum-x", b"#else\r\n", b"#kvorum-" + bytes(1014) + b"\r\n", b"#kvorum-a\nb\r\n"):
        with pytest.raises(MalformedBodyError):
            body_lines(wrong)


# The votes


def test_the_votes_file_remembers_everything() -> None:
    disk = FakeDisk()
    assert HardStateFile.open(disk, "/data") is None
    file = HardStateFile.create(disk, "/data", 7)
    assert (file.raft_id, file.group_id, file.state) == (7, "", HardState())
    file.set_group(GROUP)
    file.save(HardState(3, 9, 12), sync=True)
    file.save(HardState(3, 9, 13), sync=False)
    file.close()
    again = HardStateFile.open(disk, "/data")
    assert again is not None
    assert (again.raft_id, again.group_id, again.state) == (7, GROUP, HardState(3, 9, 13))
    again.close()
    assert disk.open_files == []


def test_a_commit_index_alone_costs_no_fsync_and_spares_the_last_promise() -> None:
    disk = FakeDisk()
    file = HardStateFile.create(disk, "/data", 7)
    file.save(HardState(3, 9, 1), sync=True)
    promised = disk.files[f"/data/{FILE_NAME}"]
    slot = file._safe_slot
    before = len(disk.operations)
    for commit in range(2, 6):
        file.save(HardState(3, 9, commit), sync=False)
    assert [one.name for one in disk.operations[before:]] == ["write_at"] * 4
    now = disk.files[f"/data/{FILE_NAME}"]
    assert now[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES] == promised[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES]
    with pytest.raises(AssertionError, match="promise"):
        file.save(HardState(4, 9, 6), sync=False)


def test_two_promises_never_stand_in_the_same_slot() -> None:
    disk = FakeDisk()
    file = HardStateFile.create(disk, "/data", 7)
    for term in range(1, 5):
        before = disk.files[f"/data/{FILE_NAME}"]
        file.save(HardState(term, 9, 1), sync=True)
        now = disk.files[f"/data/{FILE_NAME}"]
        changed = [
            slot
            for slot in range(2)
            if before[slot * SLOT_BYTES :][:SLOT_BYTES] != now[slot * SLOT_BYTES :][:SLOT_BYTES]
        ]
        assert changed == [term % 2]


def test_what_a_start_finds_of_a_killed_process_is_safe_before_anybody_relies_on_it() -> None:
    disk = FakeDisk()
    file = HardStateFile.create(disk, "/data", 7)
    file.save(HardState(3, 9, 1), sync=True)
    file.save(HardState(3, 9, 5), sync=False)
    again = HardStateFile.open(disk, "/data")
    assert again is not None
    last = [state for state in disk.crash_states() if state.after == len(disk.operations)]
    assert {opened(state.files[f"/data/{FILE_NAME}"]).state for state in last} == {HardState(3, 9, 5)}


def saved_votes() -> bytes:
    disk = FakeDisk()
    file = HardStateFile.create(disk, "/data", 7)
    file.save(HardState(3, 9, 12), sync=True)
    file.save(HardState(4, 8, 12), sync=True)
    file.close()
    return disk.files[f"/data/{FILE_NAME}"]


def opened(text: bytes) -> HardStateFile:
    found = HardStateFile.open(FakeDisk(files={f"/data/{FILE_NAME}": text}), "/data")
    assert found is not None
    return found


def test_no_changed_byte_makes_a_promise_forgotten() -> None:
    text = saved_votes()
    for at in range(len(text)):
        changed = text[:at] + bytes([text[at] ^ 0x41]) + text[at + 1 :]
        assert opened(changed).state == HardState(4, 8, 12)


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("put", [bytes(SLOT_BYTES), b"\xff" * SLOT_BYTES])
def test_a_slot_that_is_gone_is_damage_and_not_an_older_promise(slot: int, put: bytes) -> None:
    text = saved_votes()
    text = text[: slot * SLOT_BYTES] + put + text[(slot + 1) * SLOT_BYTES :]
    with pytest.raises(
        HardStateError, match=rf"/data/kvorum-raft, byte {slot * SLOT_BYTES}: .*; without it this member"
    ):
        opened(text)


def test_a_file_of_another_length_or_version_is_refused() -> None:
    text = saved_votes()
    with pytest.raises(HardStateError, match="byte 1000: it has not 1024 bytes"):
        opened(text[:1000])
    later = b"kvraft 2" + text[8:RECORD_BYTES] + b"kvraft 2" + text[RECORD_BYTES + 8 :]
    with pytest.raises(HardStateError, match="unknown format; start the version"):
        opened(later)


# Where entries stand


def test_offsets_lead_to_the_last_mark_before_an_entry() -> None:
    offsets = EntryOffsets(10, 2)
    offsets.begin_file("one", 11)
    offsets.note_term(11, 3)
    offsets.note(13, 700)
    offsets.begin_file("two", 20, 5)
    offsets.note_term(21, 4)
    offsets.note(25, 900)
    assert [(place.path, place.offset, place.index) for place in map(offsets.place, (11, 12, 13, 19, 20, 24, 25, 99))] == [
        ("one", 0, 11), ("one", 0, 11), ("one", 700, 13), ("one", 700, 13),
        ("two", 5, 20), ("two", 5, 20), ("two", 900, 25), ("two", 900, 25),
    ]  # fmt: skip
    assert [offsets.term(index) for index in (10, 11, 20, 21, 99)] == [2, 3, 3, 4, 4]
    for unknown in (9, 10):
        with pytest.raises(UnknownEntryError):
            offsets.place(unknown)
    with pytest.raises(UnknownEntryError):
        offsets.term(9)


def test_offsets_forget_what_is_cut_off_or_dropped() -> None:
    offsets = EntryOffsets()
    for number, path in enumerate(("one", "two", "three")):
        offsets.begin_file(path, 1 + 10 * number)
        offsets.note_term(1 + 10 * number, 1 + number)
        offsets.note(5 + 10 * number, 500)
    offsets.drop_before(7)
    assert (offsets.base_index, offsets.base_term, offsets.files) == (6, 1, ["one", "two", "three"])
    assert offsets.place(7).offset == 500
    offsets.drop_files_before("two")
    assert (offsets.base_index, offsets.base_term, offsets.files) == (10, 1, ["two", "three"])
    offsets.truncate_after(14)
    assert offsets.term(15) == 2
    assert (offsets.place(14).path, offsets.place(15).path, offsets.place(15).offset) == ("two", "three", 0)
    assert offsets.place(14).index == 11


# The log


def batch(index: int, term: int, size: int = 20) -> Entry:
    """An entry that no other is like: a batch, a no-op or a change of membership."""
    if index % 7 == 0:
        return Entry(term, index)
    if index % 11 == 0:
        return Entry(term, index, b"member %d %d" % (index, term), EntryType.CONF_CHANGE)
    value = b"%d:%d:" % (index, term) + b"." * size
    body = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value)
    return Entry(term, index, encode(1000 + index, index % 3, body))


def batches(first: int, last: int, term: int, size: int = 20) -> list[Entry]:
    return [batch(index, term, size) for index in range(first, last + 1)]


class Node:
    """A journal and its storage over a disk in memory; ``again`` is what a restart makes of them."""

    def __init__(self, disk: FakeDisk | None = None, cache_bytes: int = 400) -> None:
        self.disk = disk if disk is not None else FakeDisk(("/", "/data", PLACE))
        self.cache_bytes = cache_bytes
        self.journal = Journal(self.disk, PLACE, FILENAME, Manifest(), clock=lambda: 5)
        self._store(Snapshot())

    def _store(self, snapshot: Snapshot) -> None:
        self.storage = JournalStorage(self.journal, HardState(), ConfState(), snapshot, cache_bytes=self.cache_bytes)

    def again(self) -> Recovery:
        self.journal.close()
        recovery = recovered(self.disk)
        recovery.cut()
        assert recovery.manifest is not None
        self.journal = Journal(
            self.disk, PLACE, FILENAME, recovery.manifest, clock=lambda: 5, index=recovery.index, term=recovery.term,
            resume=recovery.resume, offsets=recovery.offsets,
        )  # fmt: skip
        self._store(Snapshot(recovery.base_index, recovery.base_term))
        return recovery

    @property
    def log(self) -> list[Entry]:
        storage = self.storage
        first, last = storage.first_index(), storage.last_index()
        return storage.entries(first, last + 1, EVERYTHING) if first <= last else []


def recovered(disk: FakeDisk, apply_to: int = -1, stop_after: int = -1) -> Recovery:
    recovery = Recovery(
        disk, PLACE, FILENAME, Keyspace(16), lambda database, commands: None, apply_to=apply_to, stop_after=stop_after
    )
    try:
        while not recovery.finished:
            recovery.step()
    finally:
        recovery.close()
    return recovery


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.journal.close()
    assert made.disk.open_files == []


def test_every_entry_can_be_read_again_from_memory_and_from_disk(node: Node) -> None:
    wanted = batches(1, 60, 1)
    node.storage.append(wanted[:30])
    node.journal.rotate()
    node.storage.append(wanted[30:])
    for restarted in (False, True):
        if restarted:
            node.again()
        assert node.log == wanted
        for index in range(1, 61):
            assert node.storage.entries(index, 61, 0) == [wanted[index - 1]]
            assert node.storage.entries(index, 61, EVERYTHING) == wanted[index - 1 :]
            assert node.storage.term(index) == 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 4000))
@settings(max_examples=60)
def test_a_limit_on_bytes_is_kept_wherever_entries_come_from(low: int, count: int, most: int) -> None:
    node = Node()
    wanted = batches(1, 40, 1)
    node.storage.append(wanted[:25])
    node.journal.rotate()
    node.storage.append(wanted[25:])
    high = min(low + count, 41)
    found = node.storage.entries(low, high, most)
    assert found == wanted[low - 1 : low - 1 + len(found)]
    assert found
    assert len(found) == 1 or entries_size(found) <= most
    assert low + len(found) == high or entries_size([*found, wanted[low - 1 + len(found)]]) > most
    node.journal.close()


def test_big_files_are_read_from_the_nearest_mark(node: Node) -> None:
    wanted = batches(1, 200, 1, size=MARK_BYTES // 20)
    node.storage.append(wanted)
    for again in range(2):
        place = node.journal.offsets.place(150)
        assert 150 - place.index <= 30, "there is a mark every 64 KiB"
        assert place.offset > 0
        assert node.storage.entries(150, 152, EVERYTHING) == wanted[149:151]
        if not again:
            node.again()
    # One reading goes on where the last has ended.
    reads = [node.storage.entries(low, low + 10, EVERYTHING) for low in range(1, 101, 10)]
    assert [entry for some in reads for entry in some] == wanted[:100]


def test_what_a_leader_overrules_is_cut_off_across_files(node: Node) -> None:
    old = batches(1, 60, 1)
    for first in (0, 20, 40):
        node.storage.append(old[first : first + 20])
        node.journal.rotate()
    new = batches(15, 25, 2)
    node.storage.append(new)
    wanted = old[:14] + new
    assert node.log == wanted
    assert node.storage.last_index() == 25
    assert [node.storage.term(index) for index in (13, 14, 15, 25)] == [1, 1, 2, 2]
    assert node.journal.durable_index == 14
    recovery = node.again()
    assert node.log == wanted
    assert (recovery.index, recovery.term) == (25, 2)
    node.storage.append(batches(26, 27, 3))
    assert node.log == wanted + batches(26, 27, 3)


def test_what_is_read_after_a_truncation_is_not_where_it_was_before() -> None:
    node = Node(cache_bytes=0)
    node.storage.append(batches(1, 20, 1))
    assert node.storage.entries(1, 9, EVERYTHING) == batches(1, 8, 1)
    new = batches(4, 20, 2, size=200)
    node.storage.append(new)
    assert node.storage.entries(9, 21, EVERYTHING) == new[5:]
    node.journal.close()


def as_redis_reads(text: bytes) -> list[tuple[int, list[bytes]]]:
    """Commands and the database that each is executed in, by who takes lines that begin with # for comments."""
    found = []
    database, at = 0, 0
    while at < len(text):
        end = text.index(b"\r\n", at)
        count, at, line = 0, end + 2, text[at:end]
        if line.startswith(b"*"):
            count = int(line[1:])
        words = []
        for _ in range(count):
            end = text.index(b"\r\n", at)
            length, at = int(text[at + 1 : end]), end + 2
            words.append(text[at : at + length])
            at += length + 2
        if words[:1] == [b"SELECT"]:
            database = int(words[1])
        elif words:
            found.append((database, words))
    return found


def test_redis_executes_every_command_in_the_right_database(node: Node) -> None:
    select = b"*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n"
    node.storage.append([
        Entry(1, 1), Entry(1, 2, encode(1, 3, INCR)), Entry(1, 3), Entry(1, 4, encode(1, 3, INCR + select + INCR)),
        Entry(1, 5), Entry(1, 6, encode(1, 3, INCR)), Entry(1, 7, b"x", EntryType.CONF_CHANGE),
        Entry(1, 8, encode(1, 3, INCR)), Entry(1, 9, encode(1, 4, INCR)), Entry(1, 10, encode(1, 4, INCR)),
    ])  # fmt: skip
    node.storage.append([Entry(2, 10, encode(1, 4, INCR)), Entry(2, 11, encode(1, 0, INCR))])
    node.journal.rotate()
    node.storage.append([Entry(2, 12, encode(1, 0, INCR))])
    databases = [
        [database for database, _ in as_redis_reads(node.disk.files[path])] for path in node.journal.offsets.files
    ]
    assert databases == [[3, 3, 5, 3, 3, 4, 4, 0], [0]]
    selects = [node.disk.files[path].count(b"SELECT") for path in node.journal.offsets.files]
    assert selects == [8, 1], "only where the file is in another database, or may be"


def test_the_file_says_how_far_it_is_safe_also_after_a_truncation(node: Node) -> None:
    node.storage.append(batches(1, 20, 1, size=400))
    node.journal.flusher.wait(node.journal.written)
    node.storage.append(batches(21, 21, 1))
    node.storage.append(batches(5, 6, 2))
    node.journal.flusher.wait(node.journal.written)
    node.storage.append(batches(7, 8, 2))
    reader = EntryReader(node.disk.files[node.journal.file.path], "f")
    while reader.next() == ENTRY:
        pass
    assert reader.damage is None
    assert reader.durable_index == 6


def test_the_first_entry_can_be_overruled(node: Node) -> None:
    node.storage.append(batches(1, 3, 1))
    node.storage.append(batches(1, 2, 2))
    assert node.log == batches(1, 2, 2)
    node.again()
    assert node.log == batches(1, 2, 2)


def test_a_truncation_makes_true_what_was_promised_before(node: Node) -> None:
    """Whoever waits for the disk waits for a position, and that never goes back."""
    node.storage.append(batches(1, 9, 1))
    position = node.journal.written
    assert node.journal.safe < position
    node.storage.append(batches(5, 6, 2))
    assert node.journal.safe >= position
    assert node.journal.durable_index == 4
    assert node.journal.written > node.journal.safe
    node.journal.flusher.wait(node.journal.written)
    assert node.journal.durable_index == 6


def test_what_does_not_fit_is_never_skipped(node: Node) -> None:
    node.storage.append(batches(1, 3, 2))
    with pytest.raises(InvariantError, match="do not fit"):
        node.storage.append(batches(5, 6, 2))
    with pytest.raises(ValueError, match="entry 4 of term 1 cannot follow entry 3 of term 2"):
        node.storage.append(batches(4, 4, 1))
    node.storage.compacted(3, Snapshot(2, 2))
    with pytest.raises(InvariantError, match="do not fit"):
        node.storage.append(batches(2, 6, 3))
    assert node.log == batches(3, 3, 2)
    for low, high, error in ((2, 4, CompactedError), (3, 5, UnavailableError)):
        with pytest.raises(error):
            node.storage.entries(low, high, EVERYTHING)
    assert node.storage.term(2) == 2
    with pytest.raises(CompactedError):
        node.storage.term(1)
    with pytest.raises(UnavailableError):
        node.storage.term(4)


def test_what_the_only_voter_writes_by_itself_shows_once_it_is_noted(node: Node) -> None:
    node.storage.append(batches(1, 3, 4))
    node.journal.write(b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n" + INCR, 23, 2, 2, node.journal.written + 50)
    assert node.storage.last_index() == 3
    with pytest.raises(UnavailableError):
        node.storage.entries(4, 5, EVERYTHING)
    node.storage.note_written(4)
    assert node.log == [*batches(1, 3, 4), Entry(4, 4, encode(5, 2, INCR))]
    node.storage.append(batches(5, 5, 4))
    assert len(node.log) == 5


def test_a_received_base_takes_the_place_of_everything(node: Node) -> None:
    node.storage.append(batches(1, 9, 1))
    put_base(node.disk, "/data/log/temp-received", 100, 7)
    base = node.storage.install("/data/log/temp-received", Snapshot(100, 7))
    assert (node.storage.first_index(), node.storage.last_index(), node.storage.term(100)) == (101, 100, 7)
    assert node.log == []
    node.storage.append(batches(101, 103, 8))
    recovery = node.again()
    assert (recovery.base_index, recovery.base_term, recovery.index, recovery.term) == (100, 7, 103, 8)
    assert recovery.members == b"who is in it"
    assert node.log == batches(101, 103, 8)
    assert {name for name in node.disk.files if "manifest" not in name} == {base, node.journal.file.path}


def change_base(node: Node, sequence: int) -> Snapshot:
    """A compaction as of the last entry; files before the increment of this number are replaced."""
    journal, index = node.journal, node.storage.last_index()
    snapshot = Snapshot(index, node.storage.term(index))
    base = journal.manifest.next_base(FILENAME)
    put_base(node.disk, f"{PLACE}/{base.name}", index, snapshot.term)
    change = journal.begin_change(base, sequence)
    change.run()
    journal.end_change(change)
    node.storage.rebased(snapshot)
    return snapshot


def test_a_new_base_leaves_followers_what_they_may_need(node: Node) -> None:
    wanted = batches(1, 40, 1)
    sizes = []
    for first in (0, 10, 20, 30):
        node.storage.append(wanted[first : first + 10])
        sizes.append(node.journal.size)
        node.journal.rotate()
    node.journal.keep_bytes = sum(sizes[2:]) + 200
    change_base(node, 5)
    assert (node.storage.first_index(), node.storage.last_index()) == (21, 40)
    assert node.log == wanted[20:]
    assert node.storage.term(20) == 1
    assert [one.sequence for one in node.journal.manifest.history] == [3, 4]
    kept = set(node.disk.files)
    node.storage.append(batches(41, 50, 2))
    node.journal.rotate()
    change_base(node, 6)
    assert node.storage.first_index() == 31
    assert f"{PLACE}/{FILENAME}.3.incr.aof" in kept - set(node.disk.files)
    assert node.storage.entries(31, 51, EVERYTHING) == wanted[30:] + batches(41, 50, 2)
    node.again()
    assert node.storage.first_index() == 51
    assert node.storage.term(50) == 2
    node.journal.rotate()
    change_base(node, 7)
    assert node.journal.manifest.history == ()
    assert len(node.disk.files) == 3, "base, increment and manifest"


def test_without_a_limit_nothing_is_kept_of_what_a_base_replaces(node: Node) -> None:
    node.storage.append(batches(1, 9, 3))
    node.journal.rotate()
    snapshot = change_base(node, 2)
    assert node.storage.snapshot() == snapshot
    assert (node.storage.first_index(), node.storage.last_index(), node.storage.term(9)) == (10, 9, 3)
    assert len(node.disk.files) == 3


def rdb_string(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def put_base(disk: FakeDisk, path: str, index: int, term: int) -> None:
    """A snapshot without keys that ends with this entry, safe on disk."""
    head = {b"kvorum-index": b"%d" % index, b"kvorum-term": b"%d" % term, b"kvorum-members": b"who is in it"}
    text = b"".join(b"\xfa" + rdb_string(name) + rdb_string(value) for name, value in head.items())
    file = disk.create(path)
    disk.append(file, b"REDIS0010" + text + b"\xff" + bytes(8))
    disk.fsync(file)
    disk.close(file)
    disk.sync_directory("/data/log")


# A disk that is full


def test_what_a_full_disk_does_not_take_is_kept_and_can_be_read(node: Node) -> None:
    wanted = batches(1, 40, 1)
    node.storage.append(wanted[:10])
    node.journal.flusher.wait(node.journal.written)
    node.disk.capacity = sum(map(len, node.disk.files.values()))
    node.storage.append(wanted[10:])
    assert node.journal.failed is not None
    assert (node.journal.written_index, node.journal.durable_index) == (10, 10)
    assert node.log == wanted
    with pytest.raises(DiskError, match="No space"):
        node.storage.append(batches(20, 21, 2))
    assert node.log == wanted, "nothing was changed"
    node.disk.capacity = None
    node.storage.append(batches(20, 21, 2))
    assert node.journal.written_index == 21
    assert node.log == wanted[:19] + batches(20, 21, 2)
    node.again()
    assert node.log == wanted[:19] + batches(20, 21, 2)


def test_a_truncation_of_which_nobody_knows_how_far_it_came_ends_the_node() -> None:
    node = Node()
    node.storage.append(batches(1, 9, 1))
    node.journal.flusher.wait(node.journal.written)
    node.disk.fail(len(node.disk.operations) + 1, errno.EIO)
    with pytest.raises(DiskError):
        node.storage.append(batches(5, 6, 2))
    assert node.journal.broken is not None


# What a start executes


def test_a_start_executes_what_is_committed_and_checks_the_rest() -> None:
    node = Node()
    lines = b"#kvorum-session one two\r\n"
    node.storage.append([
        Entry(1, 1), Entry(1, 2, encode(1, 0, lines + INCR)), Entry(1, 3, b"x", EntryType.CONF_CHANGE),
        Entry(1, 4, encode(1, 0, INCR)), Entry(2, 5),
    ])  # fmt: skip
    node.journal.close()
    applied: list[tuple[int, bytes]] = []
    noted: list[tuple[int, int, list[bytes]]] = []
    recovery = Recovery(
        node.disk, PLACE, FILENAME, Keyspace(16), lambda *one: applied.append(one), apply_to=3,
        on_lines=lambda *one: noted.append(one),
    )  # fmt: skip
    while not recovery.finished:
        recovery.step()
    assert applied == [(0, INCR)]
    assert noted == [(2, 1, [b"#kvorum-session one two"]), (3, 1, [b"#kvorum-members 1 eA=="])]
    assert (recovery.applied, recovery.index, recovery.term, recovery.time_ms) == (3, 5, 2, 1)
    for apply_to, all_of_it in ((-1, 5), (99, 5), (0, 0)):
        assert recovered(node.disk, apply_to=apply_to).applied == all_of_it


def test_a_log_is_read_up_to_an_entry_while_its_end_is_being_written() -> None:
    node = Node()
    node.storage.append(batches(1, 9, 1))
    file = node.journal.file
    node.disk.append(file, b"#kvorum 1 not quite")
    recovery = recovered(node.disk, apply_to=6, stop_after=6)
    assert (recovery.index, recovery.applied) == (6, 6)
    with pytest.raises(RecoveryError):
        recovered(FakeDisk(("/", "/data", PLACE), {**node.disk.files, file.path: node.disk.files[file.path] + b"x"}))


def test_commands_of_another_server_are_damage_in_the_log_of_a_group() -> None:
    node = Node()
    node.storage.append(batches(1, 3, 1))
    node.journal.close()
    file = node.disk.open_append(f"{PLACE}/{FILENAME}.1.incr.aof")
    node.disk.append(file, INCR)
    assert recovered(node.disk).adopted
    with pytest.raises(RecoveryError, match=r"without annotation.*; if another server has written"):
        recovered(node.disk, apply_to=3)


# Anything, in any order


@pytest.mark.parametrize("seed", range(12))
def test_the_log_is_what_the_last_append_made_it(seed: int) -> None:
    chance = random.Random(seed)
    node = Node(cache_bytes=chance.choice((0, 400, 1 << 20)))
    model: list[Entry] = []
    base = term = 0
    for _ in range(120):
        act = chance.random()
        if act < 0.6:
            first = base + len(model) + 1
            if chance.random() < 0.3 and model:
                first = chance.randrange(base + 1, first)
                term += 1
            added = batches(first, first + chance.randrange(6), max(term, 1), chance.choice((0, 20, 3000)))
            node.storage.append(added)
            model[first - base - 1 :] = added
            term = max(term, 1)
        elif act < 0.75:
            node.journal.rotate()
        elif act < 0.85:
            node.again()
            assert node.journal.durable_index == base + len(model)
        elif act < 0.9 and model:
            cut = chance.randrange(len(model)) + 1
            node.storage.compacted(base + cut + 1, Snapshot(base + cut, model[cut - 1].term))
            assert node.storage.entries(base + cut + 1, base + len(model) + 1, EVERYTHING) == model[cut:] or cut == len(
                model
            )
            node.again()  # nothing was removed on disk: a restart finds it again
        elif act < 0.93:
            base, model, term = base + len(model) + 5, [], term + 1
            put_base(node.disk, "/data/log/temp-received", base, term)
            node.storage.install("/data/log/temp-received", Snapshot(base, term))
        assert node.log == model
        if model:
            low = chance.randrange(len(model))
            found = node.storage.entries(base + low + 1, base + len(model) + 1, 200)
            assert found == model[low : low + len(found)]
            assert node.storage.term(base + low + 1) == model[low].term
    node.journal.close()
