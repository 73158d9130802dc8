"""The chart of the report: how many times as fast as NumPy and PyTorch, one line for each shape."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

Row = dict[str, Any]
Line = tuple[str, list[Row]]  # label and results; a heading has none

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # by number of threads; Okabe and Ito 2008
PEERS: dict[str, tuple[str, Literal["full", "none"]]] = {
    "ratio_numpy": ("NumPy", "full"),
    "ratio_torch": ("PyTorch", "none"),
}
LINES = 36  # per column, at least: fewer columns make a small report readable
HEIGHT = 0.2  # inches per line
WIDTH = 5.6  # inches per column
LIMIT = 64.0  # ratios beyond are drawn at the edge


def draw(rows: Sequence[Row], heading: str, target: Path) -> None:
    """Write the chart as PNG."""
    columns = split(lines_of(rows))
    tallest = max(map(len, columns))
    threads = sorted({row["threads"] for row in rows})
    marks = legend(rows, threads)
    per_row = 2 if len(columns) == 1 else 4
    legend_top = 0.5 + 0.155 * len(heading.splitlines())  # inches from the top, as all below
    top = legend_top + 0.22 * math.ceil(len(marks) / per_row) + 0.6
    width, height = WIDTH * len(columns), top + HEIGHT * (tallest + 1)
    figure = Figure(figsize=(width, height), dpi=150)
    axes = figure.subplots(1, len(columns), squeeze=False)[0]
    for axis, lines in zip(axes, columns, strict=True):
        draw_column(axis, lines, tallest, limits_of(rows), threads)
    left = 0.18 / width
    title = "fastnn: how many times as fast"
    figure.text(left, 1 - 0.12 / height, title, va="top", weight="bold", size=14)
    figure.text(left, 1 - 0.45 / height, heading, va="top", size=8, color="#555555")
    figure.legend(
        handles=marks,
        loc="upper left",
        bbox_to_anchor=(0, 1 - legend_top / height),
        ncols=per_row,
        frameon=False,
        fontsize=9,
        handletextpad=0.2,
    )
    figure.subplots_adjust(
        left=2.75 / width,
        right=1 - 0.15 / width,
        top=1 - top / height,
        bottom=0.1 / height,
        wspace=1.1,
    )
    temporary = target.with_name(target.name + ".part")
    figure.savefig(temporary, format="png", facecolor="white")
    os.replace(temporary, target)


def limits_of(rows: Sequence[Row]) -> tuple[float, float]:
    """Powers of two around all ratios, at least 1/2 to 4."""
    ratios = [math.log2(row[key]) for row in rows for key in PEERS if row.get(key)]
    low, high = math.floor(min(ratios, default=0)), math.ceil(max(ratios, default=0))
    return max(min(0.5, 2.0**low), 1 / LIMIT), min(max(4.0, 2.0**high), LIMIT)


def lines_of(rows: Sequence[Row]) -> list[list[Line]]:
    """Return for each operation its heading and one line per shape and dtype."""
    operations: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        label = row["shape"] + (" (float64)" if row["dtype"] == "float64" else "")
        operations.setdefault(row["op"], {}).setdefault(label, []).append(row)
    return [[(op, []), *shapes.items()] for op, shapes in operations.items()]


def split(operations: list[list[Line]]) -> list[list[Line]]:
    """Lay the operations out in up to three columns of about the same length."""
    total = sum(map(len, operations))
    count = min(3, max(1, math.ceil(total / LINES)))
    columns: list[list[Line]] = [[] for _ in range(count)]
    place = 0
    for lines in operations:
        filled = sum(map(len, columns[: place + 1]))
        if (
            columns[place]
            and place + 1 < count
            and filled + len(lines) / 2 > total * (place + 1) / count
        ):
            place += 1
        columns[place] += lines
    return [column for column in columns if column]


def draw_column(
    axis: Axes,
    lines: list[Line],
    tallest: int,
    limits: tuple[float, float],
    threads: Sequence[int],
) -> None:
    """Draw one column of lines, from the top."""
    low, high = limits
    top, bottom = -0.7, len(lines) - 0.4
    axis.set_xscale("log", base=2)
    axis.set_xlim(low / 1.15, high * 1.15)
    axis.set_ylim(tallest - 0.4, top)
    axis.fill_betweenx((top, bottom), low / 1.15, 1, color="#f6e7e4", linewidth=0, zorder=0)
    ticks = [2.0**i for i in range(round(math.log2(low)), round(math.log2(high)) + 1)]
    axis.vlines(ticks, top, bottom, color="#e8e8e8", linewidth=0.6, zorder=1)
    axis.vlines(1, top, bottom, color="#333333", linewidth=1, zorder=2)
    for y, (label, rows) in enumerate(lines):
        heading = not rows
        axis.annotate(
            label,
            (0, y),
            xycoords=("axes fraction", "data"),
            xytext=(-180 if heading else -6, 0),
            textcoords="offset points",
            ha="left" if heading else "right",
            va="center",
            size=9 if heading else 8,
            weight="bold" if heading else "normal",
        )
        if not heading:
            axis.hlines(y, low / 1.15, high * 1.15, color="#e3e3e3", linewidth=0.7, zorder=1)
        for row in rows:
            draw_row(axis, y, row, threads)
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if value >= 1 else f"1/{1 / value:g}")
    )
    axis.xaxis.tick_top()
    axis.tick_params(axis="x", labelsize=8, length=0)
    axis.annotate(
        "slower  |  faster",
        (1, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 20),
        textcoords="offset points",
        ha="center",
        size=8,
        color="#555555",
    )
    axis.set_yticks([])
    for side in ("left", "right", "top", "bottom"):
        axis.spines[side].set_visible(False)


def draw_row(axis: Axes, y: float, row: Row, threads: Sequence[int]) -> None:
    """Draw the marks of one result."""
    number = threads.index(row["threads"])
    lift = 0.16 * (2 * number - (len(threads) - 1))  # thread counts above each other
    for key, (_, fill) in PEERS.items():
        if row.get(key):
            value = min(max(row[key], 1 / LIMIT), LIMIT)
            axis.plot(
                value,
                y + lift,
                marker="o" if fill == "full" else "D",
                markersize=4.5 if fill == "full" else 3.6,
                fillstyle=fill,
                color=COLORS[number % len(COLORS)],
                markeredgewidth=1,
                zorder=3,
            )


def legend(rows: Sequence[Row], threads: Sequence[int]) -> list[Line2D]:
    """Return the marks that occur, with their names."""
    return [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o" if fill == "full" else "D",
            fillstyle=fill,
            color=COLORS[i % len(COLORS)],
            label=f"as {peer}, {n} thread{'s' if n > 1 else ''}",
        )
        for key, (peer, fill) in PEERS.items()
        if any(row.get(key) for row in rows)
        for i, n in enumerate(threads)
    ]
