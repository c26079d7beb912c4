"""A classifier of latents that a few labels determine: kernel ridge regression onto the classes, in closed form.

    P(x | z) = softmax(f(z) / T)ₓ,   f(z) = k(z, Z) (K + λ I)⁻¹ (Y − 1/classes),   k(z, z′) = exp(−‖z − z′‖² / (d s)),

over the latents Z `[n, d]` of the pairs, whose variance a coordinate is s, and their labels Y, one-hot. Its error on a
pair that it was not fitted to needs no second fit: with G = (K + λ I)⁻¹ and α = G (Y − 1/classes) the fit without pair
i has the value (Y − 1/classes)ᵢ − αᵢ / Gᵢᵢ at it (Rasmussen & Williams 2006, eq. 5.12). λ and T are those of the least
−log P of the label of a pair left out.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special

MOST = 3000  # pairs that are fitted: the matrix has as many rows and columns
RIDGES = (0.03, 0.1, 0.3, 1.0)
SHARPNESS = 7.0  # f times this are logits that many labels leave nearly as they are


Fitted = Mapping[str, jax.Array]  # "anchors" Z [n, d], "coefficients" α SHARPNESS / T [n, classes], "width" d s


def fit(latents: np.ndarray, labels: np.ndarray, num_classes: int) -> Fitted:
    """The classifier of latents `[n, d]` with labels int `[n]`, two at least; of more than MOST a part is taken."""
    if len(labels) > MOST:
        chosen = np.random.default_rng(0).choice(len(labels), MOST, replace=False)
        latents, labels = latents[chosen], labels[chosen]
    anchors = latents.astype(np.float64)
    width = anchors.shape[1] * max(anchors.var(axis=0).mean(), 1e-12)
    kernel = np.asarray(_kernel(anchors, anchors, width, np))
    targets = np.eye(num_classes)[labels] - 1.0 / num_classes
    found = []
    for ridge in RIDGES:
        inverse = np.linalg.inv(kernel + ridge * np.eye(len(labels)))
        coefficients = inverse @ targets
        left_out = SHARPNESS * (targets - coefficients / np.diag(inverse)[:, None])
        degree, loss = temperature(left_out, labels)
        found.append((loss, SHARPNESS / degree * coefficients))
    coefficients = min(found, key=lambda each: each[0])[1]
    return {
        "anchors": anchors.astype(np.float32),
        "coefficients": coefficients.astype(np.float32),
        "width": np.float32(width),
    }


def logits(fitted: Fitted, latents: jax.Array) -> jax.Array:
    """Of latents `[batch, d]`: `[batch, classes]`."""
    return _kernel(latents, fitted["anchors"], fitted["width"], jnp) @ fitted["coefficients"]


def _kernel(x, y, width, numpy):
    squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2.0 * x @ y.T
    return numpy.exp(-numpy.maximum(squares, 0.0) / width)


def temperature(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """T that minimises −Σ log softmax(scores/T)[label] + ½ (log T / ½)², and the minimum; few labels leave T near 1.

    Args:
        scores: `[n, classes]`.
        labels: int `[n]`.
    """
    scores = scores.astype(np.float64)

    def loss(log_t: float) -> float:
        scaled = scipy.special.log_softmax(scores / np.exp(log_t), axis=-1)
        return 2.0 * log_t**2 - np.sum(scaled[np.arange(len(labels)), labels])

    found = scipy.optimize.minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
