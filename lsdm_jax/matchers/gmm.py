"""The `gmm` matcher: one mixture of normal laws for the latents of each class, by expectation maximisation.

q(z | x) = Σ_k π_{x,k} N(z; μ_{x,k}, Σ_{x,k}) with full covariances: density estimation after the representation is
trained. Ghosh et al. 2020 (arXiv 1903.12436, section 5) fit one mixture over all classes, and so does
`conditional=False`. No generator.
"""

import dataclasses
import logging
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import PyTree, Upstream
from lsdm_jax.matchers.matcher import Matcher

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class MixtureMatcher(Matcher):
    """A mixture of normal laws for each class, fitted in one pass; nothing is trained."""

    NAME = "gmm"
    nfe = 0

    def check(self) -> None:
        checks.at_least(self.own, self.where, 1, components=10)
        checks.at_least(self.own, self.where, 0, covariance_floor=1e-3, iterations=200)
        if self.config.labels == "pairs":  # else a labeller's labels of the rest are not known yet
            counts = self.context.class_counts
            _check_members(self.own, self.where, counts if self.conditional else counts.sum(keepdims=True))

    @property
    def conditional(self) -> bool:
        return self.own.conditional

    def fit(self, latents: np.ndarray, labels: np.ndarray, upstream: Upstream) -> PyTree:
        classes = range(self.context.num_classes if self.conditional else 1)
        labels = labels if self.conditional else np.zeros_like(labels)
        _check_members(self.own, self.where, np.bincount(labels, minlength=len(classes)))
        own = self.own.components, self.own.covariance_floor, self.own.iterations
        return stacked([mixture(latents[labels == label], *own) for label in classes])

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        """μ + A ε with A Aᵀ = Σ, of a component that is drawn by its weight."""
        x = x if self.conditional else 0
        weights, means, roots = (jnp.asarray(params[name]) for name in ("weights", "means", "roots"))
        choice, noise = jax.random.split(key)
        k = jax.random.categorical(choice, jnp.log(weights[x]))
        mean, root = means[x, k], roots[x, k]  # not roots[x] first: many samples would hold those of whole classes
        return mean + root @ jax.random.normal(noise, mean.shape)


class Mixture(NamedTuple):
    """Σ_k π_k N(μ_k, Σ_k).

    Attributes:
        weights: π `[k]`.
        means: μ `[k, d]`.
        covariances: Σ `[k, d, d]`.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def mixture(points: np.ndarray, components: int, floor: float, iterations: int) -> Mixture:
    """A mixture of normal laws for points `[n, d]`: by expectation maximisation from the clusters of k-means, or where
    it has no iterations, of these clusters."""
    points = points.astype(np.float64)
    if not iterations:
        return clusters(points, components, floor)
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ConvergenceWarning)
        found = GaussianMixture(components, reg_covar=floor, max_iter=iterations, random_state=0).fit(points)
    for complaint in complaints:
        log.warning("gmm: %s", complaint.message)
    return Mixture(found.weights_, found.means_, found.covariances_)


def clusters(points: np.ndarray, components: int, floor: float) -> Mixture:
    """The share, the mean and the covariance of each cluster of points `[n, d]`, the floor added."""
    labels = KMeans(components, random_state=0).fit(points).labels_
    sizes = np.bincount(labels, minlength=components)
    # Where points coincide, a cluster may be empty. Its share is 0, and any law will do.
    members = [points[labels == k] if size else points for k, size in enumerate(sizes)]
    covariances = np.stack([np.cov(own.T, ddof=0).reshape(2 * points.shape[1:]) for own in members])
    means = np.stack([own.mean(axis=0) for own in members])
    return Mixture(sizes / len(points), means, covariances + floor * np.eye(points.shape[1]))


def stacked(mixtures: list[Mixture]) -> PyTree:
    """Weights `[classes, k]`, means `[classes, k, d]` and roots A of the covariances `[classes, k, d, d]`, float32."""
    weights, means, covariances = (np.stack(leaves) for leaves in zip(*mixtures, strict=True))
    parts = dict(weights=weights, means=means, roots=np.linalg.cholesky(covariances))
    return {name: part.astype(np.float32) for name, part in parts.items()}


def _check_members(config: ConfigDict, name: str, members: np.ndarray) -> None:
    """Raises UserError where the smallest class has fewer latents than components; `members` int `[classes]`."""
    label = int(np.argmin(members))
    least = int(members[label])
    if least < max(config.components, 2):
        advice = f"type --config.{name}.components={least}" if least > 1 else "give more labels"
        who = f"class {label} has" if config.conditional else "there are"
        raise UserError(f"{name}.components={config.components}: {who} {least} latents; {advice}")
