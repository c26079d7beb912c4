"""Numbers that are arguments of a program: arithmetic is traced, comparisons are answered where all members agree."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiment_jax.config import checks, sections
from experiment_jax.data.load import load
from experiment_jax.method.build import build
from experiment_jax.networks import optimiser
from experiment_jax.sweep.arguments import Argument, insert

VALUES = (0.5, 2.0)


def over_members(function, values=VALUES):
    """function(argument) of each member, computed in one program."""
    return jax.jit(jax.vmap(lambda value: function(Argument(value, "a.b", values))))(jnp.asarray(values))


ARITHMETIC = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow,
}  # fmt: skip


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_is_that_of_the_member_s_number(name):
    compute = ARITHMETIC[name]
    expected = [[compute(value, 3.0), compute(3.0, value), compute(value, value)] for value in VALUES]
    found = over_members(lambda own: jnp.stack([compute(own, 3.0), compute(3.0, own), compute(own, own)]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    arrays = over_members(lambda own: compute(jnp.asarray([3.0, 5.0]), own))
    np.testing.assert_allclose(arrays, [compute(np.asarray([3.0, 5.0]), value) for value in VALUES], rtol=1e-6)


def test_functions_of_arrays_take_it_as_a_scalar():
    def compute(own):
        assert own.shape == () and own.dtype == jnp.float32
        drawn = jax.random.bernoulli(jax.random.key(0), own / 4, (1000,)), jax.random.bernoulli(jax.random.key(0), own)
        return jnp.stack([-own, jnp.sqrt(own), jnp.minimum(own, 1.0), jnp.mean(drawn[0]), drawn[1]])

    def alone(value):
        share = jnp.mean(jax.random.bernoulli(jax.random.key(0), value / 4, (1000,)))
        return [-value, value**0.5, min(value, 1.0), share, jax.random.bernoulli(jax.random.key(0), value)]

    np.testing.assert_allclose(over_members(compute), [alone(value) for value in VALUES], rtol=1e-6)


COMPARISONS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("bound", [0.0, 0.5, 1.0, 2.0, float("inf")])
def test_a_comparison_is_answered_where_all_members_agree_and_else_refused(name, bound, refused):
    compare = COMPARISONS[name]
    own = Argument(jnp.float32(0), "matching.epsilon", VALUES)
    answers = {compare(value, bound) for value in VALUES}
    if len(answers) == 1:
        assert compare(own, bound) is answers.pop()
        return
    message = refused(compare, own, bound)
    assert message.startswith("--sweep_together: matching.epsilon (0.5, 2.0) decides how the program is built")
    assert message.endswith("leave --sweep_together out")


def test_two_arguments_are_compared_member_by_member(refused):
    low, high = Argument(jnp.float32(0), "a.low", (0.1, 2.0)), Argument(jnp.float32(0), "a.high", (1.0, 9.0))
    assert low < high and not low > high and high != low
    assert "a.low (0.1, 2.0)" in refused(operator.lt, low, Argument(jnp.float32(0), "a.high", (1.0, 2.0)))


def test_a_comparison_with_an_array_is_an_array():
    found = over_members(lambda own: jnp.stack([own < jnp.arange(3.0), jnp.arange(3.0) >= own]))
    expected = [[value < np.arange(3.0), np.arange(3.0) >= value] for value in VALUES]
    np.testing.assert_array_equal(found, expected)


def test_whether_it_is_zero_is_a_comparison_too(refused):
    assert Argument(jnp.float32(0), "a.b", VALUES) and not Argument(jnp.float32(1), "a.b", (0.0, 0.0))
    assert "a.b (0.0, 1.0)" in refused(bool, Argument(jnp.float32(0), "a.b", (0.0, 1.0)))


def test_the_checks_of_settings_hear_all_members(refused):
    section = {"sound": Argument(jnp.float32(0), "a.sound", VALUES), "wrong": Argument(jnp.float32(0), "a.w", (1, -1))}
    checks.positive(section, "a", sound=1.0)
    checks.at_least(section, "a", 0.5, sound=1.0)
    assert "a.w (1, -1)" in refused(checks.positive, section, "a", wrong=1.0)


def test_it_is_a_node_of_trees_with_one_leaf():
    own = Argument(jnp.float32(3), "a.b", VALUES)
    [leaf], structure = jax.tree.flatten({"own": own})
    doubled = jax.tree.unflatten(structure, [2 * leaf])["own"]
    assert (doubled.traced, doubled.key, doubled.values) == (6.0, "a.b", VALUES)


def test_a_config_takes_it_where_the_number_stood_and_the_original_stays(tiny):
    config = tiny()
    own = Argument(jnp.float32(3), "matching.sinkhorn.epsilon", VALUES)
    copy = insert(config, {"matching.sinkhorn.epsilon": own})
    assert (
        copy.matching.sinkhorn.epsilon is own and config.matching.sinkhorn.epsilon == tiny().matching.sinkhorn.epsilon
    )
    assert copy.matching.width == config.matching.width


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_an_optimiser_moves_each_member_as_it_would_alone(kind):
    settings = dict(name=kind, weight_decay=0.1, schedule="cosine")
    names = ("learning_rate", "b1", "weight_decay", "clip")
    members = np.asarray([[1e-2, 0.9, 0.1, 1.0], [3e-2, 0.5, 0.3, 0.1]], np.float32)
    params = jnp.asarray([1.0, -2.0, 0.3])

    def trained(section):
        steps = optimiser.build(section, 10)

        def step(carry, _):
            params, state = carry
            updates, state = steps.update(jax.grad(lambda p: jnp.sum((p - 3.0) ** 2))(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, steps.init(params)), length=5)[0][0]

    def of_member(numbers):
        columns = zip(names, numbers, members.T.tolist(), strict=True)
        return trained(insert(sections.optimiser(**settings), {n: Argument(x, n, all_) for n, x, all_ in columns}))

    found = jax.jit(jax.vmap(of_member))(members)
    for row, numbers in zip(found, members.tolist(), strict=True):
        alone = trained(sections.optimiser(**settings | dict(zip(names, numbers, strict=True))))
        np.testing.assert_allclose(row, alone, rtol=1e-5)
    assert not np.allclose(found[0], found[1], rtol=1e-3)


@pytest.mark.parametrize("matcher", ["critic", "flow", "score", "vae"])
def test_every_number_of_a_matcher_may_be_an_argument(matcher, tiny):
    config = tiny(
        representation__kind="identity", representation__steps=0, matching__matcher=matcher, matching__beta=2.0
    )
    with config.unlocked():
        config.matching.score.guidance = 0.5
    dataset = load(config.data, config.seed)
    pixels = build(config, dataset)[0]
    upstream = {"representation": pixels.stage.finish({}, pixels.view, {})}
    own = {f"matching.{matcher}.{key}": x for key, x in config.matching[matcher].items() if isinstance(x, float)}
    numbers = {"matching.beta": 2.0, "matching.ema_decay": 0.9, "matching.optimiser.learning_rate": 1e-3, **own}

    def step(values):
        arguments = {key: Argument(values[key], key, (number, 0.9 * number)) for key, number in numbers.items()}
        task = build(insert(config, arguments), dataset)[1]
        batch = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), task.abstract_batch(upstream))
        state, metrics = task.stage.update(task.initial(task.key, upstream), batch, task.key, upstream)
        return state, metrics

    state, metrics = jax.eval_shape(step, {key: jnp.float32(0) for key in numbers})
    expected = build(config, dataset)[1].abstract_state(upstream)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), expected
    )
    assert metrics["loss"].shape == ()
