"""The report: its table, its chart, and what it says of results that mean little."""

import json

import pytest

import chart
import report
import summary

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


def test_groups_are_summed_up(tmp_path, capsys):
    grouped = {**ROW, "group": "network"}
    rows = [
        {**grouped, "ratio_numpy": 4.0},
        {**grouped, "ratio_numpy": 0.25, "op": "gemm NT", "ratio_torch": 3.0},
        {**grouped, "ratio_numpy": 8.0},
        {**grouped, "ratio_numpy": 1.5, "threads": 2},
        {**grouped, "ratio_numpy": None, "dtype": "float64"},
        {**grouped, "ratio_numpy": 2.0, "group": "squares"},
        ROW,  # no group
    ]
    head, *lines = (line.split() for line in summary.groups(rows).splitlines())
    assert head[:4] == ["group", "dtype", "threads", "isa"]
    shape = "64 x 64 x 64"
    assert [" ".join(line) for line in lines] == [
        f"network float32 1 avx2 NumPy 3 2.00 1 0.25 gemm NT {shape}",
        f"network float32 1 avx2 PyTorch 1 3.00 0 3.00 gemm NT {shape}",
        f"network float32 2 avx2 NumPy 1 1.50 0 1.50 gemm {shape}",
        f"squares float32 1 avx2 NumPy 1 2.00 0 2.00 gemm {shape}",
    ]
    report.main([str(write(tmp_path / "r.json", *rows)), "--output", str(tmp_path / "r.png")])
    assert summary.groups(rows) in capsys.readouterr().out
    assert summary.groups([ROW]) == ""


def test_rows_that_threads_make_slower():
    two = {**ROW, "threads": 2}
    other = {**ROW, "shape": "8 x 8 x 8"}
    rows = [two, ROW, {**other, "threads": 2, "ours_s": 3e-6}, other]
    assert summary.threads(rows).splitlines() == [
        "slower by more than 5% with more threads: 1 of 2",
        "  gemm 8 x 8 x 8 float32: 1.50 times as long as with 1",
    ]
    assert summary.threads([ROW, other]) == ""


def test_mkl_as_intel_needs_a_run(tmp_path, capsys):
    with pytest.raises(SystemExit):
        report.main([str(write(tmp_path / "r.json", ROW)), "--mkl-as-intel"])
    assert "--mkl-as-intel is for a run" in capsys.readouterr().err


def test_mkl_as_intel_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(SystemExit, match="--mkl-as-intel: no C compiler"):
        report.main(["--mkl-as-intel", "--json", str(tmp_path / "r.json")])


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
