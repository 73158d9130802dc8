"""Run the benchmarks, print a table and draw a chart: ``python bench/report.py``.

See README.md beside this file for what the columns mean.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import environment
import mkl_preload
import summary

BENCH = Path(__file__).resolve().parent
Row = dict[str, Any]

COLUMNS = (
    "operation",
    "shape",
    "dtype",
    "threads",
    "isa",
    "fastnn",
    "NumPy",
    "ratio",
    "PyTorch",
    "ratio",
    "rate",
    "of peak",
)
QUIET = 1.15  # times the fastest round may the median take; on an idle machine it is below 1.05
TEXT_COLUMNS = 3  # these are aligned on the left


def run(select: str | None, target: Path, mkl_as_intel: bool = False) -> None:
    """Time the selected benchmarks, in a process whose NumPy is not held back; write JSON.

    Raises
    ------
    SystemExit
        If one failed, or MKL cannot be told that the CPU is Intel's.
    """
    # -P: the installed fastnn, not the sources beside this folder, which have no compiled kernels
    command = [sys.executable, "-P", "-m", "pytest", str(BENCH), "-q", "--benchmark-enable"]
    command += ["--benchmark-quiet", f"--benchmark-json={target}"]
    if select:
        command += ["-k", select]
    environ = dict(os.environ)
    environment.clear_blas_variables(environ)
    with tempfile.TemporaryDirectory() as folder:
        if mkl_as_intel:
            try:
                mkl_preload.preload(mkl_preload.build(Path(folder)), environ)
            except mkl_preload.NoPreloadError as error:
                raise SystemExit(f"--mkl-as-intel: {error}") from error
        code = subprocess.run(command, cwd=BENCH.parent, env=environ).returncode
    if code != 0:
        raise SystemExit(code)


def load(source: Path) -> tuple[dict[str, Any], list[Row]]:
    """Return what pytest-benchmark says about the machine, and what `compare` wrote, in order."""
    document = json.loads(source.read_text())
    rows = [benchmark["extra_info"] for benchmark in document["benchmarks"]]
    return document.get("machine_info", {}), [row for row in rows if "ours_s" in row]


def seconds(value: float | None) -> str:
    """Write a duration with three digits and its unit."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def ratio(value: float | None) -> str:
    """Write how many times as fast."""
    return "-" if value is None else f"{value:.2f}"


def rate(row: Row) -> str:
    """GFLOP/s, GB/s, or neither."""
    if row.get("gflops"):
        return f"{row['gflops']:.1f} GFLOP/s"
    return f"{row['gbps']:.1f} GB/s" if row.get("gbps") else "-"


def cells(row: Row) -> tuple[str, ...]:
    """Return the row of the table, as in `COLUMNS`."""
    share = row.get("peak_share")
    return (
        row["op"],
        ", ".join(filter(None, (row["shape"], row.get("algorithm")))),
        row["dtype"],
        str(row["threads"]),
        row["isa"],
        seconds(row["ours_s"]),
        seconds(row.get("numpy_s")),
        ratio(row.get("ratio_numpy")),
        seconds(row.get("torch_s")),
        ratio(row.get("ratio_torch")),
        rate(row),
        "-" if share is None else f"{share:.0%}",
    )


def heading(machine: dict[str, Any], rows: Sequence[Row]) -> str:
    """One paragraph: on what this was measured, with what, and what could not be."""
    first = rows[0]
    blas = first["numpy_blas"]
    kernels = blas["architecture"] or "unknown"
    lines = [
        f"fastnn {first['fastnn']} ({first['compiler']}), {first['cpus']} CPUs: "
        f"{machine.get('cpu', {}).get('brand_raw', 'unknown')}",
        f"NumPy {first['numpy']} with {blas['name']} {blas['version']}, kernels {kernels}",
    ]
    peers = sorted({row["torch_how"].split(",")[0] for row in rows if "torch_how" in row})
    lines += [f"{peer}, eager" for peer in peers]
    for key, what in (("refused", "no ratio to NumPy"), ("no_peak", "no share of peak")):
        lines += sorted({f"{what}: {row[key]}" for row in rows if row.get(key)})
    restless = sum(row["spread"] > QUIET for row in rows)
    if restless > len(rows) // 10:
        lines.append(
            f"the machine was busy: {restless} of {len(rows)} rows scatter, do not publish"
        )
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    return summary.align([COLUMNS, *(cells(row) for row in rows)], left=range(TEXT_COLUMNS))


def losses(rows: Sequence[Row]) -> str:
    """Say how many rows are slower than a peer."""
    lines = []
    for key, peer in summary.PEERS.items():
        ratios = [row[key] for row in rows if row.get(key) is not None]
        if ratios:
            slower = sum(value < 1 for value in ratios)
            lines.append(f"slower than {peer}: {slower} of {len(ratios)}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and make the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="?", type=Path, help="JSON of an earlier run, not run now")
    parser.add_argument("--select", metavar="EXPRESSION", help="which benchmarks, as pytest's -k")
    parser.add_argument("--json", type=Path, help="keep the results there")
    parser.add_argument("--output", type=Path, default=Path("bench.png"), help="chart (bench.png)")
    parser.add_argument(
        "--mkl-as-intel", action="store_true", help="tell PyTorch's MKL that the CPU is Intel's"
    )
    options = parser.parse_args(arguments)
    if options.results and options.mkl_as_intel:
        parser.error("--mkl-as-intel is for a run, not for results of an earlier one")
    if options.results:
        machine, rows = load(options.results)
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = (options.json or Path(folder) / "results.json").resolve()
            run(options.select, results, options.mkl_as_intel)
            machine, rows = load(results)
    if not rows:
        raise SystemExit("nothing was timed")
    parts = (heading(machine, rows), table(rows), losses(rows))
    parts += (summary.groups(rows), summary.threads(rows))
    print(*filter(None, parts), sep="\n\n")
    try:
        import chart
    except ImportError as error:
        print(f"no chart: {error}")
    else:
        chart.draw(rows, heading(machine, rows), options.output)
        print(f"chart: {options.output}")


if __name__ == "__main__":
    main()
