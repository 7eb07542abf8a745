"""The two hashes of a key.

``key_slot`` decides in which of the 16,384 slots a key lives. It is part of the cluster protocol: CRC16 (XMODEM) of the
key, or of its hash tag, which is what stands between the first ``{`` and the next ``}`` if that is not empty.

``key_hash`` spreads the keys of one slot over the slot's buckets. It is 64 bits, seeded, and the same on every node
of a group (the seed is a constant of the group), so that SCAN cursors survive a failover; it is not part of any
protocol.

The compiled module gives the same numbers. Rejected: Python's own hash (its seed differs between processes) and SipHash
(several times slower for keys of 16 bytes; the seed is secret, which is what keeps collisions from being constructed).
"""

from __future__ import annotations

SLOTS = 16384

_WORD_MASK = (1 << 64) - 1
# Odd constants without structure: the fractional parts of the square roots of 2, 3, 5 and 7.
_MIX_A = 0x6A09E667F3BCC909
_MIX_B = 0xBB67AE8584CAA73B
_MIX_C = 0x3C6EF372FE94F82B
_MIX_D = 0xA54FF53A5F1D36F1


def _crc_table() -> tuple[int, ...]:
    remainders = []
    for byte in range(256):
        remainder = byte << 8
        for _ in range(8):
            remainder = (remainder << 1) ^ 0x1021 if remainder & 0x8000 else remainder << 1
        remainders.append(remainder & 0xFFFF)
    return tuple(remainders)


_CRC = _crc_table()


def key_slot(key: bytes) -> int:
    """The slot of a key, 0 to 16,383."""
    opening = key.find(b"{")
    if opening >= 0:
        closing = key.find(b"}", opening + 1)
        if closing > opening + 1:
            key = key[opening + 1 : closing]
    remainder = 0
    for byte in key:
        remainder = ((remainder << 8) & 0xFFFF) ^ _CRC[(remainder >> 8) ^ byte]
    return remainder % SLOTS


def key_hash(key: bytes, seed: int) -> int:
    """The 64-bit hash of a whole key, hash tag or not."""
    state = seed ^ _MIX_A
    # The seed is in both factors: otherwise a key could contain the word that makes a product zero.
    salt = _MIX_B ^ (seed << 32 & _WORD_MASK | seed >> 32)
    size = len(key)
    position = 0
    while size - position > 16:
        state = _fold(_word(key, position) ^ salt, _word(key, position + 8) ^ state)
        position += 16
    if size > 16:
        first, last = _word(key, size - 16), _word(key, size - 8)
    elif size >= 8:
        first, last = _word(key, 0), _word(key, size - 8)
    elif size >= 4:
        first, last = int.from_bytes(key[:4], "little"), int.from_bytes(key[-4:], "little")
    elif size > 0:
        first, last = key[0] << 16 | key[size >> 1] << 8 | key[-1], 0
    else:
        first, last = 0, 0
    return _fold(_fold(first ^ salt, last ^ state) ^ _MIX_C, size ^ _MIX_D)


def _word(key: bytes, position: int) -> int:
    return int.from_bytes(key[position : position + 8], "little")


def _fold(left: int, right: int) -> int:
    product = left * right
    return (product & _WORD_MASK) ^ (product >> 64)
