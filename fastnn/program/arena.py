"""Where temporary results lie: one piece of memory, used again as soon as it is free."""

from __future__ import annotations

from typing import NamedTuple

from fastnn.program.graph import READ_IN_PLACE, WRITE, Buffer, Op

ALIGNMENT = 64
RESULTS = ("out", "y", "dx", "dy")  # what may take the place of an operand that is read in place


class Life(NamedTuple):
    """From the first op that touches a buffer to the last."""

    first: int
    last: int


class Placement(NamedTuple):
    """The arena.

    Attributes
    ----------
    size : int
        Bytes.
    offsets : dict of Buffer to int
        Where each begins.
    lives : dict of Buffer to Life
        Of those in the arena.
    bound : int
        The most bytes that live at one op: no placement is smaller.
    """

    size: int
    offsets: dict[Buffer, int]
    lives: dict[Buffer, Life]
    bound: int


def lifetimes(ops: list[Op]) -> dict[Buffer, Life]:
    """Return when each buffer of the arena is in use. Numbers that are returned live on."""
    lives: dict[Buffer, Life] = {}
    for i, op in enumerate(ops):
        for operand in op.operands:
            buffer = operand.buffer
            if buffer.in_arena:
                first = lives[buffer].first if buffer in lives else i
                lives[buffer] = Life(first, len(ops) if buffer.kind == "number" else i)
    return lives


def place(ops: list[Op], *, in_place: bool = True, reuse: bool = True) -> Placement:
    """Give every temporary buffer its place.

    Parameters
    ----------
    ops : list of Op
    in_place : bool
        Let an op that can write where it reads do so, where nobody reads that later.
    reuse : bool
        Let buffers whose lives do not meet share memory.

    Notes
    -----
    Greedy by size: the largest first, each at the lowest place that no other takes at that time
    (Pisarchyk & Lee 2020, "Efficient memory management for deep neural net inference", algorithm
    3).
    """
    lives = lifetimes(ops)
    owner = _share(ops, lives) if in_place and reuse else {}
    groups: dict[Buffer, list[Buffer]] = {}
    for buffer in lives:
        groups.setdefault(_root(owner, buffer), []).append(buffer)
    blocks = [
        (
            _rounded(max(b.nbytes for b in group)),
            Life(min(lives[b].first for b in group), max(lives[b].last for b in group)),
            group,
        )
        for group in groups.values()
    ]
    blocks.sort(key=lambda block: (-block[0], block[1]))
    offsets: dict[Buffer, int] = {}
    taken: list[tuple[int, int, Life]] = []
    for nbytes, life, group in blocks:
        at = _lowest(taken, nbytes, life) if reuse else sum(size for _, size, _ in taken)
        taken.append((at, nbytes, life))
        offsets.update(dict.fromkeys(group, at))
    size = max((at + nbytes for at, nbytes, _ in taken), default=0)
    return Placement(size, offsets, lives, _bound(blocks, len(ops)))


def _share(ops: list[Op], lives: dict[Buffer, Life]) -> dict[Buffer, Buffer]:
    """Return whose memory a buffer takes over."""
    owner: dict[Buffer, Buffer] = {}
    for i, op in enumerate(ops):
        out = next((o for o in op.operands if o.role == WRITE and o.name in RESULTS), None)
        if out is None or out.offset or out.buffer not in lives or lives[out.buffer].first != i:
            continue
        for source in op.operands:
            buffer = source.buffer
            if (
                source.role == READ_IN_PLACE
                and source.offset == 0
                and buffer.kind == "temporary"
                and lives[buffer].last == i
                and buffer.nbytes == out.buffer.nbytes
                and sum(o.buffer is buffer for o in op.operands) == 1
            ):
                owner[out.buffer] = buffer
                break
    return owner


def _root(owner: dict[Buffer, Buffer], buffer: Buffer) -> Buffer:
    while buffer in owner:
        buffer = owner[buffer]
    return buffer


def _rounded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _lowest(taken: list[tuple[int, int, Life]], nbytes: int, life: Life) -> int:
    """Return the lowest offset where nothing lives at the same time."""
    at = 0
    for start, size, other in sorted(taken):
        if other.last < life.first or life.last < other.first:
            continue
        if at + nbytes <= start:
            break
        at = max(at, start + size)
    return at


def _bound(blocks: list[tuple[int, Life, list[Buffer]]], count: int) -> int:
    """Return the most bytes that are in use at one op."""
    steps = [0] * (count + 2)
    for nbytes, life, _ in blocks:
        steps[life.first] += nbytes
        steps[life.last + 1] -= nbytes
    most = total = 0
    for step in steps:
        total += step
        most = max(most, total)
    return most
