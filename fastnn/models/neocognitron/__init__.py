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

__all__ = [
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
