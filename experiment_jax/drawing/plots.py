"""Plots as uint8 arrays; no window, no state of the process."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def figure(width: float, height: float) -> Figure:
    """An empty figure, in inches of 100 pixels."""
    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def image(figure: Figure) -> np.ndarray:
    """The figure, drawn: uint8 `[h, w, 3]`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
