"""Check, then time: a fastnn kernel against the best of NumPy and of PyTorch, in turns.

A contestant is a function without arguments, usually a `functools.partial`, that does the work once
and returns its result. Where there are several ways to do the work in NumPy, or several layouts in
PyTorch, the fastest on these arrays is chosen by measurement first.
"""

from __future__ import annotations

import functools
import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import environment
import fastnn
import peak

Run = Callable[[], Any]
Contestants = Mapping[str, Run]

ROUNDS = 11  # of each contestant; the fastest counts, as interference only adds time
SECONDS = 0.008  # of one round, at least one call
TRIALS = 3  # rounds of each candidate when the fastest is chosen
SETTLE = 0.04  # seconds: OpenBLAS's and OpenMP's idle threads spin for up to 26 ms, on our CPUs


def assert_within(got: Any, want: Any, bound: Any) -> None:
    """Assert |got - want| <= bound, elementwise, and say by how much it is exceeded."""
    error = np.abs(np.asarray(got, np.float64) - want)
    if not (error <= bound).all():  # NaN fails
        worst = np.max(error / np.maximum(bound, np.finfo(np.float64).tiny))
        raise AssertionError(f"the error is {worst:.3g} times its bound")


def eps(dtype: Any) -> float:
    """The distance from 1 to the next number: twice the roundoff."""
    return float(np.finfo(dtype).eps)


@functools.cache
def machine() -> dict[str, Any]:
    """What does not change from one benchmark to the next."""
    config = fastnn.get_config()
    return {
        "fastnn": config["version"],
        "compiler": config["compiler"],
        "isa": config["isa"],
        "cpus": environment.cpu_count(),
        "numpy": np.__version__,
    }


def compare(
    benchmark: Any,
    *,
    op: str,
    shape: str,
    dtype: Any,
    threads: int,
    ours: Run,
    check: Callable[[Any], None],
    numpy: Callable[[], Contestants],
    torch: Callable[[], Contestants] | None = None,
    from_torch: Callable[[Any], Any] | None = None,
    flops: float = 0,
    nbytes: int = 0,
    footprint: int | None = None,
    group: str | None = None,
    algorithm: str | None = None,
    rounds: int = ROUNDS,
) -> None:
    """Check every contestant's result, then time all of them; the figures go into extra_info.

    Parameters
    ----------
    benchmark : BenchmarkFixture
        pytest-benchmark's, which times `ours` once more. Disabled: only `ours` is checked.
    op, shape : str
        For the report.
    dtype, threads
        Of all contestants.
    ours : callable
        The fastnn kernel.
    check : callable
        Raises AssertionError unless its argument, what a contestant returned, is right.
    numpy, torch : callable
        Return the candidates, by name; no candidates for torch if it is not installed, none for
        numpy where nobody would do the work in it.
    from_torch : callable, optional
        Makes of what PyTorch returned what `check` takes. Without it, PyTorch is not checked.
    flops : float
        Floating-point operations of one call; 0: not reported.
    nbytes : int
        Bytes read and written by one call, whatever is cached; 0: not reported.
    footprint : int, optional
        Bytes of all arrays together, where some are both read and written. Default: nbytes.
    group : str, optional
        The report's summary takes the rows of a group together.
    algorithm : str, optional
        Which of several ways fastnn takes.
    rounds : int
        Of each contestant; fewer where a call takes so long that `ROUNDS` of them take seconds.
    """
    dtype = np.dtype(dtype).name
    info = benchmark.extra_info
    info |= {"op": op, "shape": shape, "dtype": dtype, "threads": threads, **machine()}
    info |= {"group": group} if group else {}
    info |= {"algorithm": algorithm} if algorithm else {}
    if not benchmark.enabled:
        check(benchmark.pedantic(ours))
        return
    check(ours())
    blas = info["numpy_blas"] = environment.numpy_blas()
    assert blas["threads"] in (None, threads), f"NumPy's BLAS has {blas['threads']} threads"
    contestants = {"ours": ours}
    loops = {"ours": _calibrate(ours)[0]}
    if baseline := numpy():
        contestants["numpy"], info["numpy_how"], loops["numpy"] = _fastest(baseline, check)
    if candidates := torch() if torch else {}:
        verify = (lambda result: check(from_torch(result))) if from_torch else _accept
        contestants["torch"], info["torch_how"], loops["torch"] = _fastest(candidates, verify)
    seconds = _time(info, contestants, loops, rounds)
    _publish_ratios(info, seconds, blas)
    _publish_rates(info, seconds["ours"], flops, nbytes, footprint or nbytes)
    once = max(1, round(SECONDS / seconds["ours"]))
    benchmark.pedantic(ours, rounds=rounds, iterations=once, warmup_rounds=1)


