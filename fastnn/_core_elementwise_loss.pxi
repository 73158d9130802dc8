# Losses that each element has of its own; every function returns its gradient too.


cdef object elementwise_loss(const char *func, fnn_loss kind, const char *y_name, object y,
                             const char *t_name, object t, object weight, object pos_weight,
                             double parameter, object reduction, object out):
    cdef Array vy, vt, vdy, vweight, vpos_weight, vlosses
    cdef fnn_elementwise_loss_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef double loss = 0
    cdef object losses = None
    cdef object total = None
    cdef object y_ = load(&vy, y, func, y_name)
    cdef object t_ = load(&vt, t, func, t_name)
    check_dtype(&vt, t_name, &vy, y_name, func)
    cdef object shape = shape_of(&vy)
    check_shape(&vt, shape, func, t_name)
    args.reduction = parse_reduction(reduction, func)
    if vy.size == 0 and args.reduction == FNN_MEAN:
        raise ValueError(f"{func.decode()}: {y_name.decode()} of shape {shape} is empty: "
                         "the mean of nothing is not defined")
    cdef object weight_ = load_factor(&vweight, weight, &vy, y_name, func, b"weight")
    cdef object pos_weight_ = load_factor(&vpos_weight, pos_weight, &vy, y_name, func,
                                          b"pos_weight")
    cdef object result = output(&vdy, out, shape, &vy, func)
    if out is not None:
        check_overlap(&vdy, out, &vy, y_, True, func, y_name)
        check_overlap(&vdy, out, &vt, t_, True, func, t_name)
        if weight is not None:
            check_overlap(&vdy, out, &vweight, weight_, False, func, b"weight")
        if pos_weight is not None:
            check_overlap(&vdy, out, &vpos_weight, pos_weight_, False, func, b"pos_weight")
    y_ = contiguous(&vy, y_, func, y_name)
    t_ = contiguous(&vt, t_, func, t_name)
    cdef object computed = direct(&vdy, result, func)
    args.loss = NULL
    args.losses = NULL
    if args.reduction == FNN_NONE:
        losses = allocate(&vlosses, shape, dtype_of(&vy), func)
        args.losses = vlosses.data
    else:
        total = number_symbol()
        args.loss = number_data(total, &loss)
    args.size = vy.size
    args.kind = kind
    args.parameter = parameter
    args.y = vy.data
    args.t = vt.data
    args.weight = NULL if weight is None else vweight.data
    args.pos_weight = NULL if pos_weight is None else vpos_weight.data
    args.dy = vdy.data
    dtype = vy.dtype
    if vy.size <= HOLD_SIZE:
        status = fnn_elementwise_loss(dtype, &args)
    else:
        with nogil:
            status = fnn_elementwise_loss(dtype, &args)
    check(func, status)
    if losses is None:
        losses = loss if total is None else total
    return losses, deliver(computed, result)


cdef object load_factor(Array *view, object factor, Array *like, const char *like_name,
                        const char *func, const char *name):
    """A factor per element, contiguous; copied where it is broadcast. None stays None."""
    if factor is None:
        return None
    factor = load(view, factor, func, name)
    check_dtype(view, name, like, like_name, func)
    shape = shape_of(like)
    if shape_of(view) != shape:
        try:
            spread = np.broadcast_to(plain(factor), shape)
        except ValueError:
            raise ValueError(f"{func.decode()}: {name.decode()} of shape {shape_of(view)} does not "
                             f"broadcast to {like_name.decode()}'s {shape}") from None
        load_fields(view, spread)
        factor = contiguous_copy(view, spread, func, name)
    return contiguous(view, factor, func, name)


def mse(y, t, *, reduction="mean", out=None):
    """Mean squared error ``mean((y - t)**2)`` and its gradient ``2 * (y - t) / y.size``.

    Parameters
    ----------
    y, t : ndarray, one shape
        Result and target, float32 or float64. Copied once where they are not contiguous.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean of all losses, which needs at least 1; their sum; or each of them.
    out : ndarray, same shape, optional
        Where dy goes; may be y or t itself.

    Returns
    -------
    loss : float, or ndarray of y's shape for "none"
        Summed in double precision.
    dy : ndarray, same shape
        Gradient of the loss; for "none", of the sum.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Empty arrays, shapes that differ, an unknown reduction, or out overlapping an input in part.
    """
    return elementwise_loss(b"mse", FNN_MSE, b"y", y, b"t", t, None, None, 0, reduction, out)


