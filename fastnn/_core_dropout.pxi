# Dropout.

cdef uint64_t parse_word(object value, int bits, const char *func, const char *name) except? 0:
    """An integer of that many bits, without sign."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{func.decode()}: {name.decode()} must be an integer, "
                        f"not {type(value).__name__}") from None
    if number < 0 or number.bit_length() > bits:
        raise ValueError(f"{func.decode()}: {name.decode()} must be from 0 to 2**{bits} - 1, "
                         f"not {number}")
    return number


cdef object np_uint64 = np.dtype(np.uint64)


cdef object drop(const char *func, const char *name, object x, object p, object seed, object offset,
                 object out):
    cdef Array vx, vout
    cdef fnn_dropout_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, func, name)
    cdef double probability = parse_number(p, 0, 1, func, b"p")
    if probability == 1:
        raise ValueError(f"{func.decode()}: p must be below 1")
    args.seed_at = args.offset_at = NULL
    if type(seed) is Symbol or isinstance(seed, np_ndarray):
        args.seed_at = <const uint64_t *>load_counter(seed, np_uint64, func, b"seed")
    else:
        args.seed = parse_word(seed, 64, func, b"seed")
    if type(offset) is Symbol or isinstance(offset, np_ndarray):
        args.offset_at = <const uint64_t *>load_counter(offset, np_uint64, func, b"offset")
    else:
        args.offset = parse_word(offset, 63, func, b"offset")
    args.threshold = <uint32_t>(probability * 4294967296.0)
    args.scale = 1 / (1 - probability)
    cdef object result = output(&vout, out, shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vout, out, &vx, x_, True, func, name)
    x_ = contiguous(&vx, x_, func, name)
    cdef object computed = direct(&vout, result, func)
    args.size = vx.size
    args.x = vx.data
    args.out = vout.data
    dtype = vx.dtype
    with nogil:
        status = fnn_dropout(dtype, &args)
    check(func, status)
    return deliver(computed, result)


def dropout(x, p=0.5, *, seed, offset=0, out=None):
    """Make elements 0 with probability p, and multiply the others by 1 / (1 - p).

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, Dropout, JMLR 15 (2014), section
    10, with the scale at training time. Element i, counted in C order, is dropped where
    ``r(offset + i) < floor(p * 2**32)``; r(j) is word j % 4 of Philox 4x32-10 (Salmon, Moraes, Dror
    and Shaw, SC'11) of counter j // 4 and key seed. So the same elements are dropped whatever the
    number of threads, the instruction set and the dtype, and the parts of an array at their
    offsets equal the whole.

    Parameters
    ----------
    x : ndarray, any shape
        float32 or float64. Copied once where it is not contiguous. What is dropped becomes 0
        though it be NaN.
    p : float, default 0.5
        In [0, 1).
    seed : int
        Key of the generator, from 0 to 2**64 - 1.
    offset : int, default 0
        Number of the first element, from 0 to 2**63 - 1. The next call starts at offset + x.size.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64, or seed or offset is no integer.
    ValueError
        p, seed or offset is out of range, or out overlaps x in part.
    """
    return drop(b"dropout", b"x", x, p, seed, offset, out)


def dropout_backward(dy, p=0.5, *, seed, offset=0, out=None):
    """Gradient of `dropout` with respect to x: dy where x was kept, times 1 / (1 - p), else 0.

    What was dropped is drawn again: no mask is kept.

    Parameters
    ----------
    dy : ndarray, any shape
        Gradient with respect to the result. float32 or float64. Copied once where it is not
        contiguous.
    p, seed, offset
        As in the forward pass.
    out : ndarray, same shape, optional
        May be dy itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64, or seed or offset is no integer.
    ValueError
        p, seed or offset is out of range, or out overlaps dy in part.
    """
    return drop(b"dropout_backward", b"dy", dy, p, seed, offset, out)
