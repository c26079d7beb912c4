"""The share of verdicts that are right."""

import numpy as np

from experiment_jax.data.split import UNPAIRED


def share_right(verdicts: np.ndarray, labels: np.ndarray) -> float | None:
    """The share of classes `verdicts` `[N]` that are `labels` int32 `[N]`, where these are known; None: none is."""
    known = labels != UNPAIRED
    return float(np.mean(verdicts[known] == labels[known])) if known.any() else None
