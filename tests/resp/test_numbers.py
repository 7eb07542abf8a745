"""Numbers as Redis reads and writes them."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resp.twins import NUMBERS, both

machine_like_the_twin = pytest.mark.skipif(
    NUMBERS[0].MANTISSA_BITS != NUMBERS[1].MANTISSA_BITS, reason="long double is another type on this machine"
)


@both(NUMBERS, "module")
@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"7", 7),
        (b"-1", -1),
        (b"1000", 1000),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
    ],
)
def test_integers(module: ModuleType, text: bytes, number: int) -> None:
    assert module.parse_integer(text) == number


NO_INTEGERS = (
    b"", b"-", b"+1", b"01", b"-0", b"-01", b" 1", b"1 ", b"1\n", b"1.0", b"0x1", b"1_0", b"a", b"1a", b"\xb2", b"1\0",
    b"9223372036854775808", b"-9223372036854775809", b"18446744073709551617", b"99999999999999999999", b"1" * 50,
)  # fmt: skip


@both(NUMBERS, "module")
@pytest.mark.parametrize("text", NO_INTEGERS)
def test_no_integers(module: ModuleType, text: bytes) -> None:
    assert module.parse_integer(text) is None


@both(NUMBERS, "module")
@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0.0),
        (b"1.5", 1.5),
        (b"+5", 5.0),
        (b"1.", 1.0),
        (b".5", 0.5),
        (b"-1e3", -1000.0),
        (b"1E-2", 0.01),
        (b"0x1.8p3", 12.0),
        (b"0X.8", 0.5),
        (b"inf", math.inf),
        (b"-Infinity", -math.inf),
        (b"+INF", math.inf),
        (b"1e308", 1e308),
        (b"5e-324", 5e-324),
        (b"00012", 12.0),
        (b"1" + b"0" * 300, 1e300),
    ],
)
def test_floats(module: ModuleType, text: bytes, number: float) -> None:
    assert module.parse_float(text) == number
    assert module.LongDouble.parse(text) is not None


NO_FLOATS = (
    b"", b".", b"-", b"e5", b"1e", b"1e+", b"nan", b"-NaN", b"nan(1)", b" 1", b"1 ", b"\t1", b"1\0", b"\x001", b"0x",
    b"0x.p1", b"1_0", b"1,5", b"infinit", b"in", b"--1", b"1" * 5120, b"\xd9\xa1",
)  # fmt: skip


@both(NUMBERS, "module")
@pytest.mark.parametrize("text", NO_FLOATS)
def test_no_floats(module: ModuleType, text: bytes) -> None:
    assert module.parse_float(text) is None
    assert module.LongDouble.parse(text) is None


@both(NUMBERS, "module")
@pytest.mark.parametrize("text", [b"1e309", b"-1e309", b"1e-400", b"0x1p1024", b"0x1p-2000", b"1e" + b"9" * 5000])
def test_what_a_double_cannot_hold_is_no_float(module: ModuleType, text: bytes) -> None:
    assert module.parse_float(text) is None


@both(NUMBERS, "module")
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (1.0, b"1"),
        (-17.0, b"-17"),
        (3.1, b"3.1000000000000001"),
        (1e15, b"1000000000000000"),
        (1e17, b"1e+17"),
        (1.5e300, b"1.5000000000000001e+300"),
        (5e-324, b"4.9406564584124654e-324"),
        (math.inf, b"inf"),
        (-math.inf, b"-inf"),
        (math.nan, b"nan"),
    ],
)
def test_doubles_in_replies(module: ModuleType, number: float, text: bytes) -> None:
    assert module.format_double(number) == text


# current value, increment, what INCRBYFLOAT makes of them
SUMS = [
    (b"10.50", b"0.1", b"10.6"),
    (b"5.0e3", b"2.0e2", b"5200"),
    (b"3", b"1.000000000000000005", b"4.00000000000000001"),
    (b"1", b"-1", b"0"),
    (b"-0", b"-1e-20", b"0"),
    (b"17179869184", b"1.5", b"17179869185.5"),
    (b"0", b"-1.1", b"-1.1"),
    (b"1e20", b"0", b"100000000000000000000"),
    (b"0.1", b"0.2", b"0.3"),
    (b"3.0e3", b"1.23", b"3001.22999999999999998"),
]


@machine_like_the_twin
@both(NUMBERS, "module")
@pytest.mark.parametrize(("current", "increment", "result"), SUMS)
def test_sums_in_long_double(module: ModuleType, current: bytes, increment: bytes, result: bytes) -> None:
    total = module.LongDouble.parse(current) + module.LongDouble.parse(increment)
    assert total.finite
    assert total.format() == result


@both(NUMBERS, "module")
def test_sums_that_are_not_finite(module: ModuleType) -> None:
    infinite, negative = module.LongDouble.parse(b"inf"), module.LongDouble.parse(b"-inf")
    one, largest = module.LongDouble(1.0), module.LongDouble.parse(b"1.1e4932")
    assert [(infinite + one).format(), (one + negative).format(), (infinite + negative).format()] == [
        b"inf",
        b"-inf",
        b"nan",
    ]
    assert not any((a + b).finite for a, b in ((infinite, one), (infinite, negative), (largest, largest)))
    assert module.LongDouble.parse(b"1e5000") is None
    assert module.LongDouble.parse(b"1e-5000") is None


TEXTS = st.one_of(
    st.text("0123456789.eE+-xXpPinf ", max_size=12).map(str.encode),
    st.integers(-(2**65), 2**65).map(lambda number: b"%d" % number),
    st.floats().map(lambda number: repr(number).encode()),
    st.tuples(st.integers(-(10**25), 10**25), st.integers(0, 10**25), st.integers(-5000, 5000)).map(
        lambda parts: b"%d.%de%d" % parts
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number.hex().encode()),
    st.binary(max_size=5),
)


@settings(max_examples=500)
@given(TEXTS)
def test_twins_read_the_same(text: bytes) -> None:
    compiled, plain = NUMBERS
    assert compiled.parse_integer(text) == plain.parse_integer(text)
    assert repr(compiled.parse_float(text)) == repr(plain.parse_float(text))


@settings(max_examples=200)
@given(st.floats())
def test_twins_write_doubles_the_same(number: float) -> None:
    compiled, plain = NUMBERS
    assert compiled.format_double(number) == plain.format_double(number)


@machine_like_the_twin
@settings(max_examples=300)
@given(TEXTS, TEXTS)
def test_twins_compute_the_same_in_long_double(first: bytes, second: bytes) -> None:
    outcomes = []
    for module in NUMBERS:
        one, two = module.LongDouble.parse(first), module.LongDouble.parse(second)
        outcomes.append([number and number.format() for number in (one, two)])
        if one is not None and two is not None:
            total = one + two
            outcomes[-1] += [total.format(), total.finite]
    assert outcomes[0] == outcomes[1]
