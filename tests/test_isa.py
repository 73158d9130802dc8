"""The instruction sets: which one runs, and that the kernels' tests pass under each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

AVAILABLE = fastnn.get_config()["isa_available"]
SHOW = "import fastnn; print(fastnn.get_config()['isa'], fastnn.get_config()['isa_requested'])"


def run(arguments, timeout=60, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_config():
    config = fastnn.get_config()
    assert config["isa"] in config["isa_available"]
    assert set(config["isa_available"]) <= set(config["isa_built"])
    assert config["isa_requested"] == (os.environ.get("FASTNN_ISA") or None)


def test_the_best_is_the_default():
    done = run(["-c", SHOW], FASTNN_ISA="")
    assert done.stdout.split() == [AVAILABLE[-1], "None"], done.stderr


@pytest.mark.parametrize("isa", AVAILABLE)
def test_requested(isa):
    done = run(["-c", SHOW], FASTNN_ISA=isa)
    assert done.stdout.split() == [isa, isa], done.stderr


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "avx2,avx512", " baseline", "x" * 1000])
def test_unknown(isa):
    """A clear error at import, naming variable, value and what is valid here."""
    done = run(["-c", SHOW], FASTNN_ISA=isa)
    assert done.returncode != 0
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "FASTNN_ISA=" + isa[:40] in last
    for valid in AVAILABLE:
        assert valid in last


@pytest.mark.skipif(
    bool(os.environ.get("FASTNN_ISA")),
    reason="FASTNN_ISA is set: whoever set it runs the suite for each instruction set",
)
@pytest.mark.parametrize("isa", [isa for isa in AVAILABLE if isa != fastnn.get_config()["isa"]])
def test_kernels_under(isa):
    """The files marked ``isa``, under each level but the default, which this very run tests."""
    tests = ["-m", "pytest", "-m", "isa and not slow", "-q", "-p", "no:cacheprovider", "tests"]
    done = run(tests, timeout=600, FASTNN_ISA=isa)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
