# Batch and group norm, and what all normalisations check.

from libc.float cimport DBL_MAX


cdef double parse_number(object value, double low, double high, const char *func,
                         const char *name) except? -1:
    """A number from `low` to `high`; NaN is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{func.decode()}: {name.decode()} must be a number, "
                        f"not {type(value).__name__}") from None
    if not low <= number <= high:
        raise ValueError(f"{func.decode()}: {name.decode()} must be from {low:g} to {high:g}, "
                         f"not {number!r}")
    return number


cdef double parse_eps(object eps, const char *func) except? -1:
    return parse_number(eps, 0, DBL_MAX, func, b"eps")


cdef object load_optional(Array *view, object array, object shape, Array *x, const char *func,
                          const char *name):
    """Fill `view` with a contiguous array of that shape, or make its data NULL for None."""
    view.data = NULL
    view.size = 0
    if array is None:
        return None
    cdef object loaded = load(view, array, func, name)
    check_dtype(view, name, x, b"x", func)
    check_shape(view, shape, func, name)
    return contiguous(view, loaded, func, name)


cdef object load_statistics(Array *view, object array, const char *func, const char *name):
    """Fill `view` with a contiguous array of float64."""
    cdef object loaded = load(view, array, func, name)
    if view.dtype != FNN_F64:
        raise TypeError(f"{func.decode()}: {name.decode()} must be float64, not float32")
    return contiguous(view, loaded, func, name)


cdef object load_like(Array *view, object array, Array *dy, const char *func, const char *name):
    """Fill `view` with a contiguous array of the shape and dtype of dy."""
    cdef object loaded = load(view, array, func, name)
    check_dtype(view, name, dy, b"dy", func)
    check_shape(view, shape_of(dy), func, name)
    return contiguous(view, loaded, func, name)


cdef int load_running(Array *view, object array, Array *x, bint write, const char *func,
                      const char *name) except -1:
    """Fill `view` with running statistics, which a kernel reads and writes where they lie."""
    cdef object loaded = load(view, array, func, name)
    check_dtype(view, name, x, b"x", func)
    check_shape(view, (x.shape[x.ndim - 1],), func, name)
    if loaded is not array or not is_contiguous(view):
        raise ValueError(f"{func.decode()}: {name.decode()} must be contiguous and aligned")
    if write and view.readonly:
        raise ValueError(f"{func.decode()}: {name.decode()} is read-only")
    return 0


cdef int check_axes(Array *view, int least, const char *func, const char *name) except -1:
    if view.ndim < least:
        raise ValueError(f"{func.decode()}: {name.decode()} must have at least {least} dimensions, "
                         f"not {view.ndim} (shape {shape_of(view)})")
    return 0


cdef int64_t leading_size(Array *view, int first, int end) noexcept:
    """The product of the sizes of axes first .. end - 1."""
    cdef int64_t size = 1
    cdef int i
    for i in range(first, end):
        size *= view.shape[i]
    return size


def batch_norm(x, weight=None, bias=None, running_mean=None, running_var=None, *,
               bint training=True, momentum=0.1, eps=1e-5, activation=None,
               bint return_stats=False, batches=None, out=None):
    """Normalise each channel over the batch and all pixels.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``: Ioffe and Szegedy, Batch normalization,
    ICML 2015, algorithm 1. In training mean and (biased) variance are those of the batch, and
    running_mean and running_var, where given, move towards them in place, as in PyTorch:
    ``running += momentum * (batch - running)`` with the unbiased variance. Otherwise they are
    running_mean and running_var.

    Data far from 0 lose no accuracy: variances are sums of squared differences from the means of
    blocks of rows, cut by the shape alone and combined in order, in float64.

    Parameters
    ----------
    x : ndarray, (..., C)
        Channels last; at least 2 axes. float32 or float64. Copied once where it is not contiguous.
    weight, bias : ndarray, (C,), optional
        Default: 1 and 0.
    running_mean, running_var : ndarray, (C,), optional
        Contiguous; both or none. Needed, and only read, without training.
    training : bool, default True
    momentum : float, default 0.1
        From 0 to 1.
    eps : float, default 1e-5
        At least 0.
    activation : {None, "relu"}
        ``"relu"``: y = max(y, 0), in the same pass.
    return_stats : bool, default False
        In training: return mean and 1 / sqrt(var + eps) too, for `batch_norm_backward`.
    batches : ndarray of int64, (), optional
        How many batches there were before: momentum is ``1 / (batches + 1)``, which makes the
        running statistics means over all batches.
    out : ndarray, same shape as x, optional
        May be x itself, which `batch_norm_backward` then cannot be given any more.

    Returns
    -------
    y : ndarray, same shape
    mean, inv_std : ndarray, (C,)
        With return_stats; float64 whatever x is, as a float32 mean would lose digits of x - mean.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, one value per channel in training, an option is out of range, or out
        overlaps an input in part. An empty batch gives an empty y and leaves the running statistics
        alone.
    """
    cdef const char *func = b"batch_norm"
    cdef Array vx, vweight, vbias, vmean, vinv, vy, vrunning_mean, vrunning_var
    cdef fnn_batch_norm_forward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object mean = None, inv_std = None
    cdef object x_ = load(&vx, x, func, b"x")
    check_axes(&vx, 2, func, b"x")
    args.C = vx.shape[vx.ndim - 1]
    args.P = leading_size(&vx, 0, vx.ndim - 1)
    cdef object channels = (args.C,)
    cdef object weight_ = load_optional(&vweight, weight, channels, &vx, func, b"weight")
    cdef object bias_ = load_optional(&vbias, bias, channels, &vx, func, b"bias")
    args.batches = NULL
    if batches is not None:
        args.batches = <const int64_t *>load_counter(batches, np_int64, func, b"batches")
    args.momentum = parse_number(momentum, 0, 1, func, b"momentum")
    args.eps = parse_eps(eps, func)
    args.relu = parse_relu(activation, func)
    args.training = training
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: running_mean and running_var must be given together")
    if not training and running_mean is None:
        raise ValueError("batch_norm: running_mean and running_var are needed without training")
    if return_stats and not training:
        raise ValueError("batch_norm: return_stats needs training")
    if training and args.P == 1:
        raise ValueError(f"batch_norm: training needs more than one value per channel, x has shape "
                         f"{shape_of(&vx)}")
    args.running_mean = args.running_var = NULL
    if running_mean is not None:
        load_running(&vrunning_mean, running_mean, &vx, training, func, b"running_mean")
        load_running(&vrunning_var, running_var, &vx, training, func, b"running_var")
        args.running_mean = vrunning_mean.data
        args.running_var = vrunning_var.data
    cdef object result = output(&vy, out, shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vy, out, &vx, x_, True, func, b"x")
        check_overlap_optional(&vy, out, &vweight, weight_, func, b"weight")
        check_overlap_optional(&vy, out, &vbias, bias_, func, b"bias")
        if running_mean is not None:
            check_overlap(&vy, out, &vrunning_mean, running_mean, False, func, b"running_mean")
            check_overlap(&vy, out, &vrunning_var, running_var, False, func, b"running_var")
    args.mean = args.inv_std = NULL
    if training:
        if running_mean is not None:
            check_running_overlap(&vrunning_mean, running_mean, &vrunning_var, running_var, &vx, x_,
                                  &vweight, weight_, &vbias, bias_)
        mean = allocate(&vmean, channels, np_float64, func)
        inv_std = allocate(&vinv, channels, np_float64, func)
        args.mean = <double *>vmean.data
        args.inv_std = <double *>vinv.data
    x_ = contiguous(&vx, x_, func, b"x")
    cdef object computed = direct(&vy, result, func)
    args.x = vx.data
    args.weight = vweight.data
    args.bias = vbias.data
    args.y = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_batch_norm_forward(dtype, &args)
    check(func, status)
    result = deliver(computed, result)
    return (result, mean, inv_std) if return_stats else result


cdef bint parse_relu(object activation, const char *func) except -1:
    cdef fnn_activation applied = parse_activation(activation, func)
    if applied != FNN_IDENTITY and applied != FNN_RELU:
        raise ValueError(f"{func.decode()}: activation must be None or 'relu', not {activation!r}")
    return applied == FNN_RELU


cdef int check_overlap_optional(Array *out, object out_array, Array *view, object array,
                                const char *func, const char *name) except -1:
    return 0 if array is None else check_overlap(out, out_array, view, array, False, func, name)


cdef int check_running_overlap(Array *mean, object mean_array, Array *var, object var_array,
                               Array *x, object x_array, Array *weight, object weight_array,
                               Array *bias, object bias_array) except -1:
    """Running statistics are written: they may share memory with nothing else."""
    cdef const char *func = b"batch_norm: running statistics"
    check_overlap(mean, mean_array, var, var_array, False, func, b"each other")
    check_overlap(mean, mean_array, x, x_array, False, func, b"x")
    check_overlap(var, var_array, x, x_array, False, func, b"x")
    check_overlap_optional(mean, mean_array, weight, weight_array, func, b"weight")
    check_overlap_optional(var, var_array, weight, weight_array, func, b"weight")
    check_overlap_optional(mean, mean_array, bias, bias_array, func, b"bias")
    check_overlap_optional(var, var_array, bias, bias_array, func, b"bias")
    return 0


def batch_norm_backward(dy, x, mean, inv_std, weight=None, *, y=None, out=None):
    """Gradients of `batch_norm` in training.

    With ``xhat = (x - mean) * inv_std`` and P values per channel: ``dbias = sum of dy``,
    ``dweight = sum of dy * xhat``,
    ``dx = weight * inv_std * (dy - dbias / P - xhat * dweight / P)``.

    Parameters
    ----------
    dy : ndarray, (..., C)
        Gradient with respect to the result. float32 or float64. Copied once where it is not
        contiguous.
    x : ndarray, same shape
        The input of the forward pass.
    mean, inv_std : ndarray, (C,)
        float64, as the forward pass returned them.
    weight : ndarray, (C,), optional
        That of the forward pass.
    y : ndarray, same shape, optional
        The result of a forward pass with ``activation="relu"``: dy counts where y > 0.
    out : ndarray, same shape, optional
        For dx; may be dy itself.

    Returns
    -------
    dx : ndarray, same shape
    dweight, dbias : ndarray, (C,)

    Raises
    ------
    TypeError
        Not NumPy arrays, not of one dtype, float32 or float64, or mean or inv_std not float64.
    ValueError
        Shapes do not match, or out overlaps an input in part.
    """
    cdef const char *func = b"batch_norm_backward"
    cdef Array vdy, vx, vy, vmean, vinv, vweight, vdx, vdweight, vdbias
    cdef fnn_batch_norm_backward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object y_ = None
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    check_axes(&vdy, 2, func, b"dy")
    args.C = vdy.shape[vdy.ndim - 1]
    args.P = leading_size(&vdy, 0, vdy.ndim - 1)
    cdef object channels = (args.C,)
    cdef object x_ = load_like(&vx, x, &vdy, func, b"x")
    args.y = NULL
    if y is not None:
        y_ = load_like(&vy, y, &vdy, func, b"y")
        args.y = vy.data
    cdef object mean_ = load_statistics(&vmean, mean, func, b"mean")
    cdef object inv_ = load_statistics(&vinv, inv_std, func, b"inv_std")
    check_shape(&vmean, channels, func, b"mean")
    check_shape(&vinv, channels, func, b"inv_std")
    cdef object weight_ = load_optional(&vweight, weight, channels, &vx, func, b"weight")
    cdef object result = output(&vdx, out, shape_of(&vdy), &vdy, func)
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, True, func, b"dy")
        check_overlap(&vdx, out, &vx, x_, False, func, b"x")
        check_overlap_optional(&vdx, out, &vy, y_, func, b"y")
        check_overlap(&vdx, out, &vmean, mean_, False, func, b"mean")
        check_overlap(&vdx, out, &vinv, inv_, False, func, b"inv_std")
        check_overlap_optional(&vdx, out, &vweight, weight_, func, b"weight")
    cdef object dweight = allocate(&vdweight, channels, dtype_of(&vdy), func)
    cdef object dbias = allocate(&vdbias, channels, dtype_of(&vdy), func)
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    cdef object computed = direct(&vdx, result, func)
    args.dy = vdy.data
    args.x = vx.data
    args.mean = <const double *>vmean.data
    args.inv_std = <const double *>vinv.data
    args.weight = vweight.data
    args.dx = vdx.data
    args.dweight = vdweight.data
    args.dbias = vdbias.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_batch_norm_backward(dtype, &args)
    check(func, status)
    return deliver(computed, result), dweight, dbias
