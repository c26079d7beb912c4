import numpy as np
import pytest
from scipy.spatial.distance import cdist

from experiment_jax.errors import UserError
from experiment_jax.metrics.neighbours import fidelity, memorisation, nearest, nearest_distance, precision_recall


def normal(count, features=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, features))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_nearest_is_the_smallest_of_all(dtype):
    queries, points = ((40 * normal(n, 12, n) + 128).astype(dtype) for n in (11, 23))
    expected = cdist(queries, points).min(axis=1)
    np.testing.assert_allclose(nearest_distance(queries, points), expected, rtol=1e-12)


def test_nearest_works_across_blocks():
    queries, points = normal(5003, 3), normal(7, 3, 1)
    np.testing.assert_allclose(nearest_distance(queries, points), cdist(queries, points).min(axis=1), rtol=1e-12)


def test_a_copy_is_at_exactly_zero():
    points = (normal(23, 784) + 1000.0).astype(np.float32)
    assert np.all(nearest_distance(points[3:14], points) == 0.0)


def test_a_point_is_not_its_own_neighbour_but_its_duplicate_is():
    points = normal(11)
    points[7] = points[2]
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    found = nearest_distance(points, points, exclude_self=True)
    np.testing.assert_allclose(found, distances.min(axis=1), rtol=1e-12)
    assert found[2] == found[7] == 0.0


def test_excluding_self_needs_one_set():
    with pytest.raises(ValueError, match="one set given twice"):
        nearest_distance(normal(11), normal(12), exclude_self=True)
    with pytest.raises(UserError, match="1 points, at least 2"):
        nearest_distance(normal(1), normal(1), exclude_self=True)


def plain_precision_recall(real, generated, k):
    def share_inside(queries, points):
        inside = 0
        for query in queries:
            for i, point in enumerate(points):
                others = sorted(np.linalg.norm(point - other) for j, other in enumerate(points) if j != i)
                if np.linalg.norm(query - point) <= others[k - 1]:
                    inside += 1
                    break
        return inside / len(queries)

    return share_inside(generated, real), share_inside(real, generated)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_precision_recall_is_the_double_loop(k, seed):
    real, generated = normal(23, 3, seed), 0.7 * normal(17, 3, seed + 10) + 0.8
    found = precision_recall(real, generated, k=k)
    expected = plain_precision_recall(real, generated, k)
    assert found == pytest.approx(expected, abs=1e-12)
    assert expected[0] != expected[1]  # or a swap would pass


def test_a_set_covers_itself_wherever_it_lies():
    for offset in (0.0, 1e4):
        assert precision_recall(normal(23) + offset, normal(23) + offset) == (1.0, 1.0)


def test_a_common_offset_changes_nothing():
    # Multiples of 2⁻²⁰, so that the offset itself rounds nothing.
    real, generated = (np.round(s * normal(n, 3, n) * 2**20) / 2**20 for n, s in ((23, 1.0), (17, 0.7)))
    assert precision_recall(real + 2.0**26, generated + 2.0**26) == precision_recall(real, generated)


def test_the_balls_are_closed():
    # Radius 1 around each of 0, 1, 10, 11: the points 2 and 9 lie on the rim, 3 outside.
    precision, _ = precision_recall(np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([[2.0], [9.0], [3.0]]), k=1)
    assert precision == 2 / 3


def test_a_query_on_duplicates_is_inside_their_ball_of_radius_zero():
    real = np.concatenate([np.tile(1e3 + normal(1, 64), (5, 1)), 1e5 + normal(11, 64, 1)])
    generated = np.concatenate([real[:1] + np.zeros((4, 1)), real[:1] - 1e3 * normal(7, 64, 2)])
    precision, _ = precision_recall(real, generated)
    assert precision == 4 / 11


def assert_collapse_costs_recall_only(metric):
    real = normal(211, 4)
    collapsed = 0.05 * normal(197, 4, 1)
    precision, recall = metric(real, collapsed)
    assert precision > 0.9
    assert recall < 0.1


def test_mode_collapse_keeps_precision_and_loses_recall():
    assert_collapse_costs_recall_only(precision_recall)


def test_a_swap_of_precision_and_recall_does_not_pass():
    with pytest.raises(AssertionError):
        assert_collapse_costs_recall_only(lambda real, generated: precision_recall(generated, real))


def test_outliers_lose_precision_and_keep_recall():
    real = normal(211)
    precision, recall = precision_recall(real, np.concatenate([real, 50 + 30 * normal(211, seed=1)]))
    assert precision == pytest.approx(0.5, abs=0.02)
    assert recall == 1.0


