"""C side of the flusher; ``flusher.py`` documents the Python side."""

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    int pthread_cond_init(pthread_cond_t* condition, void* attributes)
    int pthread_cond_destroy(pthread_cond_t* condition)
    int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
    int pthread_cond_broadcast(pthread_cond_t* condition)


cdef class Flusher:
    cdef pthread_mutex_t mutex
    cdef pthread_cond_t changed
    cdef int descriptor
    cdef int wake_fd
    cdef bint direct                    # the system's fdatasync, without the interpreter
    cdef bint wanted
    cdef bint closing
    cdef bint failed
    cdef readonly bint busy
    cdef readonly long long count
    cdef readonly long long safe
    cdef readonly long long durable_index
    cdef readonly long long durable_size
    cdef long long noted_index
    cdef long long noted_size
    cdef long long noted_position
    cdef readonly object error
    cdef object disk
    cdef object on_safe
    cdef object file
    cdef object thread
    cdef long long mean_ns              # of an fsync
    cdef int prudent                    # so many more are left to the thread

    cpdef bint is_quick(self) noexcept
    cpdef int flush_now(self) except -1
    cdef void settle(self, long long index, long long size, long long position, int descriptor, bint good) noexcept nogil
    cdef void work(self) noexcept nogil
    cdef bint synchronize(self, int descriptor) noexcept nogil
    cdef void note_time(self, long long taken_ns) noexcept nogil
    cdef void tell(self) noexcept nogil
