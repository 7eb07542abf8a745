"""The keys and values: databases, slots, expiry and eviction. Knows no clock, no socket and no chance of its own."""
