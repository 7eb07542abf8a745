"""File descriptors: the process' limit is raised to what ``maxclients`` needs, as Redis does."""

from __future__ import annotations

import resource

RESERVED = 32
"""Descriptors kept for everything that is not a client: listeners, log files, the loop itself."""


def allow_clients(wanted: int) -> int:
    """Raise RLIMIT_NOFILE so that ``wanted`` clients fit; returns how many fit (at most ``wanted``)."""
    needed = wanted + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    for hard_limit in (max(hard, needed) if hard != resource.RLIM_INFINITY else hard, hard):
        target = needed if hard_limit == resource.RLIM_INFINITY else min(needed, hard_limit)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard_limit))
        except (ValueError, OSError):
            continue
        soft = target
        break
    return min(wanted, max(1, soft - RESERVED))
