"""`fastnn.compile`: functions that are recorded once and run as one call."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastnn import _core
from fastnn.program.bindings import Bindings
from fastnn.program.build import PASSES, Plan, build
from fastnn.program.explain import explain
from fastnn.program.record import code_of, record
from fastnn.program.save import save

if TYPE_CHECKING:
    from collections.abc import Iterable


class CompiledFunction:
    """What `compile` returns: called like the function, it replays what that has recorded.

    Attributes
    ----------
    function : callable
        The function itself, which computes step by step.
    name : str
        Its name.
    """

    def __init__(
        self, function: Callable[..., Any], disable: Iterable[str] = (), max_programs: int = 16
    ) -> None:
        if isinstance(function, staticmethod | classmethod | type) or not callable(function):
            raise TypeError(f"compile: expected a function, got {type(function).__name__}")
        if any(map(_makes_an_iterator, (function, type(function).__call__))):
            raise TypeError("compile: the function is a generator or a coroutine")
        if max_programs < 1:
            raise ValueError(f"compile: max_programs must be at least 1, got {max_programs}")
        code_of(function)  # or a TypeError
        unknown = sorted(set(disable) - set(PASSES))
        if unknown:
            raise ValueError(
                f"compile: unknown passes {', '.join(unknown)}; valid are {', '.join(PASSES)}"
            )
        functools.update_wrapper(self, function)
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self.function = function
        self._disabled = frozenset(disable)
        self._max_programs = max_programs
        self._plans: OrderedDict[Any, list[Plan]] = OrderedDict()
        self._last: Any = None
        self._profiled = False
        self._lock = threading.RLock()
        _all_functions.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments; the first time, record it."""
        program = self._last
        if program is not None and not kwargs:
            result = program.run(args)
            if result is not _core.MISS and result is not _core.STALE:
                return result
        return self._find(args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind a method to its object."""
        return self if instance is None else functools.partial(self, instance)

    def programs(self) -> list[str]:
        """Return a line for each program that has been recorded: arguments, ops and memory."""
        return [plan.summary() for plan in self._all()]

    def explain(self) -> str:
        """Return a table of each program's ops.

        With shapes, the algorithm of convolutions, what was fused, where buffers lie and how long
        they live, and the line they come from; after `profile` the time of each op.
        """
        return "\n\n".join(map(explain, self._all())) or "nothing has been recorded yet"

    def profile(self, on: bool = True) -> None:
        """Take the time of every op from now on, for `explain`; it makes runs slower."""
        with self._lock:
            self._profiled = on
            for plan in self._all():
                plan.program.profile(on)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program that was used last to a file, with the weights it uses.

        `fastnn.program.load` reads it without this function, and ``fnn_model_load`` of the C
        library without Python: docs/program_file.md.

        Raises
        ------
        ValueError
            If nothing has been recorded, or the program does more than inference.
        OSError
            If the file cannot be written.
        """
        with self._lock:
            if not self._plans:
                raise ValueError(f"{self.name}.save: call {self.name} first")
            save(next(reversed(self._plans.values()))[-1], path)

    def clear(self) -> None:
        """Forget all programs. The next call records anew."""
        with self._lock:
            self._plans.clear()
            self._last = None

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be pickled or copied: it refers to arrays in memory")

    def __repr__(self) -> str:
        """Return the function's name."""
        return f"<compiled {getattr(self.function, '__qualname__', self.function)}>"

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _core.get_recorder() is not None:  # part of another function that is being recorded
            return self.function(*args, **kwargs)
        flat, structure = _flatten((args, kwargs))
        key = (structure, tuple(_signature(value) for value in flat))
        with self._lock:
            for plan in list(self._plans.get(key, ())):
                result = self._run(plan, flat, key)
                if result is not _core.MISS:
                    self._plans.move_to_end(key)
                    self._remember(plan, args, kwargs, flat)
                    return result
            plan = self._record(args, kwargs, flat)
            self._plans.setdefault(key, []).append(plan)
            self._plans.move_to_end(key)
            while sum(map(len, self._plans.values())) > self._max_programs:
                oldest = next(iter(self._plans.values()))
                oldest.pop(0)
                if not oldest:
                    self._plans.popitem(last=False)
            self._remember(plan, args, kwargs, flat)
            result = self._run(plan, flat, key)
        # another thread may have changed what it was recorded with
        return self._find(args, kwargs) if result is _core.MISS else result

    def _run(self, plan: Plan, flat: tuple[Any, ...], key: Any) -> Any:
        """Run a program; MISS if it is not the right one, or no longer."""
        while (result := plan.program.run(flat)) is _core.STALE:
            changes = _core.get_changes()
            if not plan.bindings.hold(self.name):
                self._plans[key].remove(plan)
                if not self._plans[key]:
                    del self._plans[key]
                return _core.MISS
            plan.program.changes = changes
        return result

    def _remember(
        self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any], flat: tuple[Any, ...]
    ) -> None:
        """Try this program first in the next call, if its arguments need no flattening."""
        simple = not kwargs and len(args) == len(flat)
        self._last = plan.program if simple and all(map(_is, args, flat)) else None

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any], flat: tuple[Any, ...]) -> Plan:
        bindings = Bindings(self.function, flat)
        recording = record(self.function, args, kwargs)
        plan = build(self.name, recording, flat, bindings, self._disabled)
        if self._profiled:
            plan.program.profile(True)
        return plan

    def _all(self) -> list[Plan]:
        with self._lock:
            return [plan for plans in self._plans.values() for plan in plans]


