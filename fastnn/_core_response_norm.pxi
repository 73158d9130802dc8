# Local response normalisation.

cdef object response_norm(const char *func, object x, object dy, object size, object alpha,
                          object beta, object k, object out):
    """Forward where dy is None."""
    cdef Array vx, vdy, vout
    cdef fnn_local_response_norm_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = None
    vdy.data = NULL
    if dy is not None:
        dy_ = load(&vdy, dy, func, b"dy")
    cdef object x_ = load(&vx, x, func, b"x")
    if dy is not None:
        check_dtype(&vx, b"x", &vdy, b"dy", func)
        check_shape(&vx, shape_of(&vdy), func, b"x")
    check_axes(&vx, 1, func, b"x")
    args.size = parse_integer(size, 1, func, b"size")
    args.alpha = parse_number(alpha, 0, DBL_MAX, func, b"alpha")
    args.beta = parse_number(beta, 0, DBL_MAX, func, b"beta")
    args.k = parse_number(k, 0, DBL_MAX, func, b"k")
    cdef object result = output(&vout, out, shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vout, out, &vx, x_, dy is None, func, b"x")
        if dy is not None:
            check_overlap(&vout, out, &vdy, dy_, True, func, b"dy")
    if vout.size == 0:
        return result
    x_ = contiguous(&vx, x_, func, b"x")
    if dy is not None:
        dy_ = contiguous(&vdy, dy_, func, b"dy")
    cdef object computed = direct(&vout, result, func)
    args.C = vx.shape[vx.ndim - 1]
    args.P = leading_size(&vx, 0, vx.ndim - 1)
    args.x = vx.data
    args.dy = vdy.data
    args.out = vout.data
    dtype = vx.dtype
    with nogil:
        if args.dy == NULL:
            status = fnn_local_response_norm_forward(dtype, &args)
        else:
            status = fnn_local_response_norm_backward(dtype, &args)
    check(func, status)
    return deliver(computed, result)


def local_response_norm(x, size, *, alpha=1e-4, beta=0.75, k=1.0, out=None):
    """Divide each channel by a power of its neighbours' mean square: AlexNet's normalisation.

    ``y[c] = x[c] * (k + alpha / size * sum of x[j]**2) ** -beta``, over the channels j from
    c - size // 2 to c + (size - 1) // 2 that exist: Krizhevsky, Sutskever and Hinton, ImageNet
    classification with deep convolutional neural networks, NIPS 2012, section 3.3. Formula and
    defaults are PyTorch's: the paper's alpha is not divided by size (size=5, k=2, beta=0.75 and
    alpha=5e-4 are AlexNet's values).

    Parameters
    ----------
    x : ndarray, (..., C)
        Channels last. float32 or float64. Copied once where it is not contiguous.
    size : int
        Channels of a window, at least 1.
    alpha, beta, k : float
        At least 0; default 1e-4, 0.75 and 1. A beta of 0.75 is the fastest by far.
    out : ndarray, same shape, optional
        May be x itself, which `local_response_norm_backward` then cannot be given any more.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64, or size is no integer.
    ValueError
        An option is out of range, or out overlaps x in part.
    """
    return response_norm(b"local_response_norm", x, None, size, alpha, beta, k, out)


def local_response_norm_backward(dy, x, size, *, alpha=1e-4, beta=0.75, k=1.0, out=None):
    """Gradient of `local_response_norm` with respect to x.

    With ``d[c] = k + alpha / size * sum of x[j]**2``, ``dx[j] = dy[j] * d[j]**-beta -
    2 * alpha * beta / size * x[j] * sum of dy[c] * x[c] * d[c]**(-beta - 1)`` over the channels c
    whose window holds j.

    Parameters
    ----------
    dy, x : ndarray, (..., C)
        Gradient with respect to the result, and the input of the forward pass. float32 or float64.
        Copied once where they are not contiguous.
    size, alpha, beta, k
        As in the forward pass.
    out : ndarray, same shape, optional
        May be dy itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes differ, an option is out of range, or out overlaps an input in part.
    """
    if type(dy) is not Symbol:
        require_array(dy, b"local_response_norm_backward", b"dy")
    return response_norm(b"local_response_norm_backward", x, dy, size, alpha, beta, k, out)
