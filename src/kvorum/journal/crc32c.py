"""The checksum of journals: CRC-32C, the polynomial of Castagnoli, as iSCSI, ext4 and Raft implementations use it.

Reflected, begins with all ones, and all bits of the result are turned over; ``123456789`` has 0xe3069283. The checksum of
two pieces is that of the second begun with that of the first. It finds every change of up to three bits in the
lengths that occur here, and every burst of up to 32.

The compiled twin takes eight bytes per step, by the processor's own instruction where there is one. In C it is
``crc32c_of(crc, data, size)``, which needs no interpreter lock. Rejected: the packages google-crc32c and crc32c, because
the journal needs a C call over memory that is no Python object.
"""

from __future__ import annotations

from kvorum.journal.crc_table import reflected_table

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF

# Whether the processor's instruction is used.
HARDWARE = False
_TABLE = reflected_table(_POLYNOMIAL)


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The checksum of ``data``; ``crc`` is that of what came before."""
    crc ^= _ONES
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ _ONES


def crc32c_by_tables(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The same without the processor's instruction, for tests."""
    return crc32c(data, crc)


def crc32c_range(data: memoryview, start: int, end: int, crc: int) -> int:
    """The checksum of the bytes from ``start`` to before ``end``; raises IndexError unless all of them exist."""
    if not 0 <= start <= end <= len(data):
        raise IndexError(f"no bytes {start} to {end} among {len(data)}")
    return crc32c(data[start:end], crc)
