"""Leaving out what nobody reads."""

from __future__ import annotations

from fastnn.program.graph import Buffer, Op


def remove_dead(ops: list[Op]) -> list[Op]:
    """Return the ops that what is captured or returned depends on, in order.

    A first layer's gradient with respect to its input, for instance, which nobody asks for.
    """
    wanted: set[Buffer] = set()
    kept = []
    for op in reversed(ops):
        guard = op.name == "require_finite"
        if guard or any(b.kind != "temporary" or b in wanted for b in op.writes()):
            wanted.update(op.reads())
            kept.append(op)
    return kept[::-1]
