# Embedding: rows of a table by number.


cdef object load_indices(object indices, int64_t V, fnn_embedding_args *args, const char *func):
    """Set N and `indices`; return the array that holds them as int64."""
    cdef int64_t bad
    cdef object held
    if is_recording():
        args.indices = record_integers(indices, V, None, func, b"indices", "a row")
        args.N = indices.size
        return indices
    require_array(indices, func, b"indices")
    indices = np.asarray(indices)   # a subclass may say of itself what it likes
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{func.decode()}: indices must be integers, not {indices.dtype}")
    if indices.dtype == np_uint64 and (indices > np.uint64(2 ** 63 - 1)).any():
        raise ValueError(f"{func.decode()}: indices must be from 0 to {V - 1}")
    held = np.require(indices, np_int64, "CA")
    args.N = held.size
    args.indices = <const int64_t *>bytes_of(held)
    bad = find_wrong_label(args.indices, args.N, V, False, 0)
    if bad >= 0:
        raise ValueError(f"{func.decode()}: indices[{bad}] is {held.reshape(-1)[bad]}, not a row "
                         f"from 0 to {V - 1}")
    return held


def embedding(weight, indices, *, out=None):
    """Rows of a table: ``y[..., :] = weight[indices[...], :]``.

    Parameters
    ----------
    weight : ndarray, (V, D)
        float32 or float64. Copied once where it is not contiguous.
    indices : ndarray of integers, any shape
        From 0 to V - 1. Copied once where they are not contiguous int64.
    out : ndarray, (..., D), optional

    Returns
    -------
    ndarray, (..., D)

    Raises
    ------
    TypeError
        weight is not a NumPy array of float32 or float64, or indices not one of integers.
    ValueError
        Shapes do not match, an index is out of range, or out overlaps weight.
    """
    cdef const char *func = b"embedding"
    cdef Array vweight, vy
    cdef fnn_embedding_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object weight_ = load(&vweight, weight, func, b"weight")
    check_ndim(&vweight, 2, func, b"weight")
    args.V = vweight.shape[0]
    args.D = vweight.shape[1]
    cdef object held = load_indices(indices, args.V, &args, func)
    cdef object result = output(&vy, out, tuple(held.shape) + (args.D,), &vweight, func)
    if out is not None:
        check_overlap(&vy, out, &vweight, weight_, False, func, b"weight")
    if vy.size == 0:
        return result
    weight_ = contiguous(&vweight, weight_, func, b"weight")
    cdef object computed = direct(&vy, result, func)
    args.padding_index = -1
    args.input = vweight.data
    args.out = vy.data
    args.accumulate = False
    dtype = vweight.dtype
    with nogil:
        status = fnn_embedding_forward(dtype, &args)
    check(func, status)
    return deliver(computed, result)


def embedding_backward(dy, indices, num_embeddings, *, padding_index=None, bint accumulate=False,
                       out=None):
    """Gradient of `embedding` with respect to weight: ``dw[indices[n]] += dy[n]``, n ascending.

    Rows that occur several times add up in the order of the indices, whatever the number of
    threads.

    Parameters
    ----------
    dy : ndarray, (..., D)
        float32 or float64. Copied once where it is not contiguous.
    indices : ndarray of integers, (...)
        Of the forward pass.
    num_embeddings : int
        V.
    padding_index : int, optional
        A row whose gradient stays 0.
    accumulate : bool, default False
        Add to out instead of overwriting it.
    out : ndarray, (V, D), optional

    Returns
    -------
    ndarray, (V, D)

    Raises
    ------
    TypeError
        dy is not a NumPy array of float32 or float64, or indices not one of integers.
    ValueError
        Shapes do not match, an index is out of range, accumulate without out, or out overlaps dy.
    """
    cdef const char *func = b"embedding_backward"
    cdef Array vdy, vdw
    cdef fnn_embedding_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    if vdy.ndim < 1:
        raise ValueError("embedding_backward: dy must have at least 1 dimension")
    args.V = parse_integer(num_embeddings, 0, func, b"num_embeddings")
    args.D = vdy.shape[vdy.ndim - 1]
    args.padding_index = -1
    if padding_index is not None:
        args.padding_index = parse_integer(padding_index, 0, func, b"padding_index")
    check_accumulate(accumulate, out, func)
    cdef object held = load_indices(indices, args.V, &args, func)
    check_shape(&vdy, tuple(held.shape) + (args.D,), func, b"dy")
    cdef object result = output(&vdw, out, (args.V, args.D), &vdy, func)
    if out is not None:
        check_overlap(&vdw, out, &vdy, dy_, False, func, b"dy")
    if vdw.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    cdef object computed = accumulator(&vdw, result, accumulate, func)
    args.input = vdy.data
    args.out = vdw.data
    args.accumulate = accumulate
    dtype = vdy.dtype
    with nogil:
        status = fnn_embedding_backward(dtype, &args)
    check(func, status)
    return deliver(computed, result)
