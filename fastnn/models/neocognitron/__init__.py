"""The Neocognitron of Fukushima: cells, learning rules, and a classifier made of them."""

from fastnn.models.neocognitron.cells import (
    blur_window,
    c_cells,
    inhibitory_weights,
    s_cells,
    s_response,
    s_window,
    v_cells,
)
from fastnn.models.neocognitron.contrast import contrast, contrast_kernel, edge_patterns
from fastnn.models.neocognitron.estimator import Neocognitron, NeocognitronConfig
from fastnn.models.neocognitron.learning import add_if_silent

__all__ = [
    "Neocognitron",
    "NeocognitronConfig",
    "add_if_silent",
    "blur_window",
    "c_cells",
    "contrast",
    "contrast_kernel",
    "edge_patterns",
    "inhibitory_weights",
    "s_cells",
    "s_response",
    "s_window",
    "v_cells",
]
