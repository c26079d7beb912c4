"""What a step costs: against closed forms, and without a trace in the training."""

import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import train
from experiment_jax.devices.mesh import Program
from experiment_jax.training import analysis, cost
from experiment_jax.training.cost import Bound, Cost, Machine
from experiment_jax.training.step import Steps


def program(function, *shapes, dtype=jnp.float32):
    traced = jax.jit(function).trace(*(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes))
    return Program(traced.lower(), traced.jaxpr, 1)


def counted(function, *shapes, **own):
    return cost.of(program(function, *shapes, **own))


def convolve(x, kernel, stride=1, padding="SAME"):
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def descend(layer):
    """A step of gradient descent on the weights of a layer."""

    def step(weights, x):
        return weights - 0.1 * jax.grad(lambda weights: jnp.sum(layer(x, weights) ** 2))(weights)

    return step


def both_gradients(layer):
    return jax.grad(lambda x, weights: jnp.sum(layer(x, weights) ** 2), argnums=(0, 1))


def test_a_dense_layer_costs_two_flops_a_weight_and_row_forward_and_twice_that_backward():
    rows, inputs, outputs = 64, 110, 120
    product = 2 * rows * inputs * outputs
    assert counted(jnp.matmul, (rows, inputs), (inputs, outputs)).flops == product
    # What is not a product of matrices: a square and a sum of the outputs, the update of the weights.
    step = counted(descend(jnp.matmul), (inputs, outputs), (rows, inputs))
    assert 2 * product < step.flops < 1.03 * 2 * product
    both = counted(both_gradients(jnp.matmul), (rows, inputs), (inputs, outputs))
    assert 3 * product < both.flops < 1.03 * 3 * product


@pytest.mark.parametrize(
    ("stride", "padding", "taps"),
    # Taps of a 3×3 kernel on 12 places of a side: at the border of SAME one is missing on each side. With stride 2 XLA
    # pads on one side alone.
    [(1, "VALID", 3 * 10), (1, "SAME", 3 * 12 - 2), (2, "SAME", 3 * 6 - 1)],
)
def test_a_convolution_costs_two_flops_a_tap_within_the_image_and_pair_of_channels(stride, padding, taps):
    def layer(x, kernel):
        return convolve(x, kernel, stride, padding)

    product = 2 * 4 * taps**2 * 16 * 32
    shapes = (4, 12, 12, 16), (3, 3, 16, 32)
    assert counted(layer, *shapes).flops == product
    assert 2 * product < counted(descend(layer), *shapes[::-1]).flops < 1.05 * 2 * product
    assert 3 * product < counted(both_gradients(layer), *shapes).flops < 1.05 * 3 * product


def test_twice_the_batch_costs_twice_the_flops():
    once, twice = (counted(descend(convolve), (3, 3, 16, 32), (batch, 12, 12, 16)) for batch in (4, 8))
    assert twice.flops == pytest.approx(2 * once.flops, rel=0.02)
    assert once.bytes < twice.bytes and once.peak < twice.peak


def test_memory_counts_what_is_given_up_once():
    sizes = dict(argument_size_in_bytes=5, output_size_in_bytes=7, temp_size_in_bytes=11, alias_size_in_bytes=3)
    assert cost.peak(type("Memory", (), sizes)) == 20
    assert cost.peak(None) is None
    assert counted(jnp.matmul, (10, 20), (20, 30)).peak == 4 * (10 * 20 + 20 * 30 + 10 * 30)


def test_a_loop_of_known_length_counts_all_its_rounds():
    def repeated(length):
        return lambda x: jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=length)[0]

    def nested(x):
        return jax.lax.scan(lambda c, _: (repeated(5)(c), None), x, None, length=7)[0]

    for loop, rounds in ((repeated(5), 5), (nested, 35)):
        found = counted(loop, (32, 32))
        assert found.flops == pytest.approx(rounds * 2 * 32**3, rel=1e-2)
        assert found.loops == () and not any("round" in each for each in analysis.notes(found))


def test_a_loop_of_unknown_length_counts_one_round_and_is_named():
    found = counted(lambda x: jax.lax.while_loop(lambda c: c[0, 0] < 1, lambda c: c @ c, x), (32, 32))
    assert found.flops == pytest.approx(2 * 32**3, rel=1e-3)
    assert found.loops == (None,) and "one round" in analysis.notes(found)[0]


def test_loops_that_draw_random_numbers_are_not_named():
    assert counted(lambda x: x + jax.random.normal(jax.random.key(0), x.shape), (32, 32)).loops == ()


def test_calls_of_libraries_are_named_and_flops_are_those_before_optimisation():
    def layer(x, y):
        return jax.lax.top_k(x @ y, 3)

    found = counted(layer, (32, 32), (32, 32))
    assert found.libraries == ("TopK",) and found.counted == "before optimisation"
    assert found.flops == pytest.approx(2 * 32**3, rel=1e-3)
    assert "TopK" in analysis.notes(found)[0]


@pytest.mark.parametrize("found", [None, [], {}, [{}], {"flops": -1.0}, [{"flops": -1.0}], {"bytes accessed": 3.0}])
def test_a_count_that_is_missing_or_negative_is_unknown(found):
    assert cost.count(found, "flops") is None


