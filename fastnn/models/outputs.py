"""Networks whose outputs are compared with codes of the classes, as was usual before softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn.nn import Module, Sequential
from fastnn.nn.checks import check_dy
from fastnn.nn.module import Backward

if TYPE_CHECKING:
    from fastnn._core import Array


class MeanSquaredClassifier(Sequential):
    """Layers whose outputs, one for each class, should be +1 for the right one and -1 else.

    The loss is the squared distance to these targets, averaged over batch and classes: LeCun et
    al. 1998, section II.C and appendix B. The class is that of the largest output.
    """

    def loss(self, outputs: Array, labels: Array) -> tuple[float, Array]:
        """Return the mean loss and its gradient with respect to the outputs (N, C)."""
        codes = 2 * np.eye(outputs.shape[1], dtype=outputs.dtype) - 1
        return _core.mse(outputs, _core.embedding(codes, labels))


class RBF(Module):
    """``y[n, i] = sum over j of (x[n, j] - w[i, j])**2``: Euclidean radial basis function units.

    LeCun, Bottou, Bengio and Haffner 1998, section II.B, equation 7. The centres w are fixed; they
    are no parameters.

    Parameters
    ----------
    centres : array, (O, I)
        w.
    dtype : dtype
        float32 (default) or float64.
    """

    def __init__(self, centres: Array, *, dtype: object = np.float32) -> None:
        self.centres = np.array(centres, np.dtype(dtype))  # type: ignore[call-overload]
        if self.centres.ndim != 2:
            raise ValueError(f"RBF: centres must be (O, I), got shape {self.centres.shape}")
        self._sizes = (self.centres**2).sum(1)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y (N, O) and backward for x (N, I); the closure holds x."""
        w = self.centres
        n, features = x.shape
        # |x - w|^2 = |x|^2 - 2 x.w + |w|^2: products only
        rows = x.reshape(n, 1, features)
        squares = _core.matmul(rows, x.reshape(n, features, 1)).reshape(n, 1)
        sizes = np.broadcast_to(self._sizes, (n, len(w)))
        y = _core.gemm(x, w, trans_b=True, alpha=-2.0, beta=1.0, c=sizes, bias=squares)

        def backward(dy: Array) -> Array:
            # dx = sum over i of 2 dy_i (x - w_i)
            check_dy(self, dy, (n, len(w)), w.dtype)
            ones = np.ones((len(w), 1), w.dtype)
            total = _core.gemm(dy, ones, alpha=2.0)
            scaled = _core.matmul(total.reshape(n, 1, 1), rows).reshape(n, features)
            return _core.gemm(dy, w, alpha=-2.0, beta=1.0, c=scaled)

        return y, backward

    def __repr__(self) -> str:
        """Return the sizes."""
        outputs, inputs = self.centres.shape
        return f"RBF({inputs}, {outputs})"


class PenaltyClassifier(Sequential):
    """Layers whose outputs are penalties: the class is that of the smallest.

    The loss is the maximum a posteriori criterion of LeCun et al. 1998, section II.C, equation 9:
    the mean of ``y[D] + log(exp(-j) + sum over i of exp(-y[i]))``, D being the right class. The
    constant j keeps penalties that are large already from being pushed further up.

    Attributes
    ----------
    j : float
        Positive. The paper gives no value; ours is 1.
    """

    j: float = 1.0

    def loss(self, outputs: Array, labels: Array) -> tuple[float, Array]:
        """Return the mean loss and its gradient with respect to the penalties (N, C).

        It is the cross-entropy of the logits -y with one more class of logit -j, which is never
        the right one.
        """
        classes = outputs.shape[1]
        identity = np.eye(classes, classes + 1, dtype=outputs.dtype)
        offset = np.zeros(classes + 1, outputs.dtype)
        offset[classes] = -self.j
        logits = _core.gemm(outputs, identity, alpha=-1.0, bias=offset)
        loss, dlogits = _core.softmax_cross_entropy(logits, labels, ignore_index=None)
        return loss, _core.gemm(dlogits, identity, trans_b=True, alpha=-1.0)

    def classify(self, outputs: Array) -> Array:
        """Return the class of each row."""
        classes: Array = outputs.argmin(1)
        return classes
