"""Configs: overrides, variants, durations, config.json."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from experiment_jax import UserError, load_config
from experiment_jax.config.durations import Schedule, schedule, to_steps
from experiment_jax.config.load import override
from experiment_jax.config.types import flat, from_json, to_json
from experiment_jax.method.build import resolve
from experiment_jax.runs.directory import read_config

DIGITS = "configs/lsdm_digits.py"

EXAMPLE = """
from experiment_jax.config.sections import experiment, stage

def get_config():
    config = experiment("example", "digits", stages=("only",))
    build = "experiment_jax.networks.convolutional:stage"
    config.only = stage(build, view="paired", batch_size=11, epochs=2.0, rate=0.5, sizes=(3, 5))
    return config

VARIANTS = {"short": {"only.steps": 7}, "long": {"only.examples": 1000, "only.rate": 2}}
"""


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(EXAMPLE)
    return path


def test_overrides_are_read_as_the_type_that_they_replace(example):
    text = {"seed": "3", "only.rate": "2", "data.flips": "True", "only.sizes": "(7, 11)", "data.name": "12"}
    config = load_config(example, {**text, "data.paired": "100"})
    assert config.seed == 3 and type(config.seed) is int
    assert config.only.rate == 2.0 and type(config.only.rate) is float
    assert config.data.flips is True
    assert config.only.sizes == (7, 11)
    assert config.data.name == "12"
    assert config.data.paired == 100
    assert load_config(example, {"data.paired": "None"}).data.paired is None
    assert load_config(example, {"data.label": "None"}).data.label is None
    assert load_config(example, {"data.name": "None"}).data.name == "None"
    assert load_config(example, {"only.rate": "inf"}).only.rate == float("inf")


def test_a_loaded_config_is_locked(example):
    config = load_config(example)
    with pytest.raises((KeyError, AttributeError)):
        config.only.sise = 3
    with pytest.raises(TypeError):
        config.seed = "three"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("matchin.steps", "matching.steps"), ("matching.sinkhorn.epsilom", "matching.sinkhorn.epsilon"), ("sed", "seed")],
)
def test_an_unknown_key_names_the_closest(typed, meant, refused):
    message = refused(load_config, DIGITS, {typed: "1"})
    assert f"--config.{typed}" in message
    assert message.endswith(f"did you mean --config.{meant}?")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "three"),
        ("seed", "1.5"),
        ("seed", "None"),
        ("only.rate", "fast"),
        ("data.flips", "maybe"),
        ("data.paired", "half"),
        ("only.sizes", "7"),
        ("only.sizes", "(7,"),
        ("only.sizes", "('a', 'b')"),
        ("stages", "('only')"),
        ("seed", 1.5),
        ("seed", True),
        ("only.rate", None),
        ("only.sizes", ("a",)),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_an_example_that_works(example, key, value, refused):
    message = refused(load_config, example, {key: value})
    assert f"--config.{key}={value}" in message
    suggested_key, _, suggested = message.rpartition("as in --config.")[2].partition("=")
    assert suggested_key == key
    load_config(example, {key: suggested})


def test_a_section_is_not_a_setting(refused):
    assert "matching.steps" in refused(load_config, DIGITS, {"matching": "1"})


def test_variants_come_before_overrides(example):
    assert load_config(f"{example}:short").only.steps == 7
    assert load_config(f"{example}:short", {"only.steps": "9"}).only.steps == 9
    assert load_config(f"{example}:long").only.rate == 2.0


def test_unknown_files_and_variants_name_the_known_ones(example, refused):
    assert "short, long" in refused(load_config, f"{example}:medium")
    assert "lsdm_digits, " in refused(load_config, "configs/nothing.py")
    example.write_text("x = 1")
    assert "get_config()" in refused(load_config, example)


def test_setting_one_unit_replaces_another(example):
    assert load_config(example).only.epochs == 2.0
    config = load_config(f"{example}:short")
    assert config.only.epochs is None and config.only.steps == 7
    config = load_config(example, {"only.log_epochs": "0.5", "only.optimiser.warmup_steps": "3"})
    assert config.only.log_percent is None and config.only.optimiser.warmup_percent is None


def test_a_number_of_steps_that_is_no_duration_keeps_its_type(refused):
    for matcher, name in (("critic", "steps"), ("score", "sampling_steps")):
        key = f"matching.{matcher}.{name}"
        assert load_config(DIGITS, {key: "7"}).matching[matcher][name] == 7
        assert refused(load_config, DIGITS, {key: "x"}).startswith(f"--config.{key}=x: expected int, as in")
        assert "expected int" in refused(load_config, DIGITS, {key: "None"})


def test_two_units_at_once_are_refused(example, refused):
    config = load_config(example, {"only.steps": "7", "only.epochs": "2"})
    assert "exactly one of steps, epochs, examples" in refused(schedule, config.only, 100)


def test_no_unit_is_refused(example, refused):
    config = load_config(example, {"only.epochs": "None"})
    assert "exactly one of" in refused(schedule, config.only, 100)


@pytest.mark.parametrize(
    ("key", "value"), [("only.steps", "-1"), ("only.log_percent", "inf"), ("only.log_percent", "-1")]
)
def test_negative_durations_are_refused(example, key, value, refused):
    section = load_config(example, {key: value}).only
    assert f"{key.partition('.')[2]}={value}" in refused(schedule, section, 100)


@pytest.mark.parametrize("value", [0, -11])
def test_empty_batches_are_refused(example, value, refused):
    assert f"only.batch_size={value}" in refused(load_config, example, {"only.batch_size": str(value)})
    section = load_config(example).only.copy_and_resolve_references()
    with section.unlocked():
        section.batch_size = value
    assert f"batch_size={value}" in refused(schedule, section, 100)


@pytest.mark.parametrize(
    ("setting", "steps"),
    [
        ({"steps": 13}, 13),
        ({"epochs": 2.0}, 19),  # 2 · 103 / 11 = 18.7
        ({"epochs": 0.1}, 1),
        ({"epochs": 1.1}, 11),  # 1.1 · 103 / 11 = 10.3
        ({"examples": 110}, 10),
        ({"examples": 111}, 11),
        ({"percent": 25.0}, 15),  # of 57: 14.25
    ],
)
def test_durations_are_rounded_up_to_whole_steps(setting, steps):
    section = ConfigDict({"steps": None, "epochs": None, "examples": None, "percent": None, **setting})
    assert to_steps(section, total=57, batch_size=11, num_examples=103) == steps


@settings(deadline=None)
@given(batch=st.integers(1, 10_000), count=st.integers(0, 10_000), percent=st.integers(0, 100))
def test_what_divides_is_not_rounded(batch, count, percent):
    sizes = dict(total=100 * count, batch_size=batch, num_examples=batch * 7)
    assert to_steps(ConfigDict({"examples": batch * count}), **sizes) == count
    assert to_steps(ConfigDict({"epochs": float(count)}), **sizes) == 7 * count
    assert to_steps(ConfigDict({"percent": float(percent)}), **sizes) == percent * count
    whole = to_steps(ConfigDict({"percent": 100.0}), total=count)
    assert whole == count


@settings(deadline=None)
@given(tenths=st.integers(0, 10**6), batch=st.integers(1, 1000))
def test_decimals_are_what_was_typed(tenths, batch):
    # 1.1 epochs of 100 examples in batches of 10 are 11 steps: the float 1.1 is more than 1.1.
    value = float(f"{tenths // 10}.{tenths % 10}")
    sizes = dict(total=1000 * batch, batch_size=batch, num_examples=10 * batch)
    assert to_steps(ConfigDict({"epochs": value}), **sizes) == tenths
    assert to_steps(ConfigDict({"percent": value}), **sizes) == tenths * batch
    assert to_steps(ConfigDict({"epochs": 1.1}), batch_size=10, num_examples=100) == 11


def test_cadences_are_whole_dispatches(refused):
    config = load_config(DIGITS, {"matching.steps": 21, "matching.steps_per_dispatch": 3, "matching.log_steps": 4})
    assert schedule(config.matching, 100) == Schedule(total=21, log=6, checkpoint=6, dispatch=3)
    config = load_config(DIGITS, {"matching.steps": 20, "matching.steps_per_dispatch": 3})
    assert "steps_per_dispatch=3" in refused(schedule, config.matching, 100)


def test_config_json_gives_the_config_back():
    config = load_config(DIGITS, {"data.paired": "None", "representation.widths": "(4, 8)"})
    again = from_json(to_json(config))
    assert again.matching.beta == float("inf")
    assert again.representation.widths == (4, 8) and type(again.representation.widths) is tuple
    assert again.data.paired is None
    assert flat(again) == flat(config)
    assert to_json(again) == to_json(config)
    with pytest.raises((KeyError, AttributeError)):
        again.representation.widdths = (4,)
    json.loads(to_json(config), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"data.paired": 100, "data.label": "inf", "representation.compute": "bfloat16"},
        {"matching.epochs": 2.0, "matching.optimiser.warmup_steps": 3},
    ],
)
def test_config_json_remembers_which_settings_may_be_none_and_their_types(given):
    config = load_config(DIGITS, given)
    again = from_json(to_json(config))
    assert flat(again) == flat(config)

    def taken(config, key, value):
        try:
            override(config, {key: value})
        except UserError as error:
            return str(error)
        return flat(config)[key], type(flat(config)[key])

    for key in flat(config):
        for value in ("None", None, "3", 3, "0.5", "x"):
            assert taken(again, key, value) == taken(config, key, value), (key, value)


@pytest.mark.parametrize("format", [None, 1, 3])
def test_config_json_of_another_format_is_refused(format, tmp_path, refused):
    content = json.loads(to_json(load_config(DIGITS)))
    assert content.pop("format") == 2
    (tmp_path / "config.json").write_text(json.dumps(content if format is None else {"format": format, **content}))
    message = refused(read_config, tmp_path)
    assert "is of a format that this version does not read" in message and "another --workdir" in message


def test_infinite_numbers_of_a_tuple_come_back():
    config = ConfigDict({"pair": (float("inf"), 0.5)})
    assert from_json(to_json(config)).pair == (float("inf"), 0.5)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ("os:system", "the package one of"),
        ("experiment_jax.networks.convolutional", "package.module:function"),
        ("experiment_jax.jury:stage", "no module experiment_jax.jury"),
        ("experiment_jax.networks.convolutional:stag", "has no stag"),
    ],
)
def test_factories_are_looked_up_in_the_project_only(build, reason, refused):
    assert reason in refused(resolve, build, "only.build")
