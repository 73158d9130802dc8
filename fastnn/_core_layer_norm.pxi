# Layer norm and root mean square norm: over the last axes.

from libc.float cimport DBL_EPSILON, FLT_EPSILON


cdef object parse_normalized(object normalized_shape, Array *x, const char *func):
    """The shape of the last axes of x that it must be, as a tuple."""
    if not isinstance(normalized_shape, (tuple, list)):
        normalized_shape = (normalized_shape,)
    cdef object shape = parse_shape(normalized_shape, len(normalized_shape), func,
                                    b"normalized_shape")
    if len(shape) == 0 or shape_of(x)[-len(shape):] != shape:
        raise ValueError(f"{func.decode()}: x must end with the axes of normalized_shape {shape}, "
                         f"not {shape_of(x)}")
    return shape


cdef object row_norm(const char *func, object x, object normalized_shape, object weight,
                     object bias, object eps, bint centered, bint return_stats, object out):
    cdef Array vx, vweight, vbias, vmean, vinv, vy
    cdef fnn_layer_norm_forward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object mean = None
    cdef object x_ = load(&vx, x, func, b"x")
    cdef object shape = parse_normalized(normalized_shape, &vx, func)
    cdef int leading = vx.ndim - <int>len(shape)
    args.N = leading_size(&vx, 0, leading)
    args.I = leading_size(&vx, leading, vx.ndim)
    cdef object weight_ = load_optional(&vweight, weight, shape, &vx, func, b"weight")
    cdef object bias_ = load_optional(&vbias, bias, shape, &vx, func, b"bias")
    if eps is None:
        args.eps = FLT_EPSILON if vx.dtype == FNN_F32 else DBL_EPSILON
    else:
        args.eps = parse_eps(eps, func)
    cdef object result = output(&vy, out, shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vy, out, &vx, x_, True, func, b"x")
        check_overlap_optional(&vy, out, &vweight, weight_, func, b"weight")
        check_overlap_optional(&vy, out, &vbias, bias_, func, b"bias")
    args.mean = NULL
    if centered:
        mean = allocate(&vmean, shape_of(&vx)[:leading], np_float64, func)
        args.mean = <double *>vmean.data
    cdef object inv_std = allocate(&vinv, shape_of(&vx)[:leading], np_float64, func)
    x_ = contiguous(&vx, x_, func, b"x")
    cdef object computed = direct(&vy, result, func)
    args.x = vx.data
    args.weight = vweight.data
    args.bias = vbias.data
    args.inv_std = <double *>vinv.data
    args.y = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_layer_norm_forward(dtype, &args)
    check(func, status)
    result = deliver(computed, result)
    if not return_stats:
        return result
    return (result, mean, inv_std) if centered else (result, inv_std)


cdef object row_norm_backward(const char *func, object dy, object x, object mean, object inv_std,
                              object weight, bint centered, object out):
    cdef Array vdy, vx, vmean, vinv, vweight, vdx, vdweight, vdbias
    cdef fnn_layer_norm_backward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object mean_ = None, dbias = None
    cdef const char *spread = b"inv_std" if centered else b"inv_rms"
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object x_ = load_like(&vx, x, &vdy, func, b"x")
    cdef object inv_ = load_statistics(&vinv, inv_std, func, spread)
    cdef int leading = vinv.ndim
    if leading >= vdy.ndim or shape_of(&vinv) != shape_of(&vdy)[:leading]:
        raise ValueError(f"{func.decode()}: {spread.decode()} must have the shape of dy's first "
                         f"axes, not {shape_of(&vinv)} (dy: {shape_of(&vdy)})")
    args.mean = NULL
    if centered:
        mean_ = load_statistics(&vmean, mean, func, b"mean")
        check_shape(&vmean, shape_of(&vinv), func, b"mean")
        args.mean = <const double *>vmean.data
    cdef object shape = shape_of(&vdy)[leading:]
    args.N = leading_size(&vdy, 0, leading)
    args.I = leading_size(&vdy, leading, vdy.ndim)
    cdef object weight_ = load_optional(&vweight, weight, shape, &vx, func, b"weight")
    cdef object result = output(&vdx, out, shape_of(&vdy), &vdy, func)
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, True, func, b"dy")
        check_overlap(&vdx, out, &vx, x_, False, func, b"x")
        check_overlap_optional(&vdx, out, &vmean, mean_, func, b"mean")
        check_overlap(&vdx, out, &vinv, inv_, False, func, spread)
        check_overlap_optional(&vdx, out, &vweight, weight_, func, b"weight")
    cdef object dweight = allocate(&vdweight, shape, dtype_of(&vdy), func)
    args.dbias = NULL
    if centered:
        dbias = allocate(&vdbias, shape, dtype_of(&vdy), func)
        args.dbias = vdbias.data
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    cdef object computed = direct(&vdx, result, func)
    args.dy = vdy.data
    args.x = vx.data
    args.inv_std = <const double *>vinv.data
    args.weight = vweight.data
    args.dx = vdx.data
    args.dweight = vdweight.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_layer_norm_backward(dtype, &args)
    check(func, status)
    result = deliver(computed, result)
    return (result, dweight, dbias) if centered else (result, dweight)


