# Softmax, its logarithm and the logarithm of its sum, over one axis.

# Elements of a call so short, a few us, that others may wait for the interpreter.
DEF HOLD_SIZE = 4096


cdef int rows_along(Array *view, object axis, fnn_softmax_args *args, const char *func,
                    const char *name) except -1:
    """Set N, C and inner of `args`: the axes before `axis` as one, it, the axes behind as one.

    Return the axis, from 0.
    """
    cdef int i, along
    if view.ndim < 1:
        raise ValueError(f"{func.decode()}: {name.decode()} must have at least 1 dimension")
    if type(axis) is int and axis == -1:
        along = view.ndim - 1
    else:
        try:
            number = index(axis)
        except TypeError:
            raise TypeError(f"{func.decode()}: axis must be an integer, "
                            f"not {type(axis).__name__}") from None
        if not -view.ndim <= number < view.ndim:
            raise ValueError(f"{func.decode()}: axis {number} is out of range for {name.decode()} "
                             f"of shape {shape_of(view)}")
        along = number % view.ndim
    args.N = args.inner = 1
    args.C = view.shape[along]
    for i in range(view.ndim):
        if i < along:
            args.N *= view.shape[i]
        elif i > along:
            args.inner *= view.shape[i]
    return along


cdef object reduced_shape(Array *view, int axis, bint keepdims):
    shape = shape_of(view)
    return shape[:axis] + ((1,) if keepdims else ()) + shape[axis + 1:]


cdef int run_softmax(const fnn_softmax_args *args, fnn_dtype dtype, bint backward,
                     const char *func) except -1:
    cdef fnn_status status
    if args.N * args.C * args.inner <= HOLD_SIZE:
        status = (fnn_softmax_backward(dtype, args) if backward
                  else fnn_softmax_forward(dtype, args))
    else:
        with nogil:
            status = (fnn_softmax_backward(dtype, args) if backward
                      else fnn_softmax_forward(dtype, args))
    return check(func, status)


cdef object softmax_forward(const char *func, fnn_softmax kind, object x, object axis,
                            bint keepdims, object out):
    cdef Array vx, vy
    cdef fnn_softmax_args args
    blank(&args, sizeof(args))
    cdef object x_ = load(&vx, x, func, b"x")
    cdef int along = rows_along(&vx, axis, &args, func, b"x")
    cdef bint reduces = kind == FNN_LOGSUMEXP
    if reduces and args.C == 0:
        raise ValueError(f"{func.decode()}: x of shape {shape_of(&vx)} is empty along axis {along}")
    cdef object result = output(
        &vy, out, reduced_shape(&vx, along, keepdims) if reduces else shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vy, out, &vx, x_, not reduces, func, b"x")
    if vy.size == 0:
        return result
    x_ = contiguous(&vx, x_, func, b"x")
    cdef object computed = direct(&vy, result, func)
    args.kind = kind
    args.x = vx.data
    args.y = NULL
    args.dy = NULL
    args.out = vy.data
    run_softmax(&args, vx.dtype, False, func)
    return deliver(computed, result)


cdef object softmax_gradient(const char *func, fnn_softmax kind, object dy, object y, object axis,
                             object out):
    """Of softmax and log_softmax."""
    cdef Array vdy, vy, vdx
    cdef fnn_softmax_args args
    blank(&args, sizeof(args))
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object y_ = load(&vy, y, func, b"y")
    rows_along(&vdy, axis, &args, func, b"dy")
    check_dtype(&vy, b"y", &vdy, b"dy", func)
    check_shape(&vy, shape_of(&vdy), func, b"y")
    cdef object result = output(&vdx, out, shape_of(&vdy), &vdy, func)
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, True, func, b"dy")
        check_overlap(&vdx, out, &vy, y_, True, func, b"y")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    y_ = contiguous(&vy, y_, func, b"y")
    cdef object computed = direct(&vdx, result, func)
    args.kind = kind
    args.x = NULL
    args.y = vy.data
    args.dy = vdy.data
    args.out = vdx.data
    run_softmax(&args, vdy.dtype, True, func)
    return deliver(computed, result)


def softmax(x, *, axis=-1, out=None):
    """Softmax over one axis: ``exp(x - max(x)) / sum(exp(x - max(x)))``.

    Sums over the last axis are chains in ascending order up to 64 elements, and 16 interleaved ones
    beyond; over another axis they are chains always.

    Parameters
    ----------
    x : ndarray, at least 1 axis
        float32 or float64. Copied once where it is not contiguous.
    axis : int, default -1
        Over which the results sum to 1.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, same shape
        A NaN makes its row NaN, as do infinity and a row of minus infinities.

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64, axis no integer.
    ValueError
        x has no such axis, or out overlaps x in part.
    """
    return softmax_forward(b"softmax", FNN_SOFTMAX, x, axis, False, out)


