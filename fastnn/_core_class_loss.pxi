# Losses of rows that belong to a class each; every function returns its gradient too.

from libc.stdint cimport INT64_MIN

cdef object np_int64 = np.dtype(np.int64)
cdef tuple CROSS_ENTROPY_ARGUMENTS = (
    "logits", "labels", "label_smoothing", "weight", "ignore_index", "reduction", "out")
cdef object IGNORE_INDEX = -100
cdef object REDUCTIONS = {"mean": FNN_MEAN, "sum": FNN_SUM, "none": FNN_NONE}

ctypedef fnn_status (*class_loss_function)(fnn_dtype, const fnn_class_loss_args *) noexcept nogil


cdef double parse_real(object value, const char *func, const char *name) except? -1:
    if not isinstance(value, str):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    raise TypeError(f"{func.decode()}: {name.decode()} must be a number, "
                    f"not {type(value).__name__}")


cdef double parse_positive(object value, const char *func, const char *name) except? -1:
    cdef double number = parse_real(value, func, name)
    if not 0 < number < float("inf"):
        raise ValueError(f"{func.decode()}: {name.decode()} must be above 0 and finite, "
                         f"not {value!r}")
    return number


cdef fnn_reduction parse_reduction(object reduction, const char *func) except *:
    if not isinstance(reduction, str):
        raise TypeError(f"{func.decode()}: reduction must be a string, "
                        f"not {type(reduction).__name__}")
    if reduction not in REDUCTIONS:
        valid = ", ".join(repr(name) for name in REDUCTIONS)
        raise ValueError(f"{func.decode()}: reduction must be one of {valid}, not {reduction!r}")
    return REDUCTIONS[reduction]


cdef bint parse_ignore_index(object ignore_index, int64_t *ignored, const char *func) except -1:
    """Whether a label may be ignored, and which; -1 only with an exception."""
    ignored[0] = INT64_MIN
    if ignore_index is None:
        return False
    try:
        number = index(ignore_index)
    except TypeError:
        raise TypeError(f"{func.decode()}: ignore_index must be an integer or None, "
                        f"not {type(ignore_index).__name__}") from None
    if not -2 ** 63 < number < 2 ** 63:
        raise ValueError(f"{func.decode()}: ignore_index must fit in 64 bits, not {number}")
    ignored[0] = number
    return True


cdef const int64_t *plain_labels(object labels, int64_t N) noexcept:
    """The labels where they lie, if they are the usual kind of array; NULL: ask NumPy."""
    if not fields_are_known or type(labels) is not np_ndarray:
        return NULL
    cdef fnn_ndarray *fields = <fnn_ndarray *><PyObject *>labels
    if (fields.descr != <PyObject *>np_int64 or not fields.flags & FNN_NDARRAY_ALIGNED
            or fields.nd != 1 or fields.dimensions[0] != N or fields.strides[0] != 8):
        return NULL
    return <const int64_t *>fields.data


cdef object parse_labels(object labels, int64_t N, int64_t C, object ignore_index,
                         fnn_class_loss_args *args, const char *func):
    """Set `labels` and `ignore_index`; return the array that holds the labels as int64."""
    cdef int64_t i, bad = 0
    cdef bint ignores = parse_ignore_index(ignore_index, &args.ignore_index, func)
    cdef int64_t ignored = args.ignore_index
    cdef const int64_t *data = plain_labels(labels, N)
    cdef object labels_ = labels
    if is_recording():
        return record_labels(labels, C, ignored if ignores else None, args, func)
    if data == NULL:
        require_array(labels, func, b"labels")
        labels = np.asarray(labels)   # a subclass may say of itself what it likes
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{func.decode()}: labels must be integers, not {labels.dtype}")
        if labels.shape != (N,):
            raise ValueError(f"{func.decode()}: labels must have shape {(N,)}, not {labels.shape}")
        if labels.dtype.kind == "u" and (labels > np.int64(2 ** 63 - 1)).any():
            raise wrong_label(labels, int(np.argmax(labels > np.int64(2 ** 63 - 1))), C, func)
        labels_ = np.require(labels, np.int64, "CA")
        data = <const int64_t *>bytes_of(labels_)
    i = find_wrong_label(data, N, C, ignores, ignored)
    if i >= 0:
        raise wrong_label(labels, i, C, func)
    args.labels = data
    return labels_


cdef int64_t find_wrong_label(const int64_t *labels, int64_t N, int64_t C, bint ignores,
                              int64_t ignored) noexcept:
    """The first that is neither in [0, C) nor ignored, or -1."""
    cdef int64_t i, bad = 0
    for i in range(N):
        bad += (labels[i] < 0 or labels[i] >= C) and not (ignores and labels[i] == ignored)
    if bad == 0:
        return -1
    for i in range(N):
        if (labels[i] < 0 or labels[i] >= C) and not (ignores and labels[i] == ignored):
            return i


