# Steps of optimizers, in place on flat arrays.

DEF MAX_BUFFERS = 5


cdef int load_buffers(Array *views, tuple arrays, tuple names, object hyper, Array *vhyper,
                      const char *func) except -1:
    """Parameters, gradients and state; the gradients, item 1, are only read. None: data is NULL."""
    cdef int i, j, count = len(arrays)
    for i in range(count):
        if arrays[i] is None and i >= 2 and names[i] in OPTIONAL_BUFFERS:
            views[i].data = NULL
            views[i].size = 0
            continue
        load_flat(&views[i], arrays[i], i != 1, func, names[i])
        check_dtype(&views[i], names[i], &views[0], b"w", func)
        check_shape(&views[i], shape_of(&views[0]), func, names[i])
        for j in range(i):
            check_overlap(&views[j], arrays[j], &views[i], arrays[i], False, func, names[i])
    load_flat(vhyper, hyper, False, func, b"hyper")
    if vhyper.dtype != FNN_F64:
        raise TypeError(f"{func.decode()}: hyper must be float64, not float32")
    for j in range(count):
        if j != 1:
            check_overlap(&views[j], arrays[j], vhyper, hyper, False, func, b"hyper")
    return 0


cdef int load_flat(Array *view, object array, bint write, const char *func,
                   const char *name) except -1:
    """A contiguous one-dimensional array that is used in place."""
    cdef object loaded = load(view, array, func, name)
    check_ndim(view, 1, func, name)
    if loaded is not array or not is_contiguous(view):
        raise ValueError(f"{func.decode()}: {name.decode()} must be contiguous and aligned")
    if write and view.readonly:
        raise ValueError(f"{func.decode()}: {name.decode()} is read-only")
    return 0


cdef frozenset OPTIONAL_BUFFERS = frozenset((b"vmax", b"mean", b"b"))
cdef tuple SGD_NAMES = (b"w", b"dw", b"v")
cdef tuple ADAM_NAMES = (b"w", b"dw", b"m", b"v", b"vmax")
cdef tuple RMSPROP_NAMES = (b"w", b"dw", b"v", b"mean", b"b")
cdef tuple ADADELTA_NAMES = (b"w", b"dw", b"v", b"d")


def sgd_step(w, dw, v, hyper, *, bint nesterov=False):
    """One step of stochastic gradient descent over flat buffers, in place.

    ``g = dw + weight_decay * w``; ``v = momentum * v + (1 - dampening) * g``, in step 1
    ``v = momentum * v + g``; ``w -= lr * v``, or ``w -= lr * (g + momentum * v)`` with nesterov,
    or ``w -= lr * g`` where v is None. These are PyTorch's formulae. Reads each of w, dw, v once
    and writes w and v once.

    Parameters
    ----------
    w : ndarray, (n,)
        Parameters, float32 or float64, contiguous, updated in place.
    dw : ndarray, (n,)
        Gradients.
    v : ndarray, (n,), or None
        Momentum buffer, updated in place; zeros at first.
    hyper : ndarray of float64, (3,) or (5,)
        (lr, momentum, weight_decay) or (lr, momentum, weight_decay, dampening, step), read when
        the step runs; step counts from 1. Without the last two there is no dampening.
    nesterov : bool, default False
        Nesterov's momentum.

    Raises
    ------
    TypeError
        Not NumPy arrays, or w, dw, v not of one dtype, float32 or float64, or hyper not float64.
    ValueError
        Shapes do not match, an array is not contiguous, w or v is read-only, or arrays overlap.
    """
    cdef Array views[MAX_BUFFERS]
    cdef Array vhyper
    cdef fnn_sgd_step_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    if v is None:
        load_buffers(views, (w, dw), SGD_NAMES, hyper, &vhyper, b"sgd_step")
        args.v = NULL
    else:
        load_buffers(views, (w, dw, v), SGD_NAMES, hyper, &vhyper, b"sgd_step")
        args.v = views[2].data
    if vhyper.size != 5:
        check_shape(&vhyper, (3,), b"sgd_step", b"hyper")
    args.size = views[0].size
    args.w = views[0].data
    args.dw = views[1].data
    args.hyper = <const double *>vhyper.data
    args.nesterov = nesterov
    args.dampened = vhyper.size == 5
    dtype = views[0].dtype
    with nogil:
        status = fnn_sgd_step(dtype, &args)
    check(b"sgd_step", status)


