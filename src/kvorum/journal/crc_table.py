"""What the plain twins of the checksums look up: the remainder of each byte."""

from __future__ import annotations


def reflected_table(polynomial: int) -> tuple[int, ...]:
    """The remainder of every byte by a polynomial whose bits are reversed."""
    remainders = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ polynomial if remainder & 1 else remainder >> 1
        remainders.append(remainder)
    return tuple(remainders)
