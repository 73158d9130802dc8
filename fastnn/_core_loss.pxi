# Softmax, losses, and the optimizer's step.


cdef int rows_and_columns(Array *view, int64_t *N, int64_t *C, const char *func,
                          const char *name) except -1:
    """All axes but the last as one."""
    cdef int i
    if view.ndim < 1:
        raise ValueError(f"{func.decode()}: {name.decode()} must have at least 1 dimension")
    C[0] = view.shape[view.ndim - 1]
    N[0] = 1
    for i in range(view.ndim - 1):
        N[0] *= view.shape[i]
    return 0


def softmax(x, *, out=None):
    """Softmax over the last axis: ``exp(x - max(x)) / sum(exp(x - max(x)))``.

    Parameters
    ----------
    x : ndarray, (..., C)
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, (..., C)
        Rows sum to 1. A NaN makes its row NaN.

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        x has no axis, or out overlaps x in part.
    """
    cdef Array vx, vy
    cdef fnn_softmax_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, b"softmax", b"x")
    rows_and_columns(&vx, &args.N, &args.C, b"softmax", b"x")
    cdef object result = output(&vy, out, shape_of(&vx), &vx, b"softmax")
    if out is not None:
        check_overlap(&vy, out, &vx, x_, True, b"softmax", b"x")
    if vy.size == 0:
        return result
    x_ = contiguous(&vx, x_, b"softmax", b"x")
    cdef object computed = direct(&vy, result, b"softmax")
    args.x = vx.data
    args.dy = NULL
    args.out = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_softmax_forward(dtype, &args)
    check(b"softmax", status)
    return deliver(computed, result)


def softmax_backward(dy, y, *, out=None):
    """Gradient of `softmax` with respect to x: ``y * (dy - sum(dy * y))`` over the last axis.

    Parameters
    ----------
    dy, y : ndarray, (..., C)
        Gradient with respect to the result, and the result. float32 or float64.
    out : ndarray, same shape, optional
        May be dy or y itself.

    Returns
    -------
    ndarray, (..., C)

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes differ, or out overlaps an input in part.
    """
    cdef Array vdy, vy, vdx
    cdef fnn_softmax_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, b"softmax_backward", b"dy")
    cdef object y_ = load(&vy, y, b"softmax_backward", b"y")
    rows_and_columns(&vdy, &args.N, &args.C, b"softmax_backward", b"dy")
    check_dtype(&vy, b"y", &vdy, b"dy", b"softmax_backward")
    check_shape(&vy, shape_of(&vdy), b"softmax_backward", b"y")
    cdef object result = output(&vdx, out, shape_of(&vdy), &vdy, b"softmax_backward")
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, True, b"softmax_backward", b"dy")
        check_overlap(&vdx, out, &vy, y_, True, b"softmax_backward", b"y")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"softmax_backward", b"dy")
    y_ = contiguous(&vy, y_, b"softmax_backward", b"y")
    cdef object computed = direct(&vdx, result, b"softmax_backward")
    args.x = vy.data
    args.dy = vdy.data
    args.out = vdx.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_softmax_backward(dtype, &args)
    check(b"softmax_backward", status)
    return deliver(computed, result)


cdef object parse_labels(object labels, int64_t N, int64_t C, const char *func):
    """Contiguous int64 copies or views of labels in [0, C)."""
    cdef const int64_t *data
    cdef int64_t i, at = -1
    require_array(labels, func, b"labels")
    labels = np.asarray(labels)   # a subclass may say of itself what it likes
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{func.decode()}: labels must be integers, not {labels.dtype}")
    if labels.shape != (N,):
        raise ValueError(f"{func.decode()}: labels must have shape {(N,)}, not {labels.shape}")
    cdef object labels_ = np.require(labels, np.int64, "CA")
    data = <const int64_t *>bytes_of(labels_)
    for i in range(N):
        if data[i] < 0 or data[i] >= C:
            at = i
            break
    if at >= 0:
        raise ValueError(f"{func.decode()}: labels[{at}] is {labels[at]}, "
                         f"not a class from 0 to {C - 1}")
    return labels_


