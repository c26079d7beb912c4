"""What nearest neighbours tell of samples: precision and recall, fidelity, memorisation."""

from collections.abc import Iterable

import numpy as np
from sklearn.metrics import euclidean_distances, pairwise_distances_argmin, pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from experiment_jax.errors import UserError
from experiment_jax.metrics.checks import check_points, check_same_features

_ROWS = 2048  # queries whose differences are held at once
_BLOCK_MIB = 128  # memory for one block of a matrix of distances


def nearest_distance(queries: np.ndarray, points: np.ndarray, *, exclude_self: bool = False) -> np.ndarray:
    """Euclidean distance of each query to its nearest point; a copy is at exactly 0.

    Args:
        queries: `[n, d]`.
        points: `[m, d]`.
        exclude_self: the two are one set and a point is not its own neighbour (a duplicate still is).

    Returns:
        `[n]`, float64, in the units of the points.

    Raises:
        UserError: an empty set (fewer than two points with `exclude_self`), or values that are not finite.
        ValueError: different features; different counts with `exclude_self`.
    """
    queries = check_points(queries, "queries", allow_constant=True)
    points = check_points(points, "points", 2 if exclude_self else 1, allow_constant=True)
    check_same_features(queries, points, "queries and points")
    # One dtype for both, or the search leaves its blocked path; float32 holds uint8 images exactly.
    dtype = np.result_type(queries, points, np.float32)
    queries, points = queries.astype(dtype, copy=False), points.astype(dtype, copy=False)
    if not exclude_self:
        return _distance_to(queries, points, pairwise_distances_argmin(queries, points))
    if len(queries) != len(points):
        raise ValueError(f"exclude_self needs one set given twice, got {len(queries)} and {len(points)} points")
    return _kth_nearest(points, 1)


def nearest(queries: np.ndarray, blocks: Iterable[np.ndarray], k: int) -> np.ndarray:
    """Which points are the k nearest to each query, nearest first: int `[n, k]`, of the points' order.

    Args:
        queries: `[n, ...]`.
        blocks: the points, `[m, ...]` each, of the same shape as the queries.
        k: at most as many as there are points.
    """
    queries = queries.reshape(len(queries), -1).astype(np.float64)
    numbers, distances, start = np.zeros((len(queries), 0), int), np.zeros((len(queries), 0)), 0
    for block in blocks:
        points = np.asarray(block, np.float64).reshape(len(block), -1)
        numbers = np.append(numbers, np.broadcast_to(start + np.arange(len(points)), (len(queries), len(points))), 1)
        distances = np.append(distances, euclidean_distances(queries, points, squared=True), 1)
        best = np.argsort(distances, axis=1, kind="stable")[:, :k]
        numbers, distances = (np.take_along_axis(each, best, 1) for each in (numbers, distances))
        start += len(points)
    return numbers


def precision_recall(real: np.ndarray, generated: np.ndarray, *, k: int = 3) -> tuple[float, float]:
    """Share of generated points on the real manifold, and of real points on the generated one.

    Kynkäänniemi et al. 2019, eq. 1–2: a set's manifold is the union of the closed balls around its points, each with
    the distance to the k-th nearest other point of that set for radius. Mode collapse keeps precision and loses recall.

    Args:
        real: features `[n, d]`.
        generated: features `[m, d]`; take n = m, as both shares depend on the counts.
        k: which neighbour gives the radius.

    Returns:
        Precision and recall, each in [0, 1].

    Raises:
        UserError: fewer than k + 1 points, values that are not finite, or a set of one point repeated.
        ValueError: different features, or k < 1.
    """
    if k < 1:
        raise ValueError(f"k = {k}: at least 1")
    real = check_points(real, "real", k + 1)
    generated = check_points(generated, "generated", k + 1)
    check_same_features(real, generated, "real and generated")
    # A common offset costs digits in |x|² + |y|² − 2 x·y and no distance depends on it.
    centre = np.mean(real, axis=0, dtype=np.float64)
    real, generated = real - centre, generated - centre
    return _share_inside(generated, real, k), _share_inside(real, generated, k)