cdef object record_labels(object labels, int64_t C, object ignored, fnn_class_loss_args *args,
                          const char *func):
    """`parse_labels` of int64 arrays or Symbols, whose values are looked at before every run."""
    cdef object shape = plain(labels).shape if hasattr(labels, "shape") else None
    args.labels = record_integers(labels, C, ignored, func, b"labels", "a class")
    if shape != (args.N,):
        raise ValueError(f"{func.decode()}: labels must have shape {(args.N,)}, not {shape}")
    return labels


cdef const int64_t *record_integers(object array, int64_t C, object ignored, const char *func,
                                    const char *name, object what) except NULL:
    """The data of an int64 array or Symbol, whose values are looked at before every run."""
    memory = plain(array)
    if not isinstance(memory, np_ndarray):
        require_array(array, func, name)
    if memory.dtype.kind not in "iu":
        raise TypeError(f"{func.decode()}: {name.decode()} must be integers, not {memory.dtype}")
    if memory.dtype != np_int64 or not (memory.flags.c_contiguous and memory.flags.aligned):
        raise recorder().refusal(
            f"a {func.decode()} of {name.decode()} that are not contiguous int64")
    if type(array) is not Symbol:
        recorder().capture(array)
    recorder().checks.append((array, memory.size, C, ignored, f"{func.decode()}: {name.decode()}",
                              what))
    return <const int64_t *>bytes_of(memory)


def check_labels(caller, labels, N, C):
    """Raise unless labels are N integers from 0 to C - 1; in a program, before every run."""
    cdef fnn_class_loss_args args
    cdef bytes func = caller.encode()
    args.N = N
    parse_labels(labels, N, C, None, &args, func)


cdef object wrong_label(object labels, int64_t i, int64_t C, const char *func):
    return ValueError(f"{func.decode()}: labels[{i}] is {labels[i]}, "
                      f"not a class from 0 to {C - 1}")


cdef int check_labels_overlap(Array *view, object out, const fnn_class_loss_args *args,
                              object labels, const char *func) except -1:
    cdef char *low
    cdef char *high
    extent(view, &low, &high)
    if <char *>args.labels < high and low < <char *>(args.labels + args.N):
        if np_shares_memory(plain(out), plain(labels)):
            raise ValueError(f"{func.decode()}: out overlaps labels")
    return 0


cdef bint holds_reals(object array):
    cdef fnn_ndarray *fields
    if fields_are_known and type(array) is np_ndarray:
        fields = <fnn_ndarray *><PyObject *>array
        if fields.descr == <PyObject *>np_int64:
            return False
    array = plain(array)
    return isinstance(array, np_ndarray) and np.asarray(array).dtype.kind == "f"


cdef object class_loss(class_loss_function run, const char *func, const char *name, object x,
                       object labels, bint may_be_probabilities, object weight,
                       object ignore_index, object reduction, fnn_class_loss_args *args,
                       object out):
    cdef Array vx, vt, vw, vdx, vlosses
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef double loss = 0
    cdef object losses = None
    cdef object weight_ = None
    cdef object total = None
    cdef object x_ = load(&vx, x, func, name)
    check_ndim(&vx, 2, func, name)
    args.N = vx.shape[0]
    args.C = vx.shape[1]
    args.reduction = parse_reduction(reduction, func)
    if args.C == 0 or (args.N == 0 and args.reduction == FNN_MEAN):
        raise ValueError(f"{func.decode()}: {name.decode()} of shape {shape_of(&vx)} are empty: "
                         "the mean over no rows or classes is not defined")
    cdef bint probabilities = may_be_probabilities and holds_reals(labels)
    cdef object labels_
    args.labels = NULL
    args.probabilities = NULL
    if probabilities:
        if parse_ignore_index(ignore_index, &args.ignore_index, func) and args.ignore_index >= 0:
            raise ValueError(f"{func.decode()}: ignore_index = {ignore_index} needs labels that "
                             "are integers, not probabilities")
        labels_ = load(&vt, labels, func, b"labels")
        check_dtype(&vt, b"labels", &vx, name, func)
        check_shape(&vt, (args.N, args.C), func, b"labels")
    else:
        labels_ = parse_labels(labels, args.N, args.C, ignore_index, args, func)
    args.weight = NULL
    if weight is not None:
        weight_ = load(&vw, weight, func, b"weight")
        check_dtype(&vw, b"weight", &vx, name, func)
        check_shape(&vw, (args.C,), func, b"weight")
        weight_ = contiguous(&vw, weight_, func, b"weight")
        args.weight = vw.data
    cdef object result = output_matrix(&vdx, out, args.N, args.C, &vx, func)
    if out is not None:
        check_overlap(&vdx, out, &vx, x_, True, func, name)
        if weight is not None:
            check_overlap(&vdx, out, &vw, weight_, False, func, b"weight")
        if probabilities:
            check_overlap(&vdx, out, &vt, labels_, False, func, b"labels")
        else:
            check_labels_overlap(&vdx, out, args, labels_, func)
    if probabilities:
        labels_ = contiguous(&vt, labels_, func, b"labels")
        args.probabilities = vt.data
    x_ = contiguous(&vx, x_, func, name)
    cdef object computed = direct(&vdx, result, func)
    args.loss = NULL
    args.losses = NULL
    if args.reduction == FNN_NONE:
        losses = allocate(&vlosses, (args.N,), dtype_of(&vx), func)
        args.losses = vlosses.data
    else:
        total = number_symbol()
        args.loss = number_data(total, &loss)
    args.x = vx.data
    args.dx = vdx.data
    dtype = vx.dtype
    if vx.size <= HOLD_SIZE:
        status = run(dtype, args)
    else:
        with nogil:
            status = run(dtype, args)
    check(func, status)
    if losses is None:
        losses = loss if total is None else total
    return losses, deliver(computed, result)


