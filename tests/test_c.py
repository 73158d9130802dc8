"""The C tests: on this machine, on emulated AVX2-only and SSE-only CPUs, on emulated AArch64."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KERNEL_TESTS = ("gemm", "conv2d", "pointwise", "pool")


def tool(name):
    """Find a build tool, preferring this environment's."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(command, **environment):
    """Run to the end; a failure shows what the command printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FASTNN_")}
    done = subprocess.run(
        command, env=kept | environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-8000:]}{done.stderr[-8000:]}"
    return done.stdout


def build(folder, *options):
    """Build the library and the C tests, warnings being errors; return the folder of the tests."""
    switches = ["-DFASTNN_PYTHON=OFF", "-DFASTNN_TESTS=ON", "-DFASTNN_WERROR=ON", *options]
    ninja = f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"
    run([tool("cmake"), "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", ninja, *switches])
    run([tool("cmake"), "--build", str(folder)])
    return folder


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """Return a build for this machine."""
    return build(tmp_path_factory.mktemp("native"))


def test_native(native):
    output = run([tool("ctest"), "--test-dir", str(native), "--output-on-failure"])
    assert "100% tests passed" in output


def test_a_digit_is_classified_without_python(native, tmp_path):
    """The example: what Python exports, C reads and runs."""
    compiler = tool("cc")
    spec = importlib.util.spec_from_file_location("export", ROOT / "examples" / "export_lenet5.py")
    export = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(export)
    label = export.main(tmp_path)
    program = tmp_path / "classify"
    sources = ["-I", str(ROOT / "csrc"), str(ROOT / "examples" / "classify.c")]
    libraries = [str(native / "libfnn.a"), "-lm", "-lpthread"]
    run([compiler, "-Wall", "-Wextra", "-Werror", *sources, *libraries, "-o", str(program)])
    files = [str(tmp_path / "lenet5.fnn"), str(tmp_path / "digit.raw")]
    assert run([program, *files]) == f"{label}\n"
    refused = subprocess.run([program, *files[::-1]], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "not a program of fastnn" in refused.stderr


@pytest.mark.parametrize(("cpu", "isa"), [("Haswell", "avx2"), ("Westmere", "baseline")])
@pytest.mark.parametrize("name", KERNEL_TESTS)
def test_older_cpu(native, cpu, isa, name):
    """Dispatch picks the right level, and no instruction of a higher one leaks out of its files."""
    if os.uname().machine != "x86_64":
        pytest.skip("emulates x86-64 CPUs on an x86-64 build")
    qemu = shutil.which("qemu-x86_64")
    if qemu is None:
        pytest.skip("qemu-x86_64 is not installed (Debian: qemu-user)")
    program = [qemu, "-cpu", cpu, str(native / "tests" / "c" / f"test_{name}")]
    assert run(program).strip() == isa
    # One level up is refused: the test says so and ends as skipped.
    above = {"avx2": "avx512", "baseline": "avx2"}[isa]
    refused = subprocess.run(program, env={"FASTNN_ISA": above}, capture_output=True, text=True)
    assert refused.returncode == 77
    assert f"FASTNN_ISA={above} is not available here" in refused.stderr


def test_aarch64(tmp_path):
    for name, package in (
        ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        ("qemu-aarch64", "qemu-user"),
    ):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed (Debian: {package})")
    toolchain = ROOT / "cmake" / "aarch64-linux-gnu.cmake"
    folder = build(tmp_path, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}")
    output = run([tool("ctest"), "--test-dir", str(folder), "--output-on-failure"])
    assert "100% tests passed" in output
    for name in KERNEL_TESTS:
        assert f"{name}_neon" in output
