"""Convex combinations of latents of one class.

z = Σᵢ θᵢ aᵢ with θ ≥ 0 and Σᵢ θᵢ = 1 (arXiv 2004.07543, eq. 9). A half-space that holds the aᵢ holds z (Lemma 1), so a
linear head calls z what it calls all of the aᵢ.

What is not kept is the spread: independent aᵢ of standard deviation σ give z one of σ √(Σᵢ θᵢ²), which is σ/√n for
uniform weights. (The paper's Theorem 2 takes the law of a mixture for that of an average.)
"""

import dataclasses
from collections.abc import Sequence
from functools import partial

import flax
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.neighbors import NearestNeighbors


@flax.struct.dataclass
class Bank:
    """The latents that are combined, sorted by class; see `build_bank`.

    Attributes:
        latents: float16 `[N, latent]`.
        images: int32 `[N]`, the number of the image that each is of.
        starts: int32 `[classes]`, the first row of each class.
        counts: int32 `[classes]`, the rows of each class.
        neighbours: int32 `[N, k]`, rows of the k nearest of the same class, where partners are neighbours; else None.
    """

    latents: jax.Array
    images: jax.Array
    starts: jax.Array
    counts: jax.Array
    neighbours: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class Weights:
    """The law of θ `[n]`.

    Attributes:
        n: members a combination; the compiled program grows with n².
        kind: "uniform" (1/n each), "ratio" or "dirichlet".
        ratio: θ itself, where the kind is "ratio".
        alpha: concentration of the symmetric Dirichlet law; 1: uniform on the simplex; larger: nearer to 1/n each.
    """

    n: int
    kind: str = "uniform"
    ratio: tuple[float, ...] = ()
    alpha: float = 1.0

    def draw(self, key: jax.Array, bits: Sequence[jax.Array]) -> list[jax.Array]:
        """θ, n float32 scalars, out of n random uint32 scalars `bits`; of `key` where alpha is not 1."""
        if self.kind == "uniform":
            return [jnp.float32(1 / self.n)] * self.n
        if self.kind == "ratio":
            return [jnp.float32(share) for share in self.ratio]
        if self.alpha == 1.0:
            # Normalised exponentials, from the midpoints of 2²³ equal parts of (0, 1): the logarithm is never infinite.
            # jax.random.dirichlet takes ten times as long.
            uniform = [((b >> jnp.uint32(9)).astype(jnp.float32) + 0.5) * 2.0**-23 for b in bits]
            exponential = [-jnp.log(u) for u in uniform]
            total = sum(exponential[1:], exponential[0])
            return [e / total for e in exponential]
        # Logarithms of gamma variates: with a small alpha all n variates themselves can be 0 in float32.
        return list(jax.nn.softmax(jax.random.loggamma(key, jnp.float32(self.alpha), (self.n,))))


def combine(bank: Bank, weights: Weights, keys: jax.Array, labels: jax.Array) -> jax.Array:
    """One convex combination for each key: latents float32 `[batch, latent]`; sample i depends on key i and label i.

    Args:
        bank: of latents.
        weights: the law of θ; a class needs n members, and k at least n − 1.
        keys: `[batch]`.
        labels: int32 `[batch]`.
    """
    arrays = jax.tree.map(jnp.asarray, bank)
    return jax.vmap(partial(_combination, arrays, weights))(keys, labels)


def sources(bank: Bank, weights: Weights, keys: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What `combine` combines of the same arguments: rows of the bank int32, and θ float32, both `[batch, n]`."""
    arrays = jax.tree.map(jnp.asarray, bank)
    rows, theta = jax.vmap(partial(_members, arrays, weights))(keys, labels)
    return jnp.stack(rows, axis=-1), jnp.stack(theta, axis=-1)


def _combination(bank: Bank, weights: Weights, key: jax.Array, label: jax.Array) -> jax.Array:
    """z = Σᵢ θᵢ aᵢ, float32 `[latent]`, summed member by member so that a batch's aᵢ never stand side by side."""
    rows, theta = _members(bank, weights, key, label)
    # Rows are not negative, and an unsigned index spares the test for it.
    members = [bank.latents[row.astype(jnp.uint32)].astype(jnp.float32) for row in rows]
    terms = [share * member for share, member in zip(theta, members, strict=True)]
    return sum(terms[1:], terms[0])


def _members(bank: Bank, weights: Weights, key: jax.Array, label: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
    """Rows of the bank, n int32 scalars, and θ, n float32 scalars, all from one call of the generator."""
    drawn = 2 * weights.n if weights.kind == "dirichlet" and weights.alpha == 1.0 else weights.n
    bits = jax.random.bits(key, (drawn,))
    rows = _rows(bank, [bits[i] for i in range(weights.n)], label)
    return rows, weights.draw(jax.random.fold_in(key, 1), [bits[i] for i in range(weights.n, drawn)])


def _rows(bank: Bank, bits: Sequence[jax.Array], label: jax.Array) -> list[jax.Array]:
    """Rows of n distinct members of a class, int32 scalars, out of n random uint32 scalars.

    Uniform over ordered n-tuples of the class; with neighbours, the first is uniform in the class and the others are
    uniform over ordered tuples of its k nearest.
    """
    start, count = bank.starts[label], bank.counts[label]
    if bank.neighbours is None:
        return [start + position for position in _distinct(bits, count)]
    neighbours = bank.neighbours
    [anchor] = _distinct(bits[:1], count)
    near = _distinct(bits[1:], jnp.int32(neighbours.shape[1]))
    return [start + anchor, *(neighbours[start + anchor, position] for position in near)]


def _distinct(bits: Sequence[jax.Array], count: jax.Array) -> list[jax.Array]:
    """Distinct positions in [0, count), int32 scalars, uniform over ordered tuples.

    The i-th is drawn among the count − i positions that are left and shifted past the earlier ones in ascending order.
    The remainder makes some positions more likely than others by a share of count / 2³² at most.
    """
    positions, ascending = [], []
    for i, each in enumerate(bits):
        position = (each % (count - i).astype(jnp.uint32)).astype(jnp.int32)
        for earlier in ascending:
            position = position + (position >= earlier).astype(jnp.int32)
        positions.append(position)
        largest, inserted = position, []
        for earlier in ascending:
            inserted.append(jnp.minimum(earlier, largest))
            largest = jnp.maximum(earlier, largest)
        ascending = [*inserted, largest]
    return positions


def build_bank(latents: np.ndarray, labels: np.ndarray, num_classes: int, k: int | None = None) -> Bank:
    """The bank of latents; its `images` say which of the latents given each row is.

    Args:
        latents: float16 `[N, latent]`, in any order.
        labels: of them, int32 `[N]`.
        num_classes: of the data set.
        k: neighbours to find for each member, among those of its class, itself left out; None: none.
    """
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=num_classes).astype(np.int32)
    starts = (np.cumsum(counts) - counts).astype(np.int32)
    bank = Bank(latents[order], order.astype(np.int32), starts, counts)
    if k is None:
        return bank
    classes = [slice(start, start + count) for start, count in zip(starts, counts, strict=True) if count]
    return bank.replace(neighbours=np.concatenate([own.start + _nearest(bank.latents[own], k) for own in classes]))


def _nearest(latents: np.ndarray, k: int) -> np.ndarray:
    """Positions int32 `[N, k]` of each latent's k nearest others."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(latents.astype(np.float32))
    return search.kneighbors(return_distance=False).astype(np.int32)  # without queries, none is its own neighbour
