# The optimizer's step.


def sgd_step(w, dw, v, hyper, *, bint nesterov=False):
    """One step of stochastic gradient descent over flat buffers, in place.

    ``g = dw + weight_decay * w``; ``v = momentum * v + g``; ``w -= lr * v``, or
    ``w -= lr * (g + momentum * v)`` with nesterov, or ``w -= lr * g`` where v is None. These are
    PyTorch's formulae with dampening 0. Reads each of w, dw, v once and writes w and v once.

    Parameters
    ----------
    w : ndarray, (n,)
        Parameters, float32 or float64, contiguous, updated in place.
    dw : ndarray, (n,)
        Gradients.
    v : ndarray, (n,), or None
        Momentum buffer, updated in place; zeros at first.
    hyper : ndarray of float64, (3,)
        (lr, momentum, weight_decay), read when the step runs.
    nesterov : bool, default False
        Nesterov's momentum.

    Raises
    ------
    TypeError
        Not NumPy arrays, or w, dw, v not of one dtype, float32 or float64, or hyper not float64.
    ValueError
        Shapes do not match, an array is not contiguous, w or v is read-only, or arrays overlap.
    """
    cdef Array vw, vdw, vv, vhyper
    cdef fnn_sgd_step_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    load_flat(&vw, w, True, b"w")
    load_flat(&vdw, dw, False, b"dw")
    check_dtype(&vdw, b"dw", &vw, b"w", b"sgd_step")
    check_shape(&vdw, shape_of(&vw), b"sgd_step", b"dw")
    check_overlap(&vw, w, &vdw, dw, False, b"sgd_step", b"dw")
    args.v = NULL
    if v is not None:
        load_flat(&vv, v, True, b"v")
        check_dtype(&vv, b"v", &vw, b"w", b"sgd_step")
        check_shape(&vv, shape_of(&vw), b"sgd_step", b"v")
        check_overlap(&vw, w, &vv, v, False, b"sgd_step", b"v")
        check_overlap(&vv, v, &vdw, dw, False, b"sgd_step", b"dw")
        args.v = vv.data
    load_flat(&vhyper, hyper, False, b"hyper")
    if vhyper.dtype != FNN_F64:
        raise TypeError("sgd_step: hyper must be float64, not float32")
    check_shape(&vhyper, (3,), b"sgd_step", b"hyper")
    check_overlap(&vw, w, &vhyper, hyper, False, b"sgd_step", b"hyper")
    if v is not None:
        check_overlap(&vv, v, &vhyper, hyper, False, b"sgd_step", b"hyper")
    args.size = vw.size
    args.w = vw.data
    args.dw = vdw.data
    args.hyper = <const double *>vhyper.data
    args.nesterov = nesterov
    dtype = vw.dtype
    with nogil:
        status = fnn_sgd_step(dtype, &args)
    check(b"sgd_step", status)


cdef int load_flat(Array *view, object array, bint write, const char *name) except -1:
    """A contiguous one-dimensional array that is used in place."""
    cdef object loaded = load(view, array, b"sgd_step", name)
    check_ndim(view, 1, b"sgd_step", name)
    if loaded is not array or not is_contiguous(view):
        raise ValueError(f"sgd_step: {name.decode()} must be contiguous and aligned")
    if write and view.readonly:
        raise ValueError(f"sgd_step: {name.decode()} is read-only")
    return 0
