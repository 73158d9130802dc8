# Group norm: batch norm of each image, over groups of channels.


def group_norm(x, num_groups, weight=None, bias=None, *, eps=1e-5, bint return_stats=False,
               out=None):
    """Normalise each image over its pixels and groups of channels.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias`` with the mean and the (biased) variance of
    all pixels and of C / num_groups successive channels: Wu and He, Group normalization, ECCV 2018,
    section 3.1. Sums are combined as `batch_norm`'s are.

    Parameters
    ----------
    x : ndarray, (N, ..., C)
        Channels last; at least 2 axes. float32 or float64. Copied once where it is not contiguous.
    num_groups : int
        Divides C.
    weight, bias : ndarray, (C,), optional
        Default: 1 and 0.
    eps : float, default 1e-5
        At least 0.
    return_stats : bool, default False
        Return mean and 1 / sqrt(var + eps) too, for `group_norm_backward`.
    out : ndarray, same shape as x, optional
        May be x itself.

    Returns
    -------
    y : ndarray, same shape
    mean, inv_std : ndarray, (N, num_groups)
        With return_stats; float64.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, num_groups does not divide C, eps is negative, or out overlaps an input
        in part.
    """
    cdef const char *func = b"group_norm"
    cdef Array vx, vweight, vbias, vmean, vinv, vy
    cdef fnn_group_norm_forward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, func, b"x")
    check_axes(&vx, 2, func, b"x")
    args.N = vx.shape[0]
    args.C = vx.shape[vx.ndim - 1]
    args.P = leading_size(&vx, 1, vx.ndim - 1)
    args.groups = parse_integer(num_groups, 1, func, b"num_groups")
    if args.C % args.groups != 0:
        raise ValueError(f"group_norm: num_groups={args.groups} does not divide the {args.C} "
                         f"channels of x")
    cdef object channels = (args.C,)
    cdef object weight_ = load_optional(&vweight, weight, channels, &vx, func, b"weight")
    cdef object bias_ = load_optional(&vbias, bias, channels, &vx, func, b"bias")
    args.eps = parse_eps(eps, func)
    cdef object result = output(&vy, out, shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vy, out, &vx, x_, True, func, b"x")
        check_overlap_optional(&vy, out, &vweight, weight_, func, b"weight")
        check_overlap_optional(&vy, out, &vbias, bias_, func, b"bias")
    cdef object mean = allocate(&vmean, (args.N, args.groups), np_float64, func)
    cdef object inv_std = allocate(&vinv, (args.N, args.groups), np_float64, func)
    x_ = contiguous(&vx, x_, func, b"x")
    cdef object computed = direct(&vy, result, func)
    args.x = vx.data
    args.weight = vweight.data
    args.bias = vbias.data
    args.mean = <double *>vmean.data
    args.inv_std = <double *>vinv.data
    args.y = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_group_norm_forward(dtype, &args)
    check(func, status)
    result = deliver(computed, result)
    return (result, mean, inv_std) if return_stats else result


def group_norm_backward(dy, x, mean, inv_std, weight=None, *, out=None):
    """Gradients of `group_norm`.

    With ``xhat = (x - mean) * inv_std`` and ``g = dy * weight``, sums over images and pixels, means
    over the pixels and the channels of a group: ``dbias = sum of dy``,
    ``dweight = sum of dy * xhat``,
    ``dx = inv_std * (g - mean of g - xhat * mean of g * xhat)``.

    Parameters
    ----------
    dy : ndarray, (N, ..., C)
        Gradient with respect to the result. float32 or float64. Copied once where it is not
        contiguous.
    x : ndarray, same shape
        The input of the forward pass.
    mean, inv_std : ndarray, (N, num_groups)
        float64, as the forward pass returned them.
    weight : ndarray, (C,), optional
        That of the forward pass.
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
    cdef const char *func = b"group_norm_backward"
    cdef Array vdy, vx, vmean, vinv, vweight, vdx, vdweight, vdbias
    cdef fnn_group_norm_backward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    check_axes(&vdy, 2, func, b"dy")
    args.N = vdy.shape[0]
    args.C = vdy.shape[vdy.ndim - 1]
    args.P = leading_size(&vdy, 1, vdy.ndim - 1)
    cdef object x_ = load_like(&vx, x, &vdy, func, b"x")
    cdef object mean_ = load_statistics(&vmean, mean, func, b"mean")
    cdef object inv_ = load_statistics(&vinv, inv_std, func, b"inv_std")
    check_ndim(&vmean, 2, func, b"mean")
    args.groups = vmean.shape[1]
    if vmean.shape[0] != args.N or args.groups == 0 or args.C % args.groups != 0:
        raise ValueError(f"group_norm_backward: mean must have shape (N, num_groups), num_groups "
                         f"dividing C, not {shape_of(&vmean)} (dy: {shape_of(&vdy)})")
    check_shape(&vinv, shape_of(&vmean), func, b"inv_std")
    cdef object channels = (args.C,)
    cdef object weight_ = load_optional(&vweight, weight, channels, &vx, func, b"weight")
    cdef object result = output(&vdx, out, shape_of(&vdy), &vdy, func)
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, True, func, b"dy")
        check_overlap(&vdx, out, &vx, x_, False, func, b"x")
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
        status = fnn_group_norm_backward(dtype, &args)
    check(func, status)
    return deliver(computed, result), dweight, dbias
