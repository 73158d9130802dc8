"""Ops that other ops can do in the same pass.

Each function takes the ops and returns them with one pattern replaced wherever it stands. The
results are the same to the bit.
"""

from __future__ import annotations

from fastnn.program.graph import WRITE, Buffer, Op, Operand

RELU = 1  # fnn_activation
EPILOGUES = (1, 2, 3, 4)  # those that gemm and convolution apply to what they have just computed


class Uses:
    """Who reads and writes each buffer, by position."""

    def __init__(self, ops: list[Op]) -> None:
        self.readers: dict[Buffer, list[int]] = {}
        self.writers: dict[Buffer, list[int]] = {}
        for i, op in enumerate(ops):
            for operand in op.operands:
                if operand.reads:
                    self.readers.setdefault(operand.buffer, []).append(i)
                if operand.writes:
                    self.writers.setdefault(operand.buffer, []).append(i)

    def private(self, operand: Operand | None) -> bool:
        """Whether a whole temporary buffer is meant that one op writes."""
        return (
            operand is not None
            and operand.buffer.kind == "temporary"
            and operand.offset == 0
            and len(self.writers.get(operand.buffer, ())) == 1
        )

    def only_reader(self, operand: Operand) -> int | None:
        """Return the position of the only op that reads the operand's buffer."""
        readers = self.readers.get(operand.buffer, [])
        return readers[0] if len(readers) == 1 else None


def fuse_relu_into_pooling(ops: list[Op]) -> list[Op]:
    """ReLU before max pooling, forward and backward: index 255 marks where ReLU cut off.

    ``r = relu(x); y = max_pool(r)`` and ``dr = max_pool_backward(dy); dx = relu_backward(dr, r)``
    become two ops on the pooled array and x, if nothing else reads r or dr.
    """
    uses = Uses(ops)
    removed = set()
    for i, relu in enumerate(ops):
        if relu.name != "activation_forward" or relu["activation"] != RELU:
            continue
        r = _operand(relu, "out")
        readers = uses.readers.get(r.buffer, [])
        pools = [j for j in readers if ops[j].name == "max_pool2d_forward"]
        backwards = [j for j in readers if j not in pools]
        if not uses.private(r) or len(pools) != 1 or len(backwards) > 1:
            continue
        pool = ops[pools[0]]
        x = _operand(relu, "x")
        if pool["relu"] or _operand(pool, "x").offset or not _unchanged(uses, x, i, pools[0]):
            continue
        if backwards:
            if not _join_backward(ops, uses, pool, backwards[0], r.buffer):
                continue
        elif not _indices_unread(uses, pool):
            continue
        pool.point("x", _operand(relu, "x"))
        pool["relu"] = True
        pool.fused.append("relu")
        removed.add(i)
        removed.update(backwards)
    return [op for i, op in enumerate(ops) if i not in removed]


def _join_backward(ops: list[Op], uses: Uses, pool: Op, at: int, r: Buffer) -> bool:
    """Let the gradient of the pooling write where that of ReLU does, if that is all there is."""
    backward = ops[at]
    indices = pool.operand("indices")
    if indices is None or backward.name != "activation_backward":
        return False
    x = _operand(backward, "x")
    if backward["activation"] != RELU or x.buffer is not r or x.offset:
        return False
    dr = _operand(backward, "dy")
    if not uses.private(dr) or uses.only_reader(dr) != at or not _is_whole(dr, backward["size"]):
        return False
    scatter = ops[uses.writers[dr.buffer][0]]
    if scatter.name != "max_pool2d_backward" or _operand(scatter, "dx").offset:
        return False
    # the indices are others with ReLU: they must be for this gradient alone
    if not uses.private(indices) or uses.only_reader(indices) != uses.writers[dr.buffer][0]:
        return False
    # what it wrote is written earlier now: nobody may look at it in between
    dx = _operand(backward, "out")
    if not _written_once(uses, dx):
        return False
    scatter.point("dx", dx)
    scatter.fused.append("relu_backward")
    return True


def fuse_activation(ops: list[Op]) -> list[Op]:
    """An activation after a product or a convolution becomes its epilogue."""
    uses = Uses(ops)
    removed = set()
    for i, activation in enumerate(ops):
        if activation.name != "activation_forward" or activation["activation"] not in EPILOGUES:
            continue
        x, out = _operand(activation, "x"), _operand(activation, "out")
        if not uses.private(x) or uses.only_reader(x) != i or not _written_once(uses, out):
            continue
        producer = ops[uses.writers[x.buffer][0]]
        if producer.name not in ("conv2d_forward", "gemm") or producer["activation"]:
            continue
        if producer.name == "gemm" and not _is_dense(producer, activation["size"]):
            continue
        if producer.name == "conv2d_forward" and (
            _operand(producer, "y").offset or not _is_whole(x, activation["size"])
        ):
            continue
        producer["activation"] = activation["activation"]
        producer.point("y" if producer.name == "conv2d_forward" else "out", out)
        producer.fused.append("activation")
        removed.add(i)
    return [op for i, op in enumerate(ops) if i not in removed]


