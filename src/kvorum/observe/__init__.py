"""What a running server tells of itself: INFO, slow log, latency, statistics, logging."""