def fidelity(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Mean distance of a sample to its nearest test image, over the same for training images.

    1 is what new real images would get; more is off the data (noise, blur), less is samples of the easy middle.
    Distances are Euclidean between the pixels as given, so the three sets must share one scale.

    Args:
        samples: `[n, ...]`.
        train: `[m, ...]`.
        test: `[t, ...]`.

    Raises:
        UserError: an empty set, values that are not finite, or training images that are all among the test images.
        ValueError: images of different shapes.
    """
    samples, train, test = _flat(samples, train, test)
    floor = nearest_distance(train, test).mean()
    if floor == 0.0:
        raise UserError("train: every image is among the test images; give two splits that do not overlap")
    return float(nearest_distance(samples, test).mean() / floor)


def memorisation(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Whether samples lie nearer to the training images than unseen real images do.

    The test images give the distances that an honest sampler would have (the comparison of Meehan et al. 2020, reduced
    to two numbers). Read both with `fidelity`: far from everything is not memorised either.

    Args:
        samples: `[n, ...]`.
        train: `[m, ...]`.
        test: `[t, ...]`.

    Returns:
        `nearest_train_ratio`: median distance of a sample to its nearest training image, over the same for test images;
        about 1 if honest, 0 for copies. `copied`: share of samples no farther from a training image than the first
        percentile of the test images; about 0.01 if honest, 1 for copies.

    Raises:
        UserError: an empty set, values that are not finite, or test images most of which are training images.
        ValueError: images of different shapes.
    """
    samples, train, test = _flat(samples, train, test)
    of_samples, of_test = nearest_distance(samples, train), nearest_distance(test, train)
    typical = np.median(of_test)
    if typical == 0.0:
        raise UserError("test: most images are among the training images; give two splits that do not overlap")
    return {
        "nearest_train_ratio": float(np.median(of_samples) / typical),
        # ≤, because a test set with a few duplicates of training images has its first percentile at 0.
        "copied": float(np.mean(of_samples <= np.percentile(of_test, 1))),
    }


def _flat(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> list[np.ndarray]:
    named = {"samples": samples, "train": train, "test": test}
    sets = [check_points(images, name, allow_constant=True) for name, images in named.items()]
    for name, images in zip(named, sets, strict=True):
        check_same_features(images, sets[-1], f"{name} and test")
    return [images.reshape(len(images), -1) for images in sets]


def _distance_to(queries: np.ndarray, points: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Distances [n] from queries to points[nearest], by differences in float64.

    The search expands |x − y|² and so sees a copy at the root of the rounding; which point is nearest it does know.
    """
    blocks = [slice(start, start + _ROWS) for start in range(0, len(queries), _ROWS)]
    return np.concatenate(
        [np.linalg.norm(queries[rows].astype(np.float64) - points[nearest[rows]], axis=1) for rows in blocks]
    )


def _kth_nearest(points: np.ndarray, k: int) -> np.ndarray:
    """Distance [n] of each point to its k-th nearest other point."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points)
    neighbours = search.kneighbors(return_distance=False)  # without queries, a point is not its own neighbour
    return _distance_to(points, points, neighbours[:, k - 1])


def _share_inside(queries: np.ndarray, points: np.ndarray, k: int) -> float:
    """Share of queries that lie in some point's ball of radius its k-th nearest neighbour distance."""
    # Duplicates give radius 0, and a query on top of them must not fall outside by the rounding of the expansion.
    slack = 1e-7 * np.sqrt(np.square(points).sum(axis=1).max())
    radii = _kth_nearest(points, k) + slack
    inside = pairwise_distances_chunked(
        queries, points, reduce_func=lambda block, _: (block <= radii).any(axis=1), working_memory=_BLOCK_MIB
    )
    return float(np.concatenate(list(inside)).mean())