def fuse_batch_norm(ops: list[Op]) -> list[Op]:
    """ReLU after batch norm becomes part of it, and so does its gradient.

    ``r = relu(batch_norm(x))`` and ``batch_norm_backward(relu_backward(dr, r), ...)`` become two
    ops, if nothing else reads what lies between.
    """
    uses = Uses(ops)
    removed: set[int] = set()
    for i, relu in enumerate(ops):
        if relu.name != "activation_forward" or relu["activation"] != RELU:
            continue
        y, r = _operand(relu, "x"), _operand(relu, "out")
        if not uses.private(y) or uses.only_reader(y) != i or not _written_once(uses, r):
            continue
        norm = ops[uses.writers[y.buffer][0]]
        if norm.name != "batch_norm_forward" or norm["relu"] or _operand(norm, "y").offset:
            continue
        if not (_is_whole(y, relu["size"]) and _is_whole(r, relu["size"])):
            continue
        norm["relu"] = True
        norm.point("y", r)
        norm.fused.append("relu")
        removed.add(i)
        removed.update(j for j in uses.readers.get(r.buffer, ()) if _join_norm(ops, uses, j, r))
    return [op for i, op in enumerate(ops) if i not in removed]


def _join_norm(ops: list[Op], uses: Uses, at: int, r: Operand) -> bool:
    """Let the gradient of batch norm look at r itself, in place of the op that does."""
    backward = ops[at]
    if backward.name != "activation_backward" or backward["activation"] != RELU:
        return False
    x, dr, dy = (_operand(backward, name) for name in ("x", "dy", "out"))
    if x.buffer is not r.buffer or x.offset or not _is_whole(r, backward["size"]):
        return False
    k = uses.only_reader(dy)
    if not uses.private(dy) or k is None or not _is_whole(dy, backward["size"]):
        return False
    norm = ops[k]
    if norm.name != "batch_norm_backward" or norm.operand("y") is not None:
        return False
    if _operand(norm, "dy").buffer is not dy.buffer or _operand(norm, "dy").offset:
        return False
    if not (_unchanged(uses, dr, at, k) and _unchanged(uses, r, at, k)):
        return False
    norm.point("dy", dr)
    norm.point("y", r)
    norm.fused.append("relu_backward")
    return True


def fuse_mask(ops: list[Op]) -> list[Op]:
    """The gradient of ReLU after a product becomes a mask, where ReLU is another's epilogue.

    ``r = relu(a @ b)`` notes where r is not 0, and ``dx = relu_backward(dy @ w, r)`` becomes the
    product alone, which writes zeros elsewhere.
    """
    uses = Uses(ops)
    removed = set()
    for i, backward in enumerate(ops):
        if backward.name != "activation_backward" or backward["activation"] != RELU:
            continue
        r, dr = _operand(backward, "x"), _operand(backward, "dy")
        dx = _operand(backward, "out")
        if not (uses.private(r) and uses.private(dr) and _written_once(uses, dx)):
            continue
        forward = ops[uses.writers[r.buffer][0]]
        product = ops[uses.writers[dr.buffer][0]]
        size = backward["size"]
        if uses.only_reader(dr) != i or not (_is_dense(forward, size) and _is_dense(product, size)):
            continue
        if uses.writers[r.buffer][0] > uses.writers[dr.buffer][0]:  # the mask would come too late
            continue
        if forward["activation"] != RELU or forward.operand("mask_out") is not None:
            continue
        if product["activation"] or product.operand("mask") is not None:
            continue
        mask = Operand("mask", 0, WRITE, _bytes(size), 0)
        forward.point("mask_out", mask)
        product.point("mask", mask)
        product.point("out", dx)
        product.fused.append("relu_backward")
        removed.add(i)
    return [op for i, op in enumerate(ops) if i not in removed]


PASSES = (fuse_relu_into_pooling, fuse_activation, fuse_batch_norm, fuse_mask)


def _bytes(size: int) -> Buffer:
    """Return a new temporary buffer of bytes."""
    import numpy as np

    return Buffer("temporary", np.empty(size, np.uint8))


def _operand(op: Op, name: str) -> Operand:
    operand = op.operand(name)
    assert operand is not None, (op.name, name)
    return operand


def _written_once(uses: Uses, operand: Operand) -> bool:
    """Whether it is a whole buffer that one op writes, and nothing before that."""
    return (
        operand.buffer.kind in ("temporary", "output")
        and operand.offset == 0
        and len(uses.writers.get(operand.buffer, ())) == 1
    )


def _unchanged(uses: Uses, operand: Operand, since: int, until: int) -> bool:
    """Whether what one op reads there is still there at a later one."""
    writers = uses.writers.get(operand.buffer, [])
    return operand.buffer.kind != "captured" and not any(since <= i < until for i in writers)


def _indices_unread(uses: Uses, pool: Op) -> bool:
    """Whether nobody looks at the indices of a pooling."""
    indices = pool.operand("indices")
    return indices is None or (
        indices.buffer.kind == "temporary" and indices.buffer not in uses.readers
    )


def _is_whole(operand: Operand, size: int) -> bool:
    """Whether so many elements are all of the operand's buffer."""
    return operand.buffer.nbytes == size * operand.buffer.dtype.itemsize


def _is_dense(op: Op, size: int) -> bool:
    """Whether it is a product whose result is a contiguous array of that many elements."""
    return (
        op.name == "gemm"
        and op["M"] * op["N"] == size
        and op["out_cs"] == 1
        and (op["out_rs"] == op["N"] or op["M"] == 1)
        and _operand(op, "out").offset == 0
    )
