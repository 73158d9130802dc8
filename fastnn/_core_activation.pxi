# Activations: their one forward and backward, and those that are epilogues of other kernels too.
# Forward takes x, backward y = f(x), or x where y does not suffice; both may work in place.


cdef object activation_forward(const char *func, fnn_activation activation, object x, object out,
                               double p0=0, double p1=0, double p2=0):
    cdef Array vx, vy
    cdef fnn_activation_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, func, b"x")
    cdef object result = output(&vy, out, shape_of(&vx), &vx, func)
    if out is not None:
        check_overlap(&vy, out, &vx, x_, True, func, b"x")
    x_ = contiguous(&vx, x_, func, b"x")
    cdef object computed = direct(&vy, result, func)
    args.size = vx.size
    args.activation = activation
    args.p = [p0, p1, p2]
    args.x = vx.data
    args.dy = NULL
    args.out = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_activation_forward(dtype, &args)
    check(func, status)
    return deliver(computed, result)


cdef object activation_backward(const char *func, fnn_activation activation, object dy, object y,
                                object out, const char *name=b"y", double p0=0, double p1=0,
                                double p2=0):
    cdef Array vdy, vy, vdx
    cdef fnn_activation_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object y_ = load(&vy, y, func, name)
    check_dtype(&vy, name, &vdy, b"dy", func)
    check_shape(&vy, shape_of(&vdy), func, name)
    cdef object result = output(&vdx, out, shape_of(&vdy), &vdy, func)
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, True, func, b"dy")
        check_overlap(&vdx, out, &vy, y_, True, func, name)
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    y_ = contiguous(&vy, y_, func, name)
    cdef object computed = direct(&vdx, result, func)
    args.size = vdy.size
    args.activation = activation
    args.p = [p0, p1, p2]
    args.x = vy.data
    args.dy = vdy.data
    args.out = vdx.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_activation_backward(dtype, &args)
    check(func, status)
    return deliver(computed, result)


def relu(x, *, out=None):
    """Rectifier ``max(x, 0)``; relu(-0.0) is 0.0, relu(nan) is nan.

    Parameters
    ----------
    x : ndarray, any shape
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        out has another shape, is read-only, or overlaps x in part.
    """
    return activation_forward(b"relu", FNN_RELU, x, out)


def relu_backward(dy, y, *, out=None):
    """Gradient of `relu` with respect to x: 0 where ``y <= 0``, else dy.

    Parameters
    ----------
    dy, y : ndarray, one shape
        Gradient with respect to the result, and the result. float32 or float64.
    out : ndarray, same shape, optional
        May be dy or y itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes differ, or out overlaps an input in part.
    """
    return activation_backward(b"relu_backward", FNN_RELU, dy, y, out)


def sigmoid(x, *, out=None):
    """Logistic function ``1 / (1 + exp(-x))``.

    float32 results are within 2 units in the last place, down to the subnormal ones.

    Parameters
    ----------
    x : ndarray, any shape
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        out has another shape, is read-only, or overlaps x in part.
    """
    return activation_forward(b"sigmoid", FNN_SIGMOID, x, out)


def sigmoid_backward(dy, y, *, out=None):
    """Gradient of `sigmoid` with respect to x: ``dy * y * (1 - y)``.

    Parameters
    ----------
    dy, y : ndarray, one shape
        Gradient with respect to the result, and the result. float32 or float64.
    out : ndarray, same shape, optional
        May be dy or y itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes differ, or out overlaps an input in part.
    """
    return activation_backward(b"sigmoid_backward", FNN_SIGMOID, dy, y, out)


def tanh(x, *, out=None):
    """Hyperbolic tangent, exactly odd; float32 results are within 2 units in the last place.

    Parameters
    ----------
    x : ndarray, any shape
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        out has another shape, is read-only, or overlaps x in part.
    """
    return activation_forward(b"tanh", FNN_TANH, x, out)


def tanh_backward(dy, y, *, out=None):
    """Gradient of `tanh` with respect to x: ``dy * (1 - y**2)``.

    Parameters
    ----------
    dy, y : ndarray, one shape
        Gradient with respect to the result, and the result. float32 or float64.
    out : ndarray, same shape, optional
        May be dy or y itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes differ, or out overlaps an input in part.
    """
    return activation_backward(b"tanh_backward", FNN_TANH, dy, y, out)


def scaled_tanh(x, *, out=None):
    """LeNet-5's squashing function ``1.7159 * tanh(2 * x / 3)``, for which f(1) = 1 and f(-1) = -1.

    LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition,
    Proc. IEEE 86 (1998), appendix A.

    Parameters
    ----------
    x : ndarray, any shape
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, same shape, optional
        May be x itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        out has another shape, is read-only, or overlaps x in part.
    """
    return activation_forward(b"scaled_tanh", FNN_SCALED_TANH, x, out)


def scaled_tanh_backward(dy, y, *, out=None):
    """Gradient of `scaled_tanh` with respect to x: ``dy * 2/3 * (1.7159 - y**2 / 1.7159)``.

    Parameters
    ----------
    dy, y : ndarray, one shape
        Gradient with respect to the result, and the result. float32 or float64.
    out : ndarray, same shape, optional
        May be dy or y itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes differ, or out overlaps an input in part.
    """
    return activation_backward(b"scaled_tanh_backward", FNN_SCALED_TANH, dy, y, out)
