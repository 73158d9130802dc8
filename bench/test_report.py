"""The report: its table, its chart, and what it says of results that mean little."""

import json

import pytest

import chart
import report

ROW = {
    "op": "gemm",
    "shape": "64 x 64 x 64",
    "dtype": "float32",
    "threads": 1,
    "isa": "avx2",
    "fastnn": "0.1.0",
    "compiler": "GCC",
    "cpus": 2,
    "numpy": "2.4.6",
    "numpy_blas": {"name": "openblas", "version": "0.3", "architecture": "Zen", "threads": 1},
    "ours_s": 2e-6,
    "numpy_s": 5e-6,
    "ratio_numpy": 2.5,
    "gflops": 100.0,
    "gbps": None,
    "peak_share": 0.5,
    "no_peak": None,
    "refused": None,
    "spread": 1.01,
}
OTHER = {**ROW, "threads": 2, "dtype": "float64", "ratio_numpy": 0.9, "spread": 1.5}
TORCH = {**ROW, "op": "relu", "torch_s": 1e-3, "ratio_torch": 500, "torch_how": "PyTorch 2, relu"}


def write(path, *rows):
    benchmarks = [{"extra_info": row} for row in rows]
    path.write_text(json.dumps({"benchmarks": benchmarks, "machine_info": {}}))
    return path


def test_table_and_chart(tmp_path, capsys):
    results = write(tmp_path / "results.json", ROW, TORCH, OTHER, {"not": "ours"})
    target = tmp_path / "chart.png"
    report.main([str(results), "--output", str(target)])
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if line.startswith(("gemm", "relu"))]
    measured = ["2", "us", "5", "us", "2.50"]
    assert rows[0] == [
        *("gemm", "64", "x", "64", "x", "64", "float32", "1", "avx2", *measured, "-", "-"),
        *("100.0", "GFLOP/s", "50%"),
    ]
    assert rows[1][-6:] == ["1", "ms", "500.00", "100.0", "GFLOP/s", "50%"]
    assert "slower than NumPy: 1 of 3" in text
    assert "1 of 3 rows scatter" in text
    assert target.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chart.png", "results.json"]


def test_refused_ratio_is_not_shown(tmp_path):
    row = {**ROW, "ratio_numpy": None, "refused": "NumPy is held back"}
    _, rows = report.load(write(tmp_path / "results.json", row))
    assert "2.50" not in report.table(rows)
    assert "no ratio to NumPy: NumPy is held back" in report.heading({}, rows)
    chart.draw(rows, "", tmp_path / "chart.png")  # has nothing to show, and does not fail
    assert report.losses(rows) == ""


def test_nothing_timed(tmp_path):
    with pytest.raises(SystemExit, match="nothing was timed"):
        report.main([str(write(tmp_path / "results.json"))])


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.2e-7, "420 ns")]
)
def test_seconds(value, text):
    assert report.seconds(value) == text


def test_operations_are_spread_over_columns():
    operations = [[(f"op {i}", []), *[("shape", [ROW])] * 11] for i in range(9)]
    columns = chart.split(operations)
    assert [len(column) for column in columns] == [36, 36, 36]
    assert [line for column in columns for line in column] == [x for op in operations for x in op]
