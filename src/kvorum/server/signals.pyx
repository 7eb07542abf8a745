"""The compiled form: see ``signals.py``."""

# Signals belong to the process, and so does what is kept here: Python's own handlers, which go on to tell the loop.
cdef extern from *:
    """
    #include <signal.h>
    #include <unistd.h>

    static volatile sig_atomic_t kvorum_told = 0;
    static void (*kvorum_on_terminate)(int) = NULL;
    static void (*kvorum_on_interrupt)(int) = NULL;

    /* A handler: nothing here may allocate, lock or touch Python. */
    static void kvorum_count(int number) {
        static const char message[] = "kvorum: told to end a second time, ending now\\n";
        if (kvorum_told) {
            ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
            (void)ignored;
            _exit(1);
        }
        kvorum_told = 1;
        (number == SIGTERM ? kvorum_on_terminate : kvorum_on_interrupt)(number);
    }

    static void kvorum_stand_in_front(void) {
        void (*found)(int);
        kvorum_told = 0;
        found = signal(SIGTERM, kvorum_count);
        if (found != kvorum_count) kvorum_on_terminate = found;
        found = signal(SIGINT, kvorum_count);
        if (found != kvorum_count) kvorum_on_interrupt = found;
    }
    """
    void kvorum_stand_in_front()


def end_at_the_second():
    kvorum_stand_in_front()