def _time(
    info: dict[str, Any], contestants: Contestants, loops: Mapping[str, int], rounds: int
) -> dict[str, float]:
    """Write and return the fastest round of each, in seconds per call."""
    times = _interleave(contestants, loops, info["threads"], rounds)
    seconds = {name: min(values) for name, values in times.items()}
    info |= {f"{name}_s": value for name, value in seconds.items()}
    info["spread"] = statistics.median(times["ours"]) / seconds["ours"]
    return seconds


def _accept(_: Any) -> None:
    pass


def _fastest(candidates: Contestants, check: Callable[[Any], None]) -> tuple[Run, str, int]:
    """Check each candidate's result; return the fastest, its name, and the calls of a round."""
    seconds, loops = {}, {}
    for name, run in candidates.items():
        try:
            check(run())
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        loops[name], seconds[name] = _calibrate(run)
        if loops[name] > 1:
            seconds[name] = min(_block(run, loops[name]) for _ in range(TRIALS))
    best = min(seconds, key=lambda name: seconds[name])
    return candidates[best], best, loops[best]


def _block(run: Run, loops: int) -> float:
    """Seconds per call, over `loops` calls."""
    iterations = range(loops)
    start = time.perf_counter()
    for _ in iterations:
        run()
    return (time.perf_counter() - start) / loops


def _calibrate(run: Run) -> tuple[int, float]:
    """Number of calls that last `SECONDS`, and about how many seconds one takes."""
    loops = 1
    while True:
        seconds = min(_block(run, loops) for _ in range(TRIALS))
        if seconds * loops >= SECONDS / 4:
            return max(1, math.ceil(SECONDS / seconds)), seconds
        loops *= 4


def _interleave(
    contestants: Contestants, loops: Mapping[str, int], threads: int, rounds: int
) -> dict[str, list[float]]:
    """Time all contestants in turn, and back; return the seconds per call of every round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name in order:
                run = contestants[name]
                if threads > 1:
                    time.sleep(SETTLE)
                _block(run, loops[name] // 8 + 1)  # wakes its threads, warms its caches
                times[name].append(_block(run, loops[name]))
            order.reverse()
    finally:
        if collecting:
            gc.enable()
    return times


def _publish_ratios(info: dict[str, Any], seconds: dict[str, float], blas: dict[str, Any]) -> None:
    """Write how many times as fast as the others ours is, unless NumPy is held back."""
    info["refused"] = environment.refusal(
        blas["architecture"], fastnn.get_config()["isa_available"]
    )
    for name in ("numpy", "torch"):
        usable = name in seconds and not (name == "numpy" and info["refused"])
        info[f"ratio_{name}"] = seconds[name] / seconds["ours"] if usable else None


def _publish_rates(
    info: dict[str, Any], ours: float, flops: float, nbytes: int, footprint: int
) -> None:
    """Write GFLOP/s or GB/s, and the share of what the machine can do."""
    info["gflops"] = flops / ours * 1e-9 if flops else None
    info["gbps"] = nbytes / ours * 1e-9 if nbytes else None
    info["peak_share"], info["no_peak"] = None, None
    try:
        if flops:
            most = peak.fma_rate(info["dtype"], info["isa"], info["threads"])
            info["peak_share"] = flops / ours / most
        elif nbytes:
            most = peak.copy_rate(footprint, info["isa"], info["threads"])
            info["peak_share"] = nbytes / ours / most
    except peak.NoPeakError as error:
        info["no_peak"] = str(error)