def test_precision_recall_refuses_what_has_no_neighbours():
    with pytest.raises(UserError, match=r"^generated: 3 points, at least 4"):
        precision_recall(normal(11), normal(3), k=3)
    with pytest.raises(UserError, match=r"^generated: all 12 points are the same"):
        precision_recall(normal(11), np.ones((12, 4)))
    with pytest.raises(UserError, match=r"^real: 1 of 44 values"):
        precision_recall(np.where(normal(11) == normal(11)[3, 2], np.inf, normal(11)), normal(12))
    with pytest.raises(ValueError, match="shapes"):
        precision_recall(normal(11), normal(11, 3))
    with pytest.raises(ValueError, match="k = 0"):
        precision_recall(normal(11), normal(11), k=0)


def images(count, seed):
    return normal(count, 15, seed).reshape(count, 5, 3, 1).astype(np.float32)


def test_fidelity_is_a_ratio_of_mean_distances():
    samples, train, test = images(11, 0), images(23, 1), images(13, 2)
    flat = [x.reshape(len(x), -1) for x in (samples, train, test)]
    expected = cdist(flat[0], flat[2]).min(axis=1).mean() / cdist(flat[1], flat[2]).min(axis=1).mean()
    np.testing.assert_allclose(fidelity(samples, train, test), expected, rtol=1e-6)


def test_fidelity_of_training_images_is_one_and_noise_raises_it():
    train, test = images(101, 1), images(53, 2)
    values = [fidelity(train + s * images(101, 3), train, test) for s in (0.0, 0.5, 1.0, 2.0)]
    assert values[0] == 1.0
    assert np.all(np.diff(values) > 0)


def test_fidelity_refuses_overlapping_splits():
    with pytest.raises(UserError, match=r"^train: every image is among the test images; "):
        fidelity(images(11, 0), images(13, 1)[:7], images(13, 1))
    with pytest.raises(ValueError, match="samples and test"):
        fidelity(images(11, 0)[:, :4], images(7, 1), images(13, 1))


def test_memorisation_is_plain_medians_and_percentiles():
    samples, train, test = 1.3 * images(11, 0), images(23, 1), images(13, 2)
    flat = [x.reshape(len(x), -1) for x in (samples, train, test)]
    of_samples, of_test = cdist(flat[0], flat[1]).min(axis=1), cdist(flat[2], flat[1]).min(axis=1)
    found = memorisation(samples, train, test)
    assert found["nearest_train_ratio"] == pytest.approx(np.median(of_samples) / np.median(of_test))
    assert found["copied"] == np.mean(of_samples < np.percentile(of_test, 1))


def test_copies_are_flagged_and_honest_samples_are_not():
    train, test = images(503, 1), images(499, 2)
    honest = memorisation(images(401, 3), train, test)
    assert honest["nearest_train_ratio"] == pytest.approx(1.0, abs=0.1)
    assert honest["copied"] < 0.05
    assert memorisation(train[:101], train, test) == {"nearest_train_ratio": 0.0, "copied": 1.0}
    nearly = memorisation(train[:101] + 0.01 * images(101, 4), train, test)
    assert nearly["nearest_train_ratio"] < 0.05
    assert nearly["copied"] == 1.0


def test_copies_are_flagged_where_test_images_repeat_training_images():
    train, test = images(503, 1), images(101, 2)
    test[:5] = train[:5]  # the first percentile of the test distances is now 0
    assert memorisation(train[100:150], train, test)["copied"] == 1.0
    assert memorisation(images(53, 3), train, test)["copied"] == 0.0


def test_memorisation_refuses_overlapping_splits():
    with pytest.raises(UserError, match=r"^test: most images are among the training images; "):
        memorisation(images(11, 0), images(23, 1), images(23, 1)[:13])


def test_the_nearest_are_found_whatever_the_blocks():
    generator = np.random.default_rng(0)
    queries, points = generator.integers(0, 256, (5, 3, 4), np.uint8), generator.integers(0, 256, (23, 3, 4), np.uint8)
    points[17] = queries[2]
    apart = np.square(queries[:, None].astype(int) - points[None]).sum(axis=(2, 3))
    expected = np.argsort(apart, axis=1)[:, :3]
    for size in (1, 7, 23, 100):
        blocks = (points[start : start + size] for start in range(0, len(points), size))
        np.testing.assert_array_equal(nearest(queries, blocks, 3), expected)
    assert expected[2, 0] == 17