def l1(y, t, *, reduction="mean", out=None):
    """Mean absolute error ``mean(abs(y - t))`` and its gradient ``sign(y - t) / y.size``.

    Parameters
    ----------
    y, t : ndarray, one shape
        Result and target, float32 or float64. Copied once where they are not contiguous.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean of all losses, which needs at least 1; their sum; or each of them.
    out : ndarray, same shape, optional
        Where dy goes; may be y or t itself.

    Returns
    -------
    loss : float, or ndarray of y's shape for "none"
        Summed in double precision.
    dy : ndarray, same shape
        Gradient of the loss; for "none", of the sum. 0 where y equals t.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Empty arrays, shapes that differ, an unknown reduction, or out overlapping an input in part.
    """
    return elementwise_loss(b"l1", FNN_L1, b"y", y, b"t", t, None, None, 0, reduction, out)


def huber(y, t, *, delta=1.0, reduction="mean", out=None):
    """Huber's loss of ``d = y - t``: ``d**2 / 2`` up to delta, ``delta * (abs(d) - delta / 2)`` on.

    Its gradient is d, clipped to +-delta. P. J. Huber, Robust estimation of a location parameter,
    Ann. Math. Statist. 35 (1964), section 3.

    Parameters
    ----------
    y, t : ndarray, one shape
        Result and target, float32 or float64. Copied once where they are not contiguous.
    delta : float, default 1.0
        Where the parabola becomes a line; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean of all losses, which needs at least 1; their sum; or each of them.
    out : ndarray, same shape, optional
        Where dy goes; may be y or t itself.

    Returns
    -------
    loss : float, or ndarray of y's shape for "none"
        Summed in double precision.
    dy : ndarray, same shape
        Gradient of the loss; for "none", of the sum.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64; delta no number.
    ValueError
        Empty arrays, shapes that differ, delta not above 0, an unknown reduction, or out
        overlapping an input in part.
    """
    return elementwise_loss(b"huber", FNN_HUBER, b"y", y, b"t", t, None, None,
                            parse_positive(delta, b"huber", b"delta"), reduction, out)


def hinge(y, t, *, margin=1.0, reduction="mean", out=None):
    """Hinge loss ``mean(max(0, margin - t * y))`` and its gradient, ``-t`` where that is above 0.

    Parameters
    ----------
    y, t : ndarray, one shape
        Score, and target -1 or +1, float32 or float64. Copied once where they are not contiguous.
    margin : float, default 1.0
        From which on there is no loss; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean of all losses, which needs at least 1; their sum; or each of them.
    out : ndarray, same shape, optional
        Where dy goes; may be y or t itself.

    Returns
    -------
    loss : float, or ndarray of y's shape for "none"
        Summed in double precision.
    dy : ndarray, same shape
        Gradient of the loss; for "none", of the sum.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64; margin no number.
    ValueError
        Empty arrays, shapes that differ, margin not above 0, an unknown reduction, or out
        overlapping an input in part.
    """
    return elementwise_loss(b"hinge", FNN_HINGE, b"y", y, b"t", t, None, None,
                            parse_positive(margin, b"hinge", b"margin"), reduction, out)


def bce_with_logits(logits, targets, *, weight=None, pos_weight=None, reduction="mean", out=None):
    """Binary cross-entropy of ``sigmoid(logits)`` against targets, and its gradient.

    Each loss is ``weight * (pos_weight * t * softplus(-x) + (1 - t) * softplus(x))`` with
    ``softplus(x) = max(x, 0) + log1p(exp(-abs(x)))``, and its derivative
    ``weight * ((1 - t) * sigmoid(x) - pos_weight * t * sigmoid(-x))``: nothing overflows, and
    nothing cancels for t from 0 to 1.

    Parameters
    ----------
    logits, targets : ndarray, one shape
        float32 or float64; targets from 0 to 1. Copied once where they are not contiguous.
    weight, pos_weight : ndarray, optional
        Factors of all losses, and of the losses of positives; ones by default. They broadcast to
        the shape of logits, and are copied where they do.
    reduction : {"mean", "sum", "none"}, default "mean"
        The mean of all losses, which needs at least 1; their sum; or each of them.
    out : ndarray, same shape, optional
        Where dlogits goes; may be logits or targets itself.

    Returns
    -------
    loss : float, or ndarray of logits' shape for "none"
        Summed in double precision.
    dlogits : ndarray, same shape
        Gradient of the loss; for "none", of the sum.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Empty arrays, shapes that do not match, an unknown reduction, or out overlapping an input
        in part.
    """
    return elementwise_loss(b"bce_with_logits", FNN_BCE_WITH_LOGITS, b"logits", logits, b"targets",
                            targets, weight, pos_weight, 0, reduction, out)
