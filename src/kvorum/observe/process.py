"""What the operating system says of this process: memory, processor time, the machine.

Linux tells the most; elsewhere what is not known is 0, and giving memory back does nothing.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

KIBI = 1024


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Seconds spent in the kernel and in the program."""

    system: float
    user: float


def _processor_time(who: int) -> ProcessorTime:
    usage = resource.getrusage(who)
    return ProcessorTime(usage.ru_stime, usage.ru_utime)


def own_time() -> ProcessorTime:
    """All threads of this process."""
    return _processor_time(resource.RUSAGE_SELF)


def children_time() -> ProcessorTime:
    """Children that have ended and were waited for."""
    return _processor_time(resource.RUSAGE_CHILDREN)


def thread_time() -> ProcessorTime | None:
    """The calling thread, which is the one that serves the clients; None where the system does not say."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return None if who is None else _processor_time(who)


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * KIBI
    return pages * os.sysconf("SC_PAGE_SIZE")


def huge_page_bytes() -> int:
    """Memory of this process in transparent huge pages, which cost latency."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_bytes().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * KIBI for line in lines if line.startswith(b"AnonHugePages:")), 0)


def machine_bytes() -> int:
    """RAM of the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0


def system_name() -> str:
    """Kernel, release and architecture, such as ``Linux 6.1.0 x86_64``."""
    name = platform.uname()
    return f"{name.system} {name.release} {name.machine}"


def return_free_memory() -> bool:
    """Ask the allocator to give what it does not need back to the system; False if it cannot be asked."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    trim(ctypes.c_size_t(0))
    return True


def allocator_name() -> str:
    """The C allocator, as INFO calls it."""
    name, version = platform.libc_ver()
    return f"{name}-{version}" if name else "libc"


def allocator_report() -> bytes:
    """The C allocator's own statistics as XML; empty if it keeps none."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_info") or not hasattr(library, "open_memstream"):
        return b""
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    library.open_memstream.restype = ctypes.c_void_p
    stream = library.open_memstream(ctypes.byref(text), ctypes.byref(size))
    if not stream:
        return b""
    library.malloc_info(ctypes.c_int(0), ctypes.c_void_p(stream))
    library.fclose(ctypes.c_void_p(stream))
    report = ctypes.string_at(text, size.value)
    library.free(text)
    return report


def crash(*, segmentation: bool = False) -> NoReturn:
    """End the process at once, as a bug would, without any clean-up."""
    signal.raise_signal(signal.SIGSEGV if segmentation else signal.SIGABRT)
    os._exit(1)