def adam_step(w, dw, m, v, vmax, hyper, *, bint decoupled=False):
    """One step of Adam, AdamW or AMSGrad over flat buffers, in place.

    ``g = dw + weight_decay * w``, or with decoupled ``g = dw`` and ``w -= lr * weight_decay * w``;
    ``m += (1 - beta1) * (g - m)``; ``v = beta2 * v + (1 - beta2) * g**2``;
    ``w -= lr / (1 - beta1**step) * m / (sqrt(v / (1 - beta2**step)) + eps)``. Where vmax is given,
    ``vmax = max(vmax, v)`` replaces v in the last line. Adam: Kingma & Ba 2015, algorithm 1;
    AdamW: Loshchilov & Hutter 2019, algorithm 2; AMSGrad: Reddi et al. 2018, algorithm 2, with
    PyTorch's correction of the bias.

    Parameters
    ----------
    w : ndarray, (n,)
        Parameters, float32 or float64, contiguous, updated in place.
    dw : ndarray, (n,)
        Gradients.
    m, v : ndarray, (n,)
        Means of the gradients and of their squares, updated in place; zeros at first.
    vmax : ndarray, (n,), or None
        The largest v so far, updated in place; zeros at first. None: Adam.
    hyper : ndarray of float64, (6,)
        (lr, beta1, beta2, eps, weight_decay, step), read when the step runs; step counts from 1.
    decoupled : bool, default False
        AdamW's weight decay.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64, or hyper not float64.
    ValueError
        Shapes do not match, an array is not contiguous, one to be written is read-only, or arrays
        overlap.
    """
    cdef Array views[MAX_BUFFERS]
    cdef Array vhyper
    cdef fnn_adam_step_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    load_buffers(views, (w, dw, m, v, vmax), ADAM_NAMES, hyper, &vhyper, b"adam_step")
    check_shape(&vhyper, (6,), b"adam_step", b"hyper")
    args.size = views[0].size
    args.w = views[0].data
    args.dw = views[1].data
    args.m = views[2].data
    args.v = views[3].data
    args.vmax = views[4].data
    args.hyper = <const double *>vhyper.data
    args.decoupled = decoupled
    dtype = views[0].dtype
    with nogil:
        status = fnn_adam_step(dtype, &args)
    check(b"adam_step", status)


def rmsprop_step(w, dw, v, mean, b, hyper):
    """One step of RMSprop over flat buffers, in place.

    ``g = dw + weight_decay * w``; ``v = alpha * v + (1 - alpha) * g**2``;
    ``mean += (1 - alpha) * (g - mean)``; ``s = g / (sqrt(v - mean**2) + eps)``;
    ``b = momentum * b + s``; ``w -= lr * b``. Without mean it counts as 0; without b,
    ``w -= lr * s``. Tieleman & Hinton 2012; centered: Graves 2013, equations 38 to 45, with
    PyTorch's place of eps. ``v - mean**2`` is at least 0, whatever rounding does.

    Parameters
    ----------
    w : ndarray, (n,)
        Parameters, float32 or float64, contiguous, updated in place.
    dw : ndarray, (n,)
        Gradients.
    v : ndarray, (n,)
        Mean of the squared gradients, updated in place; zeros at first.
    mean : ndarray, (n,), or None
        Mean of the gradients, likewise.
    b : ndarray, (n,), or None
        Momentum buffer, likewise.
    hyper : ndarray of float64, (5,)
        (lr, alpha, eps, weight_decay, momentum), read when the step runs.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64, or hyper not float64.
    ValueError
        Shapes do not match, an array is not contiguous, one to be written is read-only, or arrays
        overlap.
    """
    cdef Array views[MAX_BUFFERS]
    cdef Array vhyper
    cdef fnn_rmsprop_step_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    load_buffers(views, (w, dw, v, mean, b), RMSPROP_NAMES, hyper, &vhyper, b"rmsprop_step")
    check_shape(&vhyper, (5,), b"rmsprop_step", b"hyper")
    args.size = views[0].size
    args.w = views[0].data
    args.dw = views[1].data
    args.v = views[2].data
    args.mean = views[3].data
    args.b = views[4].data
    args.hyper = <const double *>vhyper.data
    dtype = views[0].dtype
    with nogil:
        status = fnn_rmsprop_step(dtype, &args)
    check(b"rmsprop_step", status)


def adagrad_step(w, dw, v, hyper):
    """One step of Adagrad over flat buffers, in place.

    ``g = dw + weight_decay * w``; ``v += g**2``;
    ``w -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(v) + eps)``. Duchi et al. 2011, figure 1,
    with a diagonal matrix.

    Parameters
    ----------
    w : ndarray, (n,)
        Parameters, float32 or float64, contiguous, updated in place.
    dw : ndarray, (n,)
        Gradients.
    v : ndarray, (n,)
        Sum of the squared gradients, updated in place.
    hyper : ndarray of float64, (5,)
        (lr, lr_decay, eps, weight_decay, step), read when the step runs; step counts from 1.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64, or hyper not float64.
    ValueError
        Shapes do not match, an array is not contiguous, w or v is read-only, or arrays overlap.
    """
    cdef Array views[MAX_BUFFERS]
    cdef Array vhyper
    cdef fnn_adagrad_step_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    load_buffers(views, (w, dw, v), SGD_NAMES, hyper, &vhyper, b"adagrad_step")
    check_shape(&vhyper, (5,), b"adagrad_step", b"hyper")
    args.size = views[0].size
    args.w = views[0].data
    args.dw = views[1].data
    args.v = views[2].data
    args.hyper = <const double *>vhyper.data
    dtype = views[0].dtype
    with nogil:
        status = fnn_adagrad_step(dtype, &args)
    check(b"adagrad_step", status)


