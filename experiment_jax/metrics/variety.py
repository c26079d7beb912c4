"""Whether samples differ at all, in pixels: what a collapsed GAN fails at, whatever network looks at its samples."""

import numpy as np

LOOKED_AT = 1000  # samples
COLLAPSED = 0.1  # a `pixel_spread` below is a collapse


def pixel_spread(samples: np.ndarray, real: np.ndarray) -> float:
    """√ of the mean over pixels of the variance of samples, over the same of real images; 1 where they vary alike.

    Args:
        samples: `[N, …]`, in the units of the real images.
        real: `[M, …]`, of which some differ.
    """
    varies = [np.mean(np.var(images, axis=0, dtype=np.float64)) for images in (samples, real)]
    return float(np.sqrt(varies[0] / varies[1]))
