"""Listpacks: both twins write the same bytes, keep the same elements, and refuse what is not one."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvorum.keyspace.types.listpack as compiled
from kvorum.resp.writer import Writer
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.keyspace.types.listpack")

EDGES = [0, 127, 128, -1, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769, 8388607, 8388608, -8388608, -8388609]
EDGES += [2147483647, 2147483648, -2147483648, -2147483649, 9223372036854775807, -9223372036854775808]
SIZES = [0, 1, 63, 64, 125, 126, 127, 4095, 4096, 16377, 16378, 16379, 2097145, 2097146, 2097147]

integers = st.sampled_from(EDGES) | st.integers(-(1 << 63), (1 << 63) - 1)
texts = (
    st.binary(max_size=8)
    | integers.map(lambda number: b"%d" % number)
    | st.sampled_from([b"-0", b"00", b"+1", b"-", b"9223372036854775808", b"-9223372036854775809"])
    | st.tuples(st.sampled_from([63, 64, 130, 4095, 4096]), st.binary(min_size=1, max_size=1)).map(
        lambda pair: pair[1] * pair[0]
    )
)


@pytest.fixture(params=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return compiled if request.param == "compiled" else plain


@pytest.mark.parametrize(
    ("items", "body"),
    [
        ([], ""),
        ([b"5"], "05 01"),
        ([b"127", b"128"], "7f01 c080 02"),
        ([b"-1"], "dfff 02"),
        ([b"-4096"], "d000 02"),
        ([b"4096"], "f10010 03"),
        ([b"-40000"], "f2c063ff 04"),
        ([b"70000000"], "f3801d2c04 05"),
        ([b"-9223372036854775808"], "f40000000000000080 09"),
        ([b"", b"ab"], "80 01 826162 03"),
        ([b"007"], "83303037 04"),
    ],
)
def test_the_bytes_are_those_of_redis(twin: ModuleType, items: list[bytes], body: str) -> None:
    content = bytes.fromhex(body)
    head = (len(content) + 7).to_bytes(4, "little") + len(items).to_bytes(2, "little")
    assert twin.pack(items) == head + content + b"\xff"


def test_the_trailer_of_a_long_string_has_several_bytes(twin: ModuleType) -> None:
    assert twin.pack([b"x" * 200])[-3:] == bytes([202 >> 7, 0x80 | (202 & 0x7F), 0xFF])
    assert twin.pack([b"x" * 5000])[6:11] == b"\xf0" + (5000).to_bytes(4, "little")


@pytest.mark.parametrize("size", SIZES)
def test_strings_of_every_head_and_trailer(size: int) -> None:
    items = [b"x" * size, b"end"]
    blob = compiled.pack(items)
    assert blob == plain.pack(items)
    assert compiled.unpack(blob) == items
    assert list(reversed(compiled.Listpack(items))) == items[::-1]


@given(st.lists(texts))
def test_twins_write_the_same_and_read_it_again(items: list[bytes]) -> None:
    blob = compiled.pack(items)
    assert blob == plain.pack(items)
    assert compiled.unpack(blob) == plain.unpack(blob) == items
    assert list(reversed(compiled.Listpack(items))) == items[::-1]


STEPS: dict[str, Callable[..., object]] = {
    "append": lambda pack, at, other, item, number, count: pack.append(item),
    "append_integer": lambda pack, at, other, item, number, count: pack.append_integer(number),
    "append_pair": lambda pack, at, other, item, number, count: pack.append_pair(item, b"%d" % number),
    "prepend": lambda pack, at, other, item, number, count: pack.prepend(item),
    "prepend_integer": lambda pack, at, other, item, number, count: pack.prepend_integer(number),
    "insert": lambda pack, at, other, item, number, count: pack.insert(at, item),
    "insert_after": lambda pack, at, other, item, number, count: pack.insert(at, item, True),
    "replace": lambda pack, at, other, item, number, count: pack.replace(at, item),
    "replace_integer": lambda pack, at, other, item, number, count: pack.replace_integer(at, number),
    "delete": lambda pack, at, other, item, number, count: pack.delete(at, count),
    "delete_range": lambda pack, at, other, item, number, count: pack.delete_range(at, count),
    "merge": lambda pack, at, other, item, number, count: pack.merge(other),
    "get": lambda pack, at, other, item, number, count: pack[at],
    "find": lambda pack, at, other, item, number, count: pack.find(item, at, count % 3),
    "equals": lambda pack, at, other, item, number, count: pack.equals(at, item),
}


def outcome(step: Callable[..., object], *arguments: object) -> object:
    try:
        return step(*arguments)
    except IndexError:
        return IndexError


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(STEPS)), st.integers(-12, 12), st.lists(texts, max_size=3), texts, integers,
            st.integers(0, 4),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_twins_stay_equal_through_changes(steps: list[tuple[str, int, list[bytes], bytes, int, int]]) -> None:
    one, other = compiled.Listpack(), plain.Listpack()
    for name, index, items, item, number, count in steps:
        found = outcome(STEPS[name], one, index, compiled.Listpack(items), item, number, count)
        assert found == outcome(STEPS[name], other, index, plain.Listpack(items), item, number, count), name
        assert bytes(one) == bytes(other), name
        assert len(one) == len(other)
    assert bytes(one.copy()) == bytes(other)
    assert compiled.validate(bytes(one))


@given(st.lists(texts, max_size=12), st.integers(-3, 3), st.integers(0, 14), st.integers(0, 2), st.sampled_from([2, 3]))
def test_twins_write_the_same_replies(items: list[bytes], start: int, count: int, skip: int, protocol: int) -> None:
    replies = []
    for module in (compiled, plain):
        writer = Writer(protocol)
        module.Listpack(items).write(writer, start, count, skip)
        replies.append(writer.getvalue())
    assert replies[0] == replies[1]


def test_a_long_reply_goes_on_in_new_buffers() -> None:
    items = [b"x" * size for size in (10, 5000, 20000, 3, 60000, 4096, 4097)] * 20
    writer = Writer()
    compiled.Listpack(items).write(writer)
    assert writer.pending == len(writer.getvalue())
    assert writer.getvalue() == b"".join(b"$%d\r\n%s\r\n" % (len(item), item) for item in items)


def test_more_elements_than_the_header_can_count(twin: ModuleType) -> None:
    pack = twin.Listpack([b"1"] * 65534)
    assert bytes(pack)[4:6] == b"\xfe\xff"
    pack.append_pair(b"2", b"3")
    assert bytes(pack)[4:6] == b"\xff\xff"
    assert (len(pack), pack[65535], pack[-1], pack.find(b"3")) == (65536, b"3", b"3", 65535)
    assert twin.validate(bytes(pack))


def test_an_element_is_found_by_its_text_whatever_its_form(twin: ModuleType) -> None:
    pack = twin.Listpack([b"a", b"1", b"1", b"a", b"", b"01"])
    assert [pack.find(item) for item in (b"a", b"1", b"", b"01", b"+1", b"b")] == [0, 1, 4, 5, None, None]
    assert [pack.find(b"1", skip=1), pack.find(b"1", 2, 1), pack.find(b"a", 1), pack.find(b"a", 9)] == [2, 2, 3, None]


@pytest.mark.skipif(compiled.__file__.endswith(".py"), reason="needs the compiled listpack")
def test_memory_follows_the_content() -> None:
    pack = compiled.Listpack()
    for _ in range(20000):
        pack.append(b"x" * 20)
        assert len(bytes(pack)) < pack.allocated() <= len(bytes(pack)) * 1.2 + 40
    while len(pack):
        pack.delete(0, 500)
        assert pack.allocated() <= len(bytes(pack)) * 1.5 + 80


# Bytes from outside


@given(st.lists(texts, max_size=8), st.data())
def test_a_damaged_blob_is_refused_or_still_a_listpack(items: list[bytes], data: st.DataObject) -> None:
    blob = bytearray(compiled.pack(items))
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(0, len(blob) - 1)) :]
        blob[:4] = len(blob).to_bytes(4, "little")
    damaged = bytes(blob)
    assert compiled.validate(damaged) == plain.validate(damaged)
    if compiled.validate(damaged):
        assert compiled.unpack(damaged) == plain.unpack(damaged)
    else:
        with pytest.raises(ValueError, match="no listpack"):
            compiled.unpack(damaged)


@given(st.binary(max_size=60))
def test_both_twins_judge_any_bytes_alike(content: bytes) -> None:
    head = (len(content) + 7).to_bytes(4, "little") + b"\xff\xff"
    blob = head + content + b"\xff"
    assert compiled.validate(blob) == plain.validate(blob)
    if compiled.validate(blob):
        assert compiled.unpack(blob) == plain.unpack(blob)


@pytest.mark.parametrize(
    "body",
    [
        "f0ffffffff 61 06",  # a size of 4 GiB
        "f0f0ffff3f 61 06",
        "e0",  # half a head
        "f0 0100",
        "f4 01020304",
        "bf 61 40",  # longer than what is there
        "f5 01 02",  # no such head
        "ff 01",
        "82 6162 04",  # a trailer that leads elsewhere
        "82 6162 83",
    ],
)
def test_entries_that_lie_are_refused(twin: ModuleType, body: str) -> None:
    content = bytes.fromhex(body)
    blob = (len(content) + 7).to_bytes(4, "little") + b"\xff\xff" + content + b"\xff"
    assert not twin.validate(blob)
    assert twin.validate(blob, False)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x07\0\0\0\0",
        b"\x07\0\0\0\0\0\0",
        b"\x08\0\0\0\0\0\xff",
        b"\x07\0\0\0\x01\0\xff",
        b"\x09\0\0\0\x02\0\x01\x01\xff",
        b"\x06\0\0\0\0\xff",
    ],
)
def test_a_frame_that_is_not_true_is_refused(twin: ModuleType, blob: bytes) -> None:
    assert not twin.validate(blob)
