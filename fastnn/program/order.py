"""Which steps must have ended before another begins."""

from __future__ import annotations

from fastnn.program.graph import Buffer, Op


def conflicts(ops: list[Op], offsets: dict[Buffer, int]) -> list[tuple[int, ...]]:
    """Return for every op the earlier ones that wrote what it reads or writes, or read what it
    writes.

    Parameters
    ----------
    ops : list of Op
    offsets : dict of Buffer to int
        Places in the arena: buffers that share memory conflict too.
    """
    touched = [_touched(op, offsets) for op in ops]
    return [
        tuple(j for j in range(i) if _meet(touched[j], touched[i])) for i in range(len(touched))
    ]


Range = tuple[object, int, int, bool]
"""Which memory, from, to, and whether it is written."""


def _touched(op: Op, offsets: dict[Buffer, int]) -> list[Range]:
    ranges: list[Range] = []
    for operand in op.operands:
        buffer = operand.buffer
        if buffer.in_arena:
            start = offsets[buffer]
            ranges.append(("arena", start, start + buffer.nbytes, operand.writes))
        else:
            ranges.append((buffer, 0, buffer.nbytes, operand.writes))
    return ranges


def _meet(a: list[Range], b: list[Range]) -> bool:
    return any(
        (p[3] or q[3]) and p[0] == q[0] and p[1] < q[2] and q[1] < p[2] for p in a for q in b
    )