@cython.binding(False)
def softmax_cross_entropy(logits, labels, *, label_smoothing=0.0, weight=None, ignore_index=-100,
                          reduction="mean", out=None):
    """Cross-entropy of softmax(logits) against labels, and its gradient, in one pass.

    With the target ``q[n,c] = weight[c] * ((1 - s) * t[n,c] + s / C)``, s being label_smoothing and
    t the probabilities, or 1 for ``c == labels[n]`` and else 0::

        losses[n] = sum over c of q[n,c] * (logsumexp(logits[n]) - logits[n,c])
        dlogits[n] = (sum(q[n]) * softmax(logits[n]) - q[n]) / divisor

    The loss is ``sum(losses) / divisor``: of "mean", the divisor is N for probabilities, else the
    sum of ``weight[labels[n]]`` over the rows that are not ignored; else it is 1. All of this is as
    in PyTorch, but that a class with ``q = 0`` adds 0 even if its logit is minus infinity. Label
    smoothing: C. Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR
    2016, section 7.

    Parameters
    ----------
    logits : ndarray, (N, C)
        float32 or float64; C, and for "mean" N, at least 1. Copied once where it is not contiguous.
    labels : ndarray of integers, (N,), or of the dtype of logits, (N, C)
        Classes, from 0 to C - 1, or their probabilities.
    label_smoothing : float, default 0.0
        From 0 to 1.
    weight : ndarray, (C,), optional
        Of each class; ones by default.
    ignore_index : int or None, default -100
        Rows with this label have loss 0 and a gradient of zeros, whatever their logits. If all
        have it, the mean is NaN and the gradient zeros. None: no row is ignored.
    reduction : {"mean", "sum", "none"}, default "mean"
        What is returned of losses: their mean, their sum, or each.
    out : ndarray, (N, C), optional
        Where dlogits goes; may be logits itself.

    Returns
    -------
    loss : float, or ndarray (N,) for "none"
        Summed in double precision. NaN where a logit is.
    dlogits : ndarray, (N, C)
        Gradient of the loss; for "none", of the sum.

    Raises
    ------
    TypeError
        Not NumPy arrays of one dtype, float32 or float64, and labels of integers or that dtype;
        another argument of the wrong kind.
    ValueError
        Empty logits, shapes that do not match, a label that is no class, label_smoothing outside 0
        to 1, an ignore_index of 0 or more with probabilities, an unknown reduction, or out
        overlapping an input, logits only in part.
    """
    return softmax_cross_entropy_(logits, labels, label_smoothing, weight, ignore_index, reduction,
                                  out)


cdef object softmax_cross_entropy_(object logits, object labels, object label_smoothing,
                                   object weight, object ignore_index, object reduction,
                                   object out):
    cdef fnn_class_loss_args args
    blank(&args, sizeof(args))
    cdef const char *func = b"softmax_cross_entropy"
    args.label_smoothing = parse_real(label_smoothing, func, b"label_smoothing")
    if not 0 <= args.label_smoothing <= 1:
        raise ValueError(f"{func.decode()}: label_smoothing must be from 0 to 1, "
                         f"not {label_smoothing!r}")
    return class_loss(fnn_softmax_cross_entropy, func, b"logits", logits, labels, True, weight,
                      ignore_index, reduction, &args, out)


