"""The thread that makes what was written safe: see ``flusher.py``.

The thread needs the interpreter only for disks of Python. Its state is guarded by a mutex that nobody holds during a system
call, so the event loop never waits for it longer than for a few instructions.
"""

import sys
import threading

from libc.errno cimport errno as c_errno
from libc.stdint cimport uint64_t
from posix.unistd cimport fdatasync, write

from kvorum.journal.disk import DiskError, RealDisk, disk_error


cdef enum:
    QUICK_NS = 1000 * 1000      # an fsync that is faster costs less if the event loop does it itself
    PRUDENT_NS = 10 * 1000 * 1000
    PRUDENT_COUNT = 1000        # after one that was slower than that, so many are left to the thread


cdef extern from *:
    """
    #include <time.h>
    static long long kvorum_clock_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
    }
    """
    long long clock_ns "kvorum_clock_ns"() noexcept nogil


cdef class Flusher:
    def __cinit__(self):
        pthread_mutex_init(&self.mutex, NULL)
        pthread_cond_init(&self.changed, NULL)

    def __init__(self, object disk, object on_safe=None, int wake_fd=-1, long long position=0):
        self.disk = disk
        self.on_safe = on_safe
        self.wake_fd = wake_fd
        self.safe = self.noted_position = position
        self.direct = type(disk) is RealDisk and sys.platform == "linux"
        self.descriptor = -1
        self.mean_ns = 2 * QUICK_NS

    def __dealloc__(self):
        pthread_cond_destroy(&self.changed)
        pthread_mutex_destroy(&self.mutex)

    def begin(self, object file, long long index, long long size=0, long long position=-1):
        with nogil:
            pthread_mutex_lock(&self.mutex)
            self.wanted = False
            while self.busy:            # with a descriptor that is about to be closed, and may then be another file's
                pthread_cond_wait(&self.changed, &self.mutex)
            pthread_mutex_unlock(&self.mutex)
        pthread_mutex_lock(&self.mutex)
        self.file = file
        self.descriptor = file.descriptor
        self.noted_index, self.noted_size = index, size
        if position >= 0:
            self.safe = self.noted_position = position
        self.durable_index, self.durable_size = index, size
        pthread_mutex_unlock(&self.mutex)

    def note(self, long long index, long long size, long long position):
        pthread_mutex_lock(&self.mutex)
        self.noted_index, self.noted_size, self.noted_position = index, size, position
        pthread_mutex_unlock(&self.mutex)

    def skip(self, long long position):
        pthread_mutex_lock(&self.mutex)
        if self.safe == self.noted_position:
            self.safe = position
        self.noted_position = position
        pthread_mutex_unlock(&self.mutex)

    def request(self):
        if self.failed:
            return                          # a second fsync may well succeed, and says nothing of what the first one lost
        if self.thread is None:
            self.thread = threading.Thread(target=self.run, name="kvorum-fsync", daemon=True)
            self.thread.start()
        pthread_mutex_lock(&self.mutex)
        self.wanted = True
        pthread_cond_broadcast(&self.changed)
        pthread_mutex_unlock(&self.mutex)

    def wait(self, long long position):
        if self.safe >= position or self.failed:
            return
        self.request()
        with nogil:
            pthread_mutex_lock(&self.mutex)
            while self.safe < position and not self.failed:
                pthread_cond_wait(&self.changed, &self.mutex)
            pthread_mutex_unlock(&self.mutex)

    def close(self):
        pthread_mutex_lock(&self.mutex)
        self.closing = True
        pthread_cond_broadcast(&self.changed)
        pthread_mutex_unlock(&self.mutex)
        if self.thread is not None:
            self.thread.join()
            self.thread = None

    def run(self):
        """The thread; ends when the flusher is closed or an fsync has failed."""
        with nogil:
            self.work()

    cdef void work(self) noexcept nogil:
        cdef long long index
        cdef long long size
        cdef long long position
        cdef int descriptor
        cdef bint good
        cdef uint64_t one = 1
        while True:
            pthread_mutex_lock(&self.mutex)
            while not self.wanted and not self.closing:
                pthread_cond_wait(&self.changed, &self.mutex)
            if not self.wanted or self.failed:
                pthread_mutex_unlock(&self.mutex)
                return
            self.wanted = False
            self.busy = True
            index, size, position = self.noted_index, self.noted_size, self.noted_position
            descriptor = self.descriptor
            pthread_mutex_unlock(&self.mutex)
            good = self.synchronize(descriptor)
            self.settle(index, size, position, descriptor, good)
            if self.wake_fd >= 0:
                write(self.wake_fd, &one, 8)
            else:
                self.tell()
            if not good:
                return

    cpdef bint is_quick(self) noexcept:
        return self.direct and not self.busy and not self.wanted and not self.failed and self.mean_ns < QUICK_NS

    cpdef int flush_now(self) except -1:
        cdef long long index = self.noted_index
        cdef long long size = self.noted_size
        cdef long long position = self.noted_position
        with nogil:
            self.settle(index, size, position, self.descriptor, self.synchronize(self.descriptor))

    cdef void settle(self, long long index, long long size, long long position, int descriptor, bint good) noexcept nogil:
        """An fsync has ended."""
        pthread_mutex_lock(&self.mutex)
        self.busy = False
        self.count += 1
        if good:
            # What was only skipped since then is safe with it.
            self.safe = self.noted_position if index == self.noted_index else position
            if descriptor == self.descriptor:
                self.durable_index, self.durable_size = index, size
        else:
            self.failed = True
        pthread_cond_broadcast(&self.changed)
        pthread_mutex_unlock(&self.mutex)

    cdef bint synchronize(self, int descriptor) noexcept nogil:
        cdef int number
        cdef long long began_ns
        if self.direct:
            began_ns = clock_ns()
            if fdatasync(descriptor) == 0:
                self.note_time(clock_ns() - began_ns)
                return True
            number = c_errno
            with gil:
                self.error = disk_error("fsync", self.file.path, number)
            return False
        with gil:
            try:
                self.disk.fdatasync(self.file)
            except DiskError as error:
                self.error = error
                return False
            except BaseException as error:
                self.error = DiskError("fsync", self.file.path, 0, repr(error))
                return False
        return True

    cdef void note_time(self, long long taken_ns) noexcept nogil:
        """How long they take: a mean of the last few, which a slow one keeps above the limit for a while."""
        if taken_ns > PRUDENT_NS:
            self.prudent = PRUDENT_COUNT
        if self.prudent > 0:
            self.prudent -= 1
            self.mean_ns = 2 * QUICK_NS
        else:
            self.mean_ns += (taken_ns - self.mean_ns) // 8

    cdef void tell(self) noexcept nogil:
        with gil:
            if self.on_safe is not None:
                self.on_safe()