def layer_norm(x, normalized_shape, weight=None, bias=None, *, eps=1e-5, bint return_stats=False,
               out=None):
    """Normalise over the last axes.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias`` with the mean and the (biased) variance
    over the axes of normalized_shape: Ba, Kiros and Hinton, Layer normalization, 2016, section 3.
    Data far from 0 lose no accuracy: see `batch_norm`.

    Parameters
    ----------
    x : ndarray, (..., *normalized_shape)
        float32 or float64. Copied once where it is not contiguous.
    normalized_shape : int or tuple of int
        Sizes of the last axes of x.
    weight, bias : ndarray, normalized_shape, optional
        Default: 1 and 0.
    eps : float, default 1e-5
        At least 0.
    return_stats : bool, default False
        Return mean and 1 / sqrt(var + eps) too, for `layer_norm_backward`.
    out : ndarray, same shape as x, optional
        May be x itself.

    Returns
    -------
    y : ndarray, same shape
    mean, inv_std : ndarray, the other axes of x
        With return_stats; float64.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, eps is negative, or out overlaps an input in part.
    """
    if eps is None:
        raise TypeError("layer_norm: eps must be a number, not NoneType")
    return row_norm(b"layer_norm", x, normalized_shape, weight, bias, eps, True, return_stats, out)


def layer_norm_backward(dy, x, mean, inv_std, weight=None, *, out=None):
    """Gradients of `layer_norm`.

    With ``xhat = (x - mean) * inv_std`` and ``g = dy * weight``:
    ``dx = inv_std * (g - mean of g - xhat * mean of g * xhat)``, means over the normalized axes;
    ``dweight = sum of dy * xhat`` and ``dbias = sum of dy`` over the others, in chunks of rows that
    are added in order.

    Parameters
    ----------
    dy : ndarray, (..., *normalized_shape)
        Gradient with respect to the result. float32 or float64. Copied once where it is not
        contiguous.
    x : ndarray, same shape
        The input of the forward pass.
    mean, inv_std : ndarray, the axes before normalized_shape
        float64, as the forward pass returned them.
    weight : ndarray, normalized_shape, optional
        That of the forward pass.
    out : ndarray, same shape, optional
        For dx; may be dy itself.

    Returns
    -------
    dx : ndarray, same shape
    dweight, dbias : ndarray, normalized_shape

    Raises
    ------
    TypeError
        Not NumPy arrays, not of one dtype, float32 or float64, or mean or inv_std not float64.
    ValueError
        Shapes do not match, or out overlaps an input in part.
    """
    return row_norm_backward(b"layer_norm_backward", dy, x, mean, inv_std, weight, True, out)


def rms_norm(x, normalized_shape, weight=None, *, eps=None, bint return_stats=False, out=None):
    """Divide by the root mean square over the last axes.

    ``y = x / sqrt(mean of x**2 + eps) * weight``: Zhang and Sennrich, Root mean square layer
    normalization, NeurIPS 2019, eq. 4.

    Parameters
    ----------
    x : ndarray, (..., *normalized_shape)
        float32 or float64. Copied once where it is not contiguous.
    normalized_shape : int or tuple of int
        Sizes of the last axes of x.
    weight : ndarray, normalized_shape, optional
        Default: 1.
    eps : float, optional
        At least 0. Default: ``numpy.finfo(x.dtype).eps``, as in PyTorch.
    return_stats : bool, default False
        Return 1 / sqrt(mean of x**2 + eps) too, for `rms_norm_backward`.
    out : ndarray, same shape as x, optional
        May be x itself.

    Returns
    -------
    y : ndarray, same shape
    inv_rms : ndarray, the other axes of x
        With return_stats; float64.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, eps is negative, or out overlaps an input in part.
    """
    return row_norm(b"rms_norm", x, normalized_shape, weight, None, eps, False, return_stats, out)


def rms_norm_backward(dy, x, inv_rms, weight=None, *, out=None):
    """Gradients of `rms_norm`.

    With ``xhat = x * inv_rms`` and ``g = dy * weight``:
    ``dx = inv_rms * (g - xhat * mean of g * xhat)``, ``dweight = sum of dy * xhat``.

    Parameters
    ----------
    dy : ndarray, (..., *normalized_shape)
        Gradient with respect to the result. float32 or float64. Copied once where it is not
        contiguous.
    x : ndarray, same shape
        The input of the forward pass.
    inv_rms : ndarray, the axes before normalized_shape
        float64, as the forward pass returned it.
    weight : ndarray, normalized_shape, optional
        That of the forward pass.
    out : ndarray, same shape, optional
        For dx; may be dy itself.

    Returns
    -------
    dx : ndarray, same shape
    dweight : ndarray, normalized_shape

    Raises
    ------
    TypeError
        Not NumPy arrays, not of one dtype, float32 or float64, or inv_rms not float64.
    ValueError
        Shapes do not match, or out overlaps an input in part.
    """
    return row_norm_backward(b"rms_norm_backward", dy, x, None, inv_rms, weight, False, out)
