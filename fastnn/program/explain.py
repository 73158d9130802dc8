"""Programs as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _core

if TYPE_CHECKING:
    from fastnn.program.build import Plan
    from fastnn.program.graph import Op


def explain(plan: Plan) -> str:
    """Return a table of the ops of a program, and how its arena is used."""
    seconds = plan.program.get_seconds()
    calls = max(plan.program.calls, 1)
    rows = []
    for i, op in enumerate(plan.ops):
        time = "" if seconds is None else f"{seconds[i] / calls * 1e6:.1f} us"
        rows.append((str(i), _name(op), _shapes(plan, op), time, f"line {op.line}"))
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(5)]
    lines = ["  ".join(row[k].ljust(widths[k]) for k in range(5)).rstrip() for row in rows]
    bound = plan.placement.bound
    lines.append(
        f"arena: {plan.placement.size:,} bytes; at most {bound:,} are in use at one op"
        + (f"; {plan.program.calls} timed calls" if seconds is not None else "")
    )
    return "\n".join([plan.summary(), *lines])


def _name(op: Op) -> str:
    algorithm = _core.get_algorithm(op.name, op.dtype, bytes(op.args))
    name = f"{op.name} [{algorithm}]" if algorithm else op.name
    return " + ".join([name, *op.fused])


def _shapes(plan: Plan, op: Op) -> str:
    """Return the operands: inputs -> outputs, each with its shape and where it lies."""
    parts: dict[bool, list[str]] = {False: [], True: []}
    for operand in op.operands:
        buffer = operand.buffer
        shape = "x".join(map(str, buffer.parts.get(operand.offset, buffer.shape))) or "1"
        where = ""
        if buffer.in_arena:
            life = plan.placement.lives[buffer]
            where = f"@{plan.placement.offsets[buffer]:,}[{life.first}-{life.last}]"
        elif buffer.kind != "captured":
            where = f" {buffer.kind}"
        parts[operand.writes].append(f"{operand.name} {shape}{where}")
    return f"{', '.join(parts[False])} -> {', '.join(parts[True])}"
