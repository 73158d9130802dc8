# The gradient of a bias, and what adds to a result that exists.


def bias_backward(dy, *, bint accumulate=False, out=None):
    """Gradient of a bias: the sum of dy over all axes but the last.

    The rows are cut in chunks by their number alone; each chunk is summed in ascending order, then
    the chunks are, so the result does not depend on the number of threads.

    Parameters
    ----------
    dy : ndarray, (..., O)
        float32 or float64. Copied once where it is not contiguous.
    accumulate : bool, default False
        Add to out instead of overwriting it.
    out : ndarray, (O,), optional

    Returns
    -------
    ndarray, (O,)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        dy has no axis, accumulate without out, or out overlaps dy.
    """
    cdef Array vdy, vout
    cdef fnn_bias_backward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef int i
    cdef object dy_ = load(&vdy, dy, b"bias_backward", b"dy")
    if vdy.ndim < 1:
        raise ValueError("bias_backward: dy must have at least 1 dimension")
    check_accumulate(accumulate, out, b"bias_backward")
    args.O = vdy.shape[vdy.ndim - 1]
    args.P = 1
    for i in range(vdy.ndim - 1):
        args.P *= vdy.shape[i]
    cdef object result = output(&vout, out, (args.O,), &vdy, b"bias_backward")
    if out is not None:
        check_overlap(&vout, out, &vdy, dy_, False, b"bias_backward", b"dy")
    if vout.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"bias_backward", b"dy")
    cdef object computed = accumulator(&vout, result, accumulate, b"bias_backward")
    args.dy = vdy.data
    args.db = vout.data
    args.accumulate = accumulate
    dtype = vdy.dtype
    with nogil:
        status = fnn_bias_backward(dtype, &args)
    check(b"bias_backward", status)
    return deliver(computed, result)


cdef int check_accumulate(bint accumulate, object out, const char *func) except -1:
    if accumulate and out is None:
        raise ValueError(f"{func.decode()}: accumulate needs out")
    return 0


cdef object accumulator(Array *view, object out, bint accumulate, const char *func):
    """As `direct`, the stand-in holding what out held."""
    cdef object computed = direct(view, out, func)
    if accumulate:
        deliver(out, computed)
    return computed
