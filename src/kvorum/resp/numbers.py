"""Numbers as Redis reads and writes them.

Redis is strict with integers (one text for each number) and lenient with floating point (whatever strtod takes, except
NaN and surrounding spaces). INCRBYFLOAT and HINCRBYFLOAT compute in ``long double``, which on x86-64 has a mantissa of
64 bits and shows in their results; ``LongDouble`` is that type. ``numbers.pyx`` is the compiled twin and uses the C
compiler's; here it is exact arithmetic rounded to 64 bits.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

MANTISSA_BITS = 64
"""Of ``LongDouble``; the compiled twin has the machine's."""

FLOAT_TEXT_LIMIT = 5120
"""A text this long or longer is no number, whatever it says."""

_MAX_EXPONENT = 16384
_MIN_EXPONENT = -16445
_SIXTY_FOUR_BITS = range(-(2**63), 2**63)

_INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
_DECIMAL = re.compile(rb"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
_HEXADECIMAL = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?(?:[pP]([+-]?[0-9]+))?")
_INFINITY = re.compile(rb"([+-]?)inf(?:inity)?", re.IGNORECASE)


def parse_integer(text: bytes) -> int | None:
    """A 64-bit integer in its one canonical text: no ``+``, no leading zeros, no spaces, no ``-0``."""
    if len(text) > 20 or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _SIXTY_FOUR_BITS else None


def _parse_infinity(text: bytes) -> float | None:
    match = _INFINITY.fullmatch(text)
    if match is None:
        return None
    return -math.inf if match[1] == b"-" else math.inf


def _parts(text: bytes) -> tuple[bool, int, int, int] | None:
    """A finite number as (negative, mantissa, base 2 or 10, exponent)."""
    match = _HEXADECIMAL.fullmatch(text)
    base, digit_exponent = 2, 4
    if match is None:
        match = _DECIMAL.fullmatch(text)
        base, digit_exponent = 10, 1
    if match is None:
        return None
    fraction = match[3] or b""
    digits = match[2] + fraction
    if not digits:
        return None
    exponent = int(Decimal((match[4] or b"0").decode())) - len(fraction) * digit_exponent
    # int() refuses very long decimal texts; Decimal does not, and takes linear time.
    mantissa = int(digits, 16) if base == 2 else int(Decimal(digits.decode()))
    return match[1] == b"-", mantissa, base, exponent


def parse_float(text: bytes) -> float | None:
    """What strtod reads if it reads all of the text: decimal or hexadecimal, ``inf`` and ``infinity`` in any case.

    None for NaN, for what is too large, and for what is so small that it would become zero.
    """
    if len(text) >= FLOAT_TEXT_LIMIT:
        return None
    infinite = _parse_infinity(text)
    if infinite is not None:
        return infinite
    parts = _parts(text)
    if parts is None:
        return None
    _, mantissa, base, _ = parts
    try:
        number = float.fromhex(text.decode()) if base == 2 else float(text)
    except OverflowError:
        return None
    if math.isinf(number) or (number == 0 and mantissa != 0):
        return None
    return number


def format_double(number: float) -> bytes:
    """The text of a double in replies: 17 significant digits, ``inf``, ``-inf``, ``nan``."""
    if math.isnan(number):
        return b"nan"
    return b"%.17g" % number


def _round(number: Fraction) -> Fraction | float:
    """To the nearest that a long double holds; an infinite float beyond the largest."""
    if number == 0:
        return number
    magnitude = abs(number)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    quantum = Fraction(2) ** max(exponent - MANTISSA_BITS + 1, _MIN_EXPONENT)
    rounded = round(number / quantum) * quantum
    if abs(rounded) >= Fraction(2) ** _MAX_EXPONENT:
        return math.inf if rounded > 0 else -math.inf
    return rounded


class LongDouble:
    """A number in C's ``long double``."""

    __slots__ = ("_number",)

    def __init__(self, number: float = 0.0) -> None:
        self._number: Fraction | float = number if not math.isfinite(number) else Fraction(number)

    @staticmethod
    def parse(text: bytes) -> LongDouble | None:
        """The same texts as ``parse_float``, with the range and precision of a long double."""
        if len(text) >= FLOAT_TEXT_LIMIT:
            return None
        infinite = _parse_infinity(text)
        if infinite is not None:
            return LongDouble(infinite)
        parts = _parts(text)
        if parts is None:
            return None
        negative, mantissa, base, exponent = parts
        if mantissa == 0:
            return LongDouble(0.0)
        # Far outside of the range the power itself would be too large to compute.
        if abs(exponent) > 40 * FLOAT_TEXT_LIMIT:
            return None
        rounded = _round(mantissa * Fraction(base) ** exponent)
        if isinstance(rounded, float) or rounded == 0:
            return None
        result = LongDouble()
        result._number = -rounded if negative else rounded
        return result

    @property
    def finite(self) -> bool:
        return isinstance(self._number, Fraction)

    def __add__(self, other: LongDouble) -> LongDouble:
        result = LongDouble()
        if isinstance(self._number, Fraction) and isinstance(other._number, Fraction):
            result._number = _round(self._number + other._number)
        else:
            result._number = _as_float(self._number) + _as_float(other._number)
        return result

    def format(self) -> bytes:
        """As INCRBYFLOAT shows it: rounded to 17 decimals, without trailing zeros and without an exponent."""
        if not isinstance(self._number, Fraction):
            return format_double(self._number)
        digits = str(Decimal(round(abs(self._number) * 10**17))).encode().rjust(18, b"0")
        text = (digits[:-17] + b"." + digits[-17:]).rstrip(b"0").rstrip(b".")
        return b"-" + text if self._number < 0 and text != b"0" else text


def _as_float(number: Fraction | float) -> float:
    """An infinite or NaN number as it is, any finite one as zero: enough for adding something infinite to it."""
    return number if isinstance(number, float) else 0.0
