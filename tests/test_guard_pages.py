"""No kernel touches memory outside its arrays: not even to read it and throw it away."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.isa,
    pytest.mark.skipif(sys.platform == "win32", reason="mprotect is POSIX"),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_guard_pages(dtype):
    """In a process of its own, which a stray access kills."""
    program = Path(__file__).with_name("guard.py")
    done = subprocess.run(
        [sys.executable, str(program), dtype],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = "".join(done.stdout.splitlines(keepends=True)[-1:])
    assert done.returncode == 0, f"exit status {done.returncode} in: {last}{done.stderr}"


def test_guard_pages_are_guarded():
    """The program would notice: reading one element past a guarded array kills it."""
    code = (
        "import numpy as np\n"
        "from guard import guarded\n"
        "x = guarded(np.ones(5), 'after')\n"
        "np.lib.stride_tricks.as_strided(x, (6,), (8,)).sum()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, timeout=60, check=False
    )
    assert done.returncode < 0