@pytest.mark.parametrize("found", [{"flops": 3.0}, [{"flops": 3.0}, {"flops": 5.0}]])
def test_a_count_is_of_a_mapping_or_of_the_first_of_several(found):
    assert cost.count(found, "flops") == 3.0


def test_the_roofline_is_the_longer_of_two_times():
    machine = Machine("M", "float32", flops=100.0, bandwidth=10.0)  # a ridge at 10 FLOP a byte
    dense, sparse = Cost(400.0, 20.0, 1), Cost(400.0, 80.0, 1)
    assert dense.intensity == 20 and cost.roofline(dense, machine) == Bound(4.0, 2.0)
    assert (cost.roofline(dense, machine).seconds, cost.roofline(dense, machine).by) == (4.0, "arithmetic")
    assert (cost.roofline(sparse, machine).seconds, cost.roofline(sparse, machine).by) == (8.0, "memory")


def test_what_is_unknown_is_said_so_and_null_in_json():
    nothing = Cost(None, None, None, text=False)
    said = analysis.lines(nothing)
    assert said[0] == "unknown, unknown read and written, unknown FLOP a byte, unknown held at once"
    assert all("at least unknown" in line for line in said[1:-1]) and "unknown" in said[-1]
    content = json.loads(json.dumps(analysis.as_json(nothing, 8)))
    assert content["flops"] is content["intensity"] is content["machines"][0]["at_least"] is None
    # One of the two times alone does not say what bounds.
    assert cost.roofline(Cost(1.0, None, None), cost.MACHINES[0]).seconds is None


def test_numbers_have_three_digits_and_a_prefix():
    assert [analysis.scaled(value, "B") for value in (0, 999, 1234, 5.6e15)] == [
        "0 B",
        "999 B",
        "1.23 kB",
        "5.6e+03 TB",
    ]


@pytest.mark.parametrize("settings", [{"on_nonfinite": "skip", "on_disk": True}, {"steps_per_dispatch": 4}])
def test_one_step_is_lowered_and_the_steps_after_it_are_the_same(problem, walk, assert_identical, settings):
    task, devices = problem(**settings)
    steps = Steps(task, {}, devices)
    found = cost.of(steps.lower())
    # One step of Linear: x w forward, and its gradient by w.
    assert found.flops > 2 * (2 * 8 * 20 * 3)
    if "steps_per_dispatch" in settings:
        assert found == cost.of(Steps(*_swapped(problem())).lower())
    state, metrics = steps(steps.start(), 0)
    assert_identical(jax.tree.map(np.array, (steps.local(state), steps.local(metrics))), walk((task, devices))[0])


def _swapped(pair):
    task, devices = pair
    return task, {}, devices


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_counts_are_of_one_of_the_devices(problem, parallel):
    whole, part = (cost.of(Steps(*_swapped(problem(devices=devices, parallel=parallel))).lower()) for devices in (1, 4))
    assert (whole.devices, part.devices) == (1, 4)
    assert part.flops < whole.flops


def test_a_training_is_the_same_with_and_without(tiny, one, tmp_path, caplog, assert_identical):
    pixels = {"representation.kind": "identity", "representation.steps": 0}
    small = pixels | {"matching.matcher": "energy", "matching.draws": 2, "matching.steps": 2}
    with caplog.at_level(logging.INFO, logger="experiment_jax"):
        found = train(tiny(**small, matching__analyse=True), tmp_path / "with", one)
    assert_identical(found, train(tiny(**small), tmp_path / "without", one))
    assert not (tmp_path / "without" / analysis.FILE).exists()
    content = json.loads((tmp_path / "with" / analysis.FILE).read_text())
    assert content.keys() == {"matching"}  # there is no step of the representation
    content = content["matching"]
    assert content["batch_size"] == 40 and content["flops"] > 0 and content["peak"] > 0
    assert [each["name"] for each in content["machines"]] == [each.name for each in cost.MACHINES]
    assert caplog.text.count("matching: one step, batch 40, one device, as compiled for cpu") == 1
    # What is finished has no step left; a run that was begun without goes on with it.
    train(tiny(**small, matching__analyse=True), tmp_path / "without", one)
    assert not (tmp_path / "without" / analysis.FILE).exists()
    train(tiny(**small | {"matching.steps": 3}, matching__analyse=True), tmp_path / "without", one)
    assert (tmp_path / "without" / analysis.FILE).exists()


def test_another_file_of_that_name_is_replaced(tmp_path):
    (tmp_path / analysis.FILE).write_text("[damaged")
    analysis.report("linear", 8, program(jnp.matmul, (4, 5), (5, 6)), tmp_path)
    analysis.report("other", 8, program(jnp.matmul, (4, 5), (5, 6)), tmp_path)
    content = json.loads((tmp_path / analysis.FILE).read_text())
    assert content.keys() == {"linear", "other"} and content["other"]["flops"] == 2 * 4 * 5 * 6


def test_whether_to_analyse_is_yes_or_no(tiny, refused):
    assert "matching.analyse=7: expected bool" in refused(tiny, matching__analyse=7)