def softmax_cross_entropy(logits, labels, *, out=None):
    """Mean cross-entropy of softmax(logits) against labels, and its gradient, in one pass.

    ``loss = mean over n of logsumexp(logits[n]) - logits[n, labels[n]]``;
    ``dlogits = (softmax(logits) - onehot(labels)) / N``.

    Parameters
    ----------
    logits : ndarray, (N, C)
        float32 or float64; N and C at least 1. Copied once where it is not contiguous.
    labels : ndarray of integers, (N,)
        Classes, from 0 to C - 1.
    out : ndarray, (N, C), optional
        Where dlogits goes; may be logits itself.

    Returns
    -------
    loss : float
        Summed in double precision.
    dlogits : ndarray, (N, C)

    Raises
    ------
    TypeError
        logits not float32 or float64, labels not integers.
    ValueError
        Empty logits, shapes that do not match, a label that is no class, or out overlapping logits
        in part.
    """
    cdef Array vx, vdx
    cdef fnn_softmax_cross_entropy_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef double loss
    cdef object x_ = load(&vx, logits, b"softmax_cross_entropy", b"logits")
    check_ndim(&vx, 2, b"softmax_cross_entropy", b"logits")
    if vx.size == 0:
        raise ValueError(f"softmax_cross_entropy: logits of shape {shape_of(&vx)} are empty: "
                         "the mean over no rows or classes is not defined")
    args.N = vx.shape[0]
    args.C = vx.shape[1]
    cdef object labels_ = parse_labels(labels, args.N, args.C, b"softmax_cross_entropy")
    cdef object result = output(&vdx, out, shape_of(&vx), &vx, b"softmax_cross_entropy")
    if out is not None:
        check_overlap(&vdx, out, &vx, x_, True, b"softmax_cross_entropy", b"logits")
        if np_shares_memory(out, labels_):
            raise ValueError("softmax_cross_entropy: out overlaps labels")
    x_ = contiguous(&vx, x_, b"softmax_cross_entropy", b"logits")
    cdef object computed = direct(&vdx, result, b"softmax_cross_entropy")
    args.logits = vx.data
    args.labels = <const int64_t *>bytes_of(labels_)
    args.dlogits = vdx.data
    args.loss = &loss
    dtype = vx.dtype
    with nogil:
        status = fnn_softmax_cross_entropy(dtype, &args)
    check(b"softmax_cross_entropy", status)
    return loss, deliver(computed, result)


def mse(y, t, *, out=None):
    """Mean squared error ``mean((y - t)**2)`` and its gradient ``2 * (y - t) / y.size``.

    Parameters
    ----------
    y, t : ndarray, one shape, at least 1 element
        Result and target, float32 or float64. Copied once where they are not contiguous.
    out : ndarray, same shape, optional
        Where dy goes; may be y or t itself.

    Returns
    -------
    loss : float
        Summed in double precision.
    dy : ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Empty arrays, shapes that differ, or out overlapping an input in part.
    """
    cdef Array vy, vt, vdy
    cdef fnn_mse_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef double loss
    cdef object y_ = load(&vy, y, b"mse", b"y")
    cdef object t_ = load(&vt, t, b"mse", b"t")
    check_dtype(&vt, b"t", &vy, b"y", b"mse")
    check_shape(&vt, shape_of(&vy), b"mse", b"t")
    if vy.size == 0:
        raise ValueError(f"mse: y of shape {shape_of(&vy)} is empty: "
                         "the mean of nothing is not defined")
    cdef object result = output(&vdy, out, shape_of(&vy), &vy, b"mse")
    if out is not None:
        check_overlap(&vdy, out, &vy, y_, True, b"mse", b"y")
        check_overlap(&vdy, out, &vt, t_, True, b"mse", b"t")
    y_ = contiguous(&vy, y_, b"mse", b"y")
    t_ = contiguous(&vt, t_, b"mse", b"t")
    cdef object computed = direct(&vdy, result, b"mse")
    args.size = vy.size
    args.y = vy.data
    args.t = vt.data
    args.dy = vdy.data
    args.loss = &loss
    dtype = vy.dtype
    with nogil:
        status = fnn_mse(dtype, &args)
    check(b"mse", status)
    return loss, deliver(computed, result)