cdef object softmax_cross_entropy_fast(PyObject *self, PyObject **args, Py_ssize_t nargs,
                                       PyObject *names):
    cdef PyObject *v[MAX_ARGUMENTS]
    bind(b"softmax_cross_entropy", CROSS_ENTROPY_ARGUMENTS, 2, 2, args, nargs, names, v)
    return softmax_cross_entropy_(
        <object>v[0], <object>v[1], 0.0 if v[2] == NULL else <object>v[2], or_none(v[3]),
        IGNORE_INDEX if v[4] == NULL else <object>v[4], "mean" if v[5] == NULL else <object>v[5],
        or_none(v[6]))


softmax_cross_entropy = fast(softmax_cross_entropy, softmax_cross_entropy_fast)


def nll(log_probabilities, labels, *, weight=None, ignore_index=-100, reduction="mean", out=None):
    """Negative log-likelihood of the labels, and its gradient: what follows a `log_softmax`.

    ``losses[n] = -weight[labels[n]] * log_probabilities[n, labels[n]]``; the loss is
    ``sum(losses) / divisor``: of "mean", the divisor is the sum of ``weight[labels[n]]`` over the
    rows that are not ignored, else 1. `softmax_cross_entropy` does both in one pass.

    Parameters
    ----------
    log_probabilities : ndarray, (N, C)
        float32 or float64; C, and for "mean" N, at least 1. Copied once where it is not contiguous.
    labels : ndarray of integers, (N,)
        Classes, from 0 to C - 1.
    weight : ndarray, (C,), optional
        Of each class; ones by default.
    ignore_index : int or None, default -100
        Rows with this label have loss 0 and a gradient of zeros. If all have it, the mean is NaN
        and the gradient zeros. None: no row is ignored.
    reduction : {"mean", "sum", "none"}, default "mean"
        What is returned of losses: their mean, their sum, or each.
    out : ndarray, (N, C), optional
        Where the gradient goes; may be log_probabilities itself.

    Returns
    -------
    loss : float, or ndarray (N,) for "none"
        Summed in double precision.
    gradient : ndarray, (N, C)
        Of the loss with respect to log_probabilities; for "none", of the sum.

    Raises
    ------
    TypeError
        Not NumPy arrays of one dtype, float32 or float64, and labels of integers; another argument
        of the wrong kind.
    ValueError
        Empty log_probabilities, shapes that do not match, a label that is no class, an unknown
        reduction, or out overlapping an input, log_probabilities only in part.
    """
    cdef fnn_class_loss_args args
    blank(&args, sizeof(args))
    return class_loss(fnn_nll, b"nll", b"log_probabilities", log_probabilities, labels, False,
                      weight, ignore_index, reduction, &args, out)


def multi_margin(scores, labels, *, p=1, margin=1.0, weight=None, reduction="mean", out=None):
    """Hinge loss of several classes, and its gradient.

    ``losses[n] = weight[y] / C * sum over c != y of max(0, margin - scores[n,y] + scores[n,c])**p``
    with ``y = labels[n]``; the loss is their mean or sum. As PyTorch's multi_margin_loss; without
    ``/ C`` and with ``p = 1``: K. Crammer and Y. Singer's, JMLR 2 (2001), summed as by J. Weston
    and C. Watkins, ESANN 1999.

    Parameters
    ----------
    scores : ndarray, (N, C)
        float32 or float64; C, and for "mean" N, at least 1. Copied once where it is not contiguous.
    labels : ndarray of integers, (N,)
        Classes, from 0 to C - 1.
    p : 1 or 2, default 1
        The exponent.
    margin : float, default 1.0
        By which a label's score should exceed the others; above 0.
    weight : ndarray, (C,), optional
        Of each class; ones by default.
    reduction : {"mean", "sum", "none"}, default "mean"
        What is returned of losses: their mean, their sum, or each.
    out : ndarray, (N, C), optional
        Where the gradient goes; may be scores itself.

    Returns
    -------
    loss : float, or ndarray (N,) for "none"
        Summed in double precision.
    dscores : ndarray, (N, C)
        Gradient of the loss; for "none", of the sum.

    Raises
    ------
    TypeError
        Not NumPy arrays of one dtype, float32 or float64, and labels of integers; another argument
        of the wrong kind.
    ValueError
        Empty scores, shapes that do not match, a label that is no class, p neither 1 nor 2, margin
        not above 0, an unknown reduction, or out overlapping an input, scores only in part.
    """
    cdef fnn_class_loss_args args
    blank(&args, sizeof(args))
    args.power = parse_integer(p, 1, b"multi_margin", b"p")
    if args.power > 2:
        raise ValueError(f"multi_margin: p must be 1 or 2, not {p}")
    args.margin = parse_positive(margin, b"multi_margin", b"margin")
    return class_loss(fnn_multi_margin, b"multi_margin", b"scores", scores, labels, False, weight,
                      None, reduction, &args, out)
