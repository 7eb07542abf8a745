"""What the values of one keyspace share: memory, hash seed, chance, and the limits of the compact encodings.

Big hashes, sets and sorted sets keep their members in the same kind of table as databases keep their keys; the heap of
entries and buckets is therefore one for all. Every such value refers to it, so that it lives as long as they do.

``seed`` is that of the random choices, ``hash_seed`` a constant of the group of servers, so that cursors survive a
failover. The limits have Redis' meaning and defaults; the server sets them from the options of almost the same names.
"""

from __future__ import annotations

DEFAULT_HASH_SEED = 0x9216D5D98979FB1B
_WORD_MASK = (1 << 64) - 1


class Commons:
    """One per keyspace; values are made with it."""

    def __init__(self, seed: int = 1, hash_seed: int = DEFAULT_HASH_SEED) -> None:
        self.random_state = seed & _WORD_MASK or 1
        self.hash_seed = hash_seed
        self.hash_max_entries = 128
        self.hash_max_value = 64
        self.list_max_size = -2
        self.list_compress_depth = 0
        self.set_max_intset_entries = 512
        self.set_max_listpack_entries = 128
        self.set_max_listpack_value = 64
        self.zset_max_entries = 128
        self.zset_max_value = 64

    def random_below(self, limit: int) -> int:
        """A number from 0 up to ``limit`` - 1: xorshift64*, whose bias is beyond measuring for limits in use."""
        state = self.random_state
        state ^= state >> 12
        state ^= state << 25 & _WORD_MASK
        state ^= state >> 27
        self.random_state = state
        return (state * 0x2545F4914F6CDD1D & _WORD_MASK) % limit