def softmax_backward(dy, y, *, axis=-1, out=None):
    """Gradient of `softmax` with respect to x: ``y * (dy - sum(dy * y))`` over the axis.

    Parameters
    ----------
    dy, y : ndarray, one shape
        Gradient with respect to the result, and the result. float32 or float64.
    axis : int, default -1
        That of `softmax`.
    out : ndarray, same shape, optional
        May be dy or y itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64; axis no integer.
    ValueError
        Shapes differ, there is no such axis, or out overlaps an input in part.
    """
    return softmax_gradient(b"softmax_backward", FNN_SOFTMAX, dy, y, axis, out)


def log_softmax(x, *, axis=-1, out=None):
    """Logarithm of `softmax`: ``x - max(x) - log(sum(exp(x - max(x))))`` over one axis.

    Parameters
    ----------
    x : ndarray, at least 1 axis
        float32 or float64. Copied once where it is not contiguous.
    axis : int, default -1
        Over which the exponentials of the results sum to 1.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, same shape
        A NaN makes its row NaN, as do infinity and a row of minus infinities.

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64, axis no integer.
    ValueError
        x has no such axis, or out overlaps x in part.
    """
    return softmax_forward(b"log_softmax", FNN_LOG_SOFTMAX, x, axis, False, out)


def log_softmax_backward(dy, y, *, axis=-1, out=None):
    """Gradient of `log_softmax` with respect to x: ``dy - exp(y) * sum(dy)`` over the axis.

    Parameters
    ----------
    dy, y : ndarray, one shape
        Gradient with respect to the result, and the result. float32 or float64.
    axis : int, default -1
        That of `log_softmax`.
    out : ndarray, same shape, optional
        May be dy or y itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64; axis no integer.
    ValueError
        Shapes differ, there is no such axis, or out overlaps an input in part.
    """
    return softmax_gradient(b"log_softmax_backward", FNN_LOG_SOFTMAX, dy, y, axis, out)


def logsumexp(x, *, axis=-1, keepdims=False, out=None):
    """Logarithm of a sum of exponentials: ``max(x) + log(sum(exp(x - max(x))))`` over one axis.

    Parameters
    ----------
    x : ndarray, at least 1 axis
        float32 or float64. Copied once where it is not contiguous.
    axis : int, default -1
        Over which to sum, of at least 1 element.
    keepdims : bool, default False
        Whether the result keeps the axis, with 1 element.
    out : ndarray, of the result's shape, optional

    Returns
    -------
    ndarray, shape of x without the axis
        NaN where there is one, else infinity where there is one; minus infinity of nothing else.

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64, axis no integer.
    ValueError
        x has no such axis, or nothing along it, or out overlaps x.
    """
    return softmax_forward(b"logsumexp", FNN_LOGSUMEXP, x, axis, keepdims, out)


def logsumexp_backward(dy, x, y, *, axis=-1, keepdims=False, out=None):
    """Gradient of `logsumexp` with respect to x: ``dy * exp(x - y)``.

    Parameters
    ----------
    dy : ndarray, shape of y
        Gradient with respect to the result.
    x, y : ndarray
        The argument of `logsumexp`, and its result. float32 or float64.
    axis : int, default -1
        That of `logsumexp`.
    keepdims : bool, default False
        That of `logsumexp`.
    out : ndarray, shape of x, optional
        May be x itself.

    Returns
    -------
    ndarray, shape of x

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64; axis no integer.
    ValueError
        Shapes do not match, there is no such axis, or out overlaps an input in part.
    """
    cdef Array vdy, vx, vy, vdx
    cdef fnn_softmax_args args
    blank(&args, sizeof(args))
    cdef const char *func = b"logsumexp_backward"
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object x_ = load(&vx, x, func, b"x")
    cdef object y_ = load(&vy, y, func, b"y")
    cdef object shape = reduced_shape(&vx, rows_along(&vx, axis, &args, func, b"x"), keepdims)
    check_dtype(&vdy, b"dy", &vx, b"x", func)
    check_dtype(&vy, b"y", &vx, b"x", func)
    check_shape(&vdy, shape, func, b"dy")
    check_shape(&vy, shape, func, b"y")
    cdef object result = output(&vdx, out, shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vdx, out, &vx, x_, True, func, b"x")
        check_overlap(&vdx, out, &vdy, dy_, False, func, b"dy")
        check_overlap(&vdx, out, &vy, y_, False, func, b"y")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    x_ = contiguous(&vx, x_, func, b"x")
    y_ = contiguous(&vy, y_, func, b"y")
    cdef object computed = direct(&vdx, result, func)
    args.kind = FNN_LOGSUMEXP
    args.x = vx.data
    args.y = vy.data
    args.dy = vdy.data
    args.out = vdx.data
    run_softmax(&args, vx.dtype, True, func)
    return deliver(computed, result)