def adadelta_step(w, dw, v, d, hyper):
    """One step of Adadelta over flat buffers, in place.

    ``g = dw + weight_decay * w``; ``v = rho * v + (1 - rho) * g**2``;
    ``s = sqrt(d + eps) / sqrt(v + eps) * g``; ``d = rho * d + (1 - rho) * s**2``; ``w -= lr * s``.
    Zeiler 2012, algorithm 1.

    Parameters
    ----------
    w : ndarray, (n,)
        Parameters, float32 or float64, contiguous, updated in place.
    dw : ndarray, (n,)
        Gradients.
    v, d : ndarray, (n,)
        Means of the squared gradients and of the squared steps, updated in place; zeros at first.
    hyper : ndarray of float64, (4,)
        (lr, rho, eps, weight_decay), read when the step runs.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64, or hyper not float64.
    ValueError
        Shapes do not match, an array is not contiguous, one to be written is read-only, or arrays
        overlap.
    """
    cdef Array views[MAX_BUFFERS]
    cdef Array vhyper
    cdef fnn_adadelta_step_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    load_buffers(views, (w, dw, v, d), ADADELTA_NAMES, hyper, &vhyper, b"adadelta_step")
    check_shape(&vhyper, (4,), b"adadelta_step", b"hyper")
    args.size = views[0].size
    args.w = views[0].data
    args.dw = views[1].data
    args.v = views[2].data
    args.d = views[3].data
    args.hyper = <const double *>vhyper.data
    dtype = views[0].dtype
    with nogil:
        status = fnn_adadelta_step(dtype, &args)
    check(b"adadelta_step", status)


def vector_norm(x, *, ord=2, out=None):
    """Norm of all elements of an array, summed in double precision in a fixed order.

    ``sqrt(sum(x**2))``, ``sum(abs(x))`` with ord 1, ``max(abs(x))`` with ord infinity; 0 for an
    empty array, NaN where an element is NaN.

    Parameters
    ----------
    x : ndarray
        float32 or float64, of any shape. Copied once where it is not contiguous.
    ord : {1, 2, inf}
        Which norm; default 2.
    out : ndarray of float64, one element, optional
        Where the norm goes.

    Returns
    -------
    float
        With ord 2 it is infinite where the sum of squares exceeds the range of float64. With out,
        that array.

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        Another ord, or out is read-only, of another size, or overlaps x.
    """
    cdef Array vx, vout
    cdef fnn_vector_norm_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef double norm
    cdef object total = None
    cdef object x_ = load(&vx, x, b"vector_norm", b"x")
    if ord not in (1, 2, float("inf")):
        raise ValueError(f"vector_norm: ord must be 1, 2 or infinity, not {ord!r}")
    if out is None:
        total = number_symbol()
    else:
        load_flat(&vout, out, True, b"vector_norm", b"out")
        if vout.dtype != FNN_F64 or vout.size != 1:
            raise ValueError("vector_norm: out must be one element of float64")
        check_overlap(&vout, out, &vx, x_, False, b"vector_norm", b"x")
    x_ = contiguous(&vx, x_, b"vector_norm", b"x")
    args.size = vx.size
    args.x = vx.data
    args.p = ord
    args.norm = number_data(total, &norm) if out is None else <double *>vout.data
    dtype = vx.dtype
    with nogil:
        status = fnn_vector_norm(dtype, &args)
    check(b"vector_norm", status)
    if out is not None:
        return out
    return norm if total is None else total


def clip(x, norm, max_norm):
    """Scale x in place by ``min(1, max_norm / (norm + 1e-6))``, the factor rounded to x's dtype.

    Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013),
    algorithm 1, with PyTorch's 1e-6.

    Parameters
    ----------
    x : ndarray
        float32 or float64, contiguous.
    norm : ndarray of float64, one element
        As `vector_norm` writes it; NaN makes x NaN.
    max_norm : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        An array is not of these, x is read-only, or max_norm is negative or NaN.
    """
    cdef Array vx, vnorm
    cdef fnn_clip_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    load(&vx, x, b"clip", b"x")
    load_flat(&vnorm, norm, False, b"clip", b"norm")
    args.max_norm = parse_real(max_norm, b"clip", b"max_norm")
    if not args.max_norm >= 0:
        raise ValueError(f"clip: max_norm must be at least 0, got {max_norm}")
    if vnorm.dtype != FNN_F64 or vnorm.size != 1:
        raise ValueError("clip: norm must be one element of float64")
    if not is_contiguous(&vx) or vx.readonly:
        raise ValueError("clip: x must be contiguous and writable")
    check_overlap(&vx, x, &vnorm, norm, False, b"clip", b"norm")
    args.size = vx.size
    args.x = vx.data
    args.norm = <const double *>vnorm.data
    dtype = vx.dtype
    with nogil:
        status = fnn_clip(dtype, &args)
    check(b"clip", status)
