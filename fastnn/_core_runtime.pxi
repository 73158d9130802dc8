# Version, instruction sets, threads.


cdef object text(const char *s):
    return None if s == NULL else s.decode(errors="replace")


def get_config():
    """What this build is and what it runs on, as a dict; `show_config` prints it.

    Returns
    -------
    dict
        version, compiler; isa_requested (FASTNN_ISA or None), isa (the level kernels run at),
        isa_built, isa_available (this CPU's); num_threads, num_threads_source.
    """
    built = []
    while fnn_isa_built(<int>len(built)) != NULL:
        built.append(text(fnn_isa_built(<int>len(built))))
    return {
        "version": __version__,
        "compiler": text(fnn_compiler()),
        "isa_requested": text(fnn_isa_requested()),
        "isa": text(fnn_isa()),
        "isa_built": tuple(built),
        "isa_available": tuple([isa for isa in built if fnn_isa_available(isa.encode())]),
        "num_threads": fnn_num_threads(),
        "num_threads_source": text(fnn_num_threads_source()),
    }


def get_num_threads():
    """Number of threads that a kernel called from this thread may use.

    Returns
    -------
    int
    """
    return fnn_num_threads()


def set_num_threads(n):
    """Set how many threads kernels may use, for the whole process, from the next call on.

    The number at start is the smaller of the CPU affinity and the control group's quota, or
    FASTNN_NUM_THREADS. A kernel uses as many as its work pays for. Results do not depend on it.

    Parameters
    ----------
    n : int
        From 1 to 256.

    Raises
    ------
    TypeError, ValueError
        n is not an integer, or out of range.
    """
    fnn_set_num_threads(parse_thread_count(n, b"set_num_threads"))


def get_thread_limit():
    """The calling thread's own number of threads; None where it has none. See `threads`."""
    return fnn_thread_limit() or None


def set_thread_limit(n):
    """Set the calling thread's own number of threads; None goes back to the process's."""
    fnn_set_thread_limit(0 if n is None else parse_thread_count(n, b"threads"))


cdef int parse_thread_count(object n, const char *func) except -1:
    if isinstance(n, bool):
        raise TypeError(f"{func.decode()}: n must be an integer, not bool")
    cdef int64_t count = parse_integer(n, 1, func, b"n")
    if count > FNN_MAX_THREADS:
        raise ValueError(f"{func.decode()}: n must be from 1 to {FNN_MAX_THREADS}, not {count}")
    return <int>count


__version__ = text(fnn_version())

cdef const char *error = fnn_initialize()
if error != NULL:
    raise ImportError(f"fastnn: {text(error)}")