_all_functions: weakref.WeakSet[CompiledFunction] = weakref.WeakSet()


def _renew_locks() -> None:
    """In a forked child: the threads that held them are not there."""
    for function in list(_all_functions):
        function._lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)


def _is(a: Any, b: Any) -> bool:
    return a is b


def _flatten(value: Any) -> tuple[tuple[Any, ...], Any]:
    """Return the leaves of nested tuples, lists and dicts, and what is left of these."""
    leaves: list[Any] = []

    def walk(item: Any) -> Any:
        if type(item) in (tuple, list):
            return (type(item), tuple(map(walk, item)))
        if type(item) is dict:
            return (dict, tuple(item), tuple(map(walk, item.values())))
        leaves.append(item)
        return None

    structure = walk(value)
    return tuple(leaves), structure


def _signature(value: Any) -> Any:
    """Return what of an argument a program is made for."""
    if isinstance(value, np.ndarray):
        return (type(value), value.dtype.str, value.shape)
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"compile: arguments are arrays or can be hashed, unlike {type(value).__name__}"
        ) from None
    if isinstance(value, float | complex | np.inexact):  # -0.0 is another than 0.0, NaN is itself
        return (type(value), repr(value))
    return (type(value), value)


def _makes_an_iterator(function: Any) -> bool:
    """Return whether a call does not run the function but returns what will."""
    return any(
        test(function)
        for test in (
            inspect.isgeneratorfunction,
            inspect.iscoroutinefunction,
            inspect.isasyncgenfunction,
        )
    )


@overload
def compile(
    function: Callable[..., Any], *, disable: Iterable[str] = ..., max_programs: int = ...
) -> CompiledFunction: ...
@overload
def compile(
    function: None = None, *, disable: Iterable[str] = ..., max_programs: int = ...
) -> Callable[[Callable[..., Any]], CompiledFunction]: ...
def compile(
    function: Callable[..., Any] | None = None,
    *,
    disable: Iterable[str] = (),
    max_programs: int = 16,
) -> CompiledFunction | Callable[[Callable[..., Any]], CompiledFunction]:
    """Make a function of arrays one C call: a training step, or inference.

    The first call with arrays of new shapes or dtypes runs the function once with symbols in place
    of the arrays among its arguments. Kernels and layers, given symbols, are noted instead of
    computed. What they note is a program: ops that run inside one team of threads, without Python
    between them, in memory that was laid out beforehand. Later calls replay it. Results have the
    bits of the function itself.

    Parameters
    ----------
    function : callable
        Of arrays, which may be in tuples, lists and dicts, and of anything that can be hashed: a
        program is made for each value of these. Returns arrays, numbers, strings or None, or
        tuples, lists and dicts of them.
    disable : iterable of str
        Passes to leave out: "fusion", "dead_code", "in_place", "reuse".
    max_programs : int
        How many programs are kept, those last used; at least 1, default 16.

    Returns
    -------
    CompiledFunction
        Or a decorator, without `function`.

    Raises
    ------
    TypeError
        By the call that records: the function does with its arrays what cannot be noted (NumPy,
        ``float``, ``if``, an index that copies). The message names operation and line.
    ValueError
        By a call: a parameter or buffer that the function uses was bound anew since.

    Notes
    -----
    Arrays that are no arguments, such as parameters and the state of optimizers, are used where
    they lie: what is written into them is seen by the next call. Anything else that the function
    reads from outside is read once. What it does beside kernels (printing, NumPy on arrays of its
    surroundings, drawing random numbers) happens while recording alone; random numbers come from
    `nn.Dropout`, or from outside as an argument.

    Arguments are read in place if they are contiguous and aligned, else copied. One that is written
    into must not overlap another. What is returned is
    new. Two threads may call one compiled function: the second waits. Between ops Ctrl-C is
    honoured, which leaves a step half done.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.models.mlp((784, 128, 10), rng=0)
    >>> optimizer = fastnn.optim.SGD(model, lr=0.05, momentum=0.9)
    >>> @fastnn.compile
    ... def step(x, labels):
    ...     logits, backward = model.forward(x)
    ...     loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
    ...     backward(dlogits)
    ...     optimizer.step()
    ...     return loss
    >>> x, labels = np.eye(8, 784, dtype=np.float32), np.arange(8)
    >>> step(x, labels) > step(x, labels)
    True
    >>> print(*step.programs())
    step(float32[8, 784], int64[8]): 10 ops, 5,504 bytes of temporary results
    """
    if function is None:
        return lambda f: CompiledFunction(f, tuple(disable), max_programs)
    return CompiledFunction(function, tuple(disable), max_programs)
