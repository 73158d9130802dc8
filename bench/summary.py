"""What the report says below its table: every group of rows in a line, and what threads cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

PEERS = {"ratio_numpy": "NumPy", "ratio_torch": "PyTorch"}
COLUMNS = ("group", "dtype", "threads", "isa", "peer", "rows", "geometric mean", "below 1", "worst")
SLOWER = 1.05  # times the time with fewer threads: less is noise


def align(lines: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """Return cells as text, those of the columns `left` aligned on the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def groups(rows: Sequence[Row]) -> str:
    """Sum up the ratios of each group, dtype and number of threads; "" if no row has a group."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.get("group"):
            key = (row["group"], row["dtype"], row["threads"], row["isa"])
            found.setdefault(key, []).append(row)
    lines = [
        (*map(str, key), *_ratios(members, ratio, peer))
        for key, members in sorted(found.items())
        for ratio, peer in PEERS.items()
        if any(row.get(ratio) is not None for row in members)
    ]
    return align([COLUMNS, *lines], left=(0, 1, 3, 4, 8)) if lines else ""


def _ratios(rows: Sequence[Row], key: str, peer: str) -> tuple[str, ...]:
    """Peer, number of ratios, geometric mean, those below 1, and the row of the worst."""
    compared = [row for row in rows if row.get(key) is not None]
    ratios = [row[key] for row in compared]
    worst = min(compared, key=lambda row: row[key])
    return (
        peer,
        str(len(ratios)),
        f"{statistics.geometric_mean(ratios):.2f}",
        str(sum(ratio < 1 for ratio in ratios)),
        f"{worst[key]:.2f}  {worst['op']} {worst['shape']}",
    )


def threads(rows: Sequence[Row]) -> str:
    """Name the rows that more threads make slower: fastnn should have taken fewer by itself.

    "" where nothing was timed with several numbers of threads.
    """
    fewest: dict[tuple[Any, ...], Row] = {}
    pairs = []
    for row in sorted(rows, key=lambda row: row["threads"]):
        first = fewest.setdefault(tuple(row[key] for key in ("op", "shape", "dtype", "isa")), row)
        if first["threads"] < row["threads"]:
            pairs.append((row, first))
    lines = [
        f"  {row['op']} {row['shape']} {row['dtype']}: "
        f"{row['ours_s'] / first['ours_s']:.2f} times as long as with {first['threads']}"
        for row, first in pairs
        if row["ours_s"] > SLOWER * first["ours_s"]
    ]
    if not pairs:
        return ""
    head = f"slower by more than {SLOWER - 1:.0%} with more threads: {len(lines)} of {len(pairs)}"
    return "\n".join([head, *lines])
