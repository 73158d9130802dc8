"""One training step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn import _core
from fastnn.optim import clip_grad_norm
from fastnn.program import CompiledFunction

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.nn import Module
    from fastnn.optim import Optimizer

Loss: TypeAlias = "Callable[[Array, Array], tuple[float, Array]]"
"""``loss, dy = loss(y, targets)``: the mean over the batch, and its gradient."""

Step: TypeAlias = "Callable[[Array, Array], tuple[float, int]]"
"""``loss, correct = step(x, targets)``."""


def loss_of(model: Module, loss: Loss | None = None) -> Loss:
    """Return `loss`, else the model's own, else softmax with cross-entropy."""
    own: Loss | None = getattr(model, "loss", None)
    return loss or own or _core.softmax_cross_entropy


def classes_of(model: Module, x: Array, outputs: Array) -> Array:
    """Return the class of each row of a batch, of which the model's outputs are known.

    Models whose largest output is not the answer say what is by ``classify(outputs)``, or by
    ``predict(x)``, which costs another pass.
    """
    for name, argument in (("classify", outputs), ("predict", x)):
        own: Callable[[Array], Array] | None = getattr(model, name, None)
        if own is not None:
            return own(argument)
    classes: Array = outputs.argmax(1)
    return classes


def are_labels(targets: Array) -> bool:
    """Return whether targets are classes (N,), and not values to come near to."""
    return targets.ndim == 1 and targets.dtype.kind in "iu"


def make_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    clip_norm: float | None = None,
    compile: bool = True,
) -> Step:
    """Return the function that makes one training step.

    Parameters
    ----------
    model : Module
        Maps x (N, ...) to outputs (N, ...).
    loss : callable
        ``loss(outputs, targets)`` returns the mean over the batch and its gradient with respect
        to the outputs.
    optimizer : Optimizer
        Of the model's parameters.
    clip_norm : float, optional
        Largest norm of the gradients of all parameters; see `fastnn.optim.clip_grad_norm`.
    compile : bool
        Run the step by `fastnn.compile`; default True. It has no effect on results. A step that
        cannot be recorded, because of a layer or a loss of one's own, runs as it is, after a
        RuntimeWarning; so does one whose layers have a NumPy generator. Layers of one's own that
        compute with NumPy what does not depend on x must not be compiled: it is computed once.

    Returns
    -------
    callable
        ``loss, correct = step(x, targets)``: the loss before the step, and how many rows were
        classified correctly. It raises FloatingPointError, before a parameter is changed, if the
        loss is infinite or NaN.
    """

    def update(x: Array, targets: Array) -> tuple[float, Array]:
        outputs, backward = model.forward(x)
        value, dy = loss(outputs, targets)
        _core.require_finite(value)
        backward(dy)
        if clip_norm is not None:
            clip_grad_norm(optimizer, clip_norm)
        optimizer.step()
        return value, outputs

    drawing = [type(m).__name__ for m in model.modules() if draws(m)] if compile else []
    if drawing:
        # a recording would draw once, and replay these numbers for ever
        warnings.warn(
            f"the step runs uncompiled: {drawing[0]} draws from a generator of NumPy's",
            RuntimeWarning,
            stacklevel=3,
        )
    run = Fallback(update, "the step") if compile and not drawing else update
    predicts = hasattr(model, "predict") and not hasattr(model, "classify")

    def step(x: Array, targets: Array) -> tuple[float, int]:
        # a model that predicts from x does so before the update
        early = predicts and are_labels(targets)
        right = classes_of(model, x, model(x)) == targets if early else False
        value, outputs = run(x, targets)
        if not early:
            right = are_labels(targets) and classes_of(model, x, outputs) == targets
        return value, int(np.count_nonzero(right))

    return step


def draws(module: Module) -> bool:
    """Return whether a module has a generator of NumPy's."""
    return any(isinstance(value, np.random.Generator) for value in vars(module).values())


class Fallback:
    """A compiled function that goes on as it is where it cannot be recorded.

    Parameters
    ----------
    function : callable
        Of arrays.
    what : str
        What a RuntimeWarning calls it then; "": there is none.
    """

    def __init__(self, function: Callable[..., Any], what: str = "") -> None:
        self._function = function
        self._what = what
        self._compiled: CompiledFunction | None = CompiledFunction(function)

    def __call__(self, *arrays: Array) -> Any:
        """Return what the function does."""
        if self._compiled is not None:
            try:
                return self._compiled(*arrays)
            except (TypeError, AttributeError) as error:
                # a RecordingError, or a layer's own, which cannot do with symbols; what is wrong
                # with real arrays too is raised again below
                if self._what:
                    warnings.warn(
                        f"{self._what} runs uncompiled: {error}", RuntimeWarning, stacklevel=4
                    )
                self._compiled = None
        return self._function(*arrays)
