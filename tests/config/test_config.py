import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from experiment_jax import UserError, load_config
from experiment_jax.config import durations
from experiment_jax.config import load as configs
from experiment_jax.method.task import Plan, plan

DIGITS = "configs/lsdm_digits.py"

EXAMPLE = """
from experiment_jax.config.sections import experiment, stage

def get_config():
    config = experiment("example", "digits", stages=("only",))
    build = "experiment_jax.evaluation.judges:stage"
    config.only = stage(build, view="paired", batch_size=11, epochs=2.0, rate=0.5, sizes=(3, 5))
    return config

VARIANTS = {"short": {"only.steps": 7}, "long": {"only.examples": 1000, "only.rate": 2}}
"""


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(EXAMPLE)
    return path


def refused(*arguments):
    """The one line of what `load_config` raises."""
    with pytest.raises(UserError) as error:
        load_config(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


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
    [("matchin.steps", "matching.steps"), ("matching.epsilom", "matching.epsilon"), ("sed", "seed")],
)
def test_an_unknown_key_names_the_closest(typed, meant):
    message = refused(DIGITS, {typed: "1"})
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
def test_a_value_of_the_wrong_type_is_refused_with_an_example_that_works(example, key, value):
    message = refused(example, {key: value})
    assert f"--config.{key}={value}" in message
    suggested_key, _, suggested = message.rpartition("as in --config.")[2].partition("=")
    assert suggested_key == key
    load_config(example, {key: suggested})


def test_a_section_is_not_a_setting():
    assert "matching.steps" in refused(DIGITS, {"matching": "1"})


def test_variants_come_before_overrides(example):
    assert load_config(f"{example}:short").only.steps == 7
    assert load_config(f"{example}:short", {"only.steps": "9"}).only.steps == 9
    assert load_config(f"{example}:long").only.rate == 2.0


def test_unknown_files_and_variants_name_the_known_ones(example):
    assert "short, long" in refused(f"{example}:medium")
    assert "configs/lsdm_digits.py" in refused("configs/nothing.py")
    example.write_text("x = 1")
    assert "get_config()" in refused(example)


def test_setting_one_unit_replaces_another(example):
    assert load_config(example).only.epochs == 2.0
    config = load_config(f"{example}:short")
    assert config.only.epochs is None and config.only.steps == 7
    config = load_config(example, {"only.log_epochs": "0.5", "only.optimiser.warmup_steps": "3"})
    assert config.only.log_percent is None and config.only.optimiser.warmup_percent is None


def test_a_number_of_steps_that_is_no_duration_keeps_its_type():
    for name in ("critic_steps", "sampling_steps"):
        assert load_config(DIGITS, {f"matching.{name}": "7"}).matching[name] == 7
        assert refused(DIGITS, {f"matching.{name}": "x"}).startswith(f"--config.matching.{name}=x: expected int, as in")
        assert "expected int" in refused(DIGITS, {f"matching.{name}": "None"})


def test_two_units_at_once_are_refused(example):
    config = load_config(example, {"only.steps": "7", "only.epochs": "2"})
    with pytest.raises(UserError, match="exactly one of steps, epochs, examples"):
        plan(config.only, 100)


def test_no_unit_is_refused(example):
    config = load_config(example, {"only.epochs": "None"})
    with pytest.raises(UserError, match="exactly one of"):
        plan(config.only, 100)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("only.steps", "-1"),
        ("only.log_percent", "inf"),
        ("only.log_percent", "-1"),
        ("only.batch_size", "0"),
        ("only.batch_size", "-11"),
    ],
)
def test_negative_durations_and_empty_batches_are_refused(example, key, value):
    with pytest.raises(UserError, match=f"{key.partition('.')[2]}={value}"):
        plan(load_config(example, {key: value}).only, 100)


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
    assert durations.to_steps(section, total=57, batch_size=11, num_examples=103) == steps


@settings(deadline=None)
@given(batch=st.integers(1, 10_000), count=st.integers(0, 10_000), percent=st.integers(0, 100))
def test_what_divides_is_not_rounded(batch, count, percent):
    sizes = dict(total=100 * count, batch_size=batch, num_examples=batch * 7)
    assert durations.to_steps(ConfigDict({"examples": batch * count}), **sizes) == count
    assert durations.to_steps(ConfigDict({"epochs": float(count)}), **sizes) == 7 * count
    assert durations.to_steps(ConfigDict({"percent": float(percent)}), **sizes) == percent * count
    whole = durations.to_steps(ConfigDict({"percent": 100.0}), total=count)
    assert whole == count


@settings(deadline=None)
@given(tenths=st.integers(0, 10**6), batch=st.integers(1, 1000))
def test_decimals_are_what_was_typed(tenths, batch):
    # 1.1 epochs of 100 examples in batches of 10 are 11 steps: the float 1.1 is more than 1.1.
    value = float(f"{tenths // 10}.{tenths % 10}")
    sizes = dict(total=1000 * batch, batch_size=batch, num_examples=10 * batch)
    assert durations.to_steps(ConfigDict({"epochs": value}), **sizes) == tenths
    assert durations.to_steps(ConfigDict({"percent": value}), **sizes) == tenths * batch
    assert durations.to_steps(ConfigDict({"epochs": 1.1}), batch_size=10, num_examples=100) == 11


def test_cadences_are_whole_dispatches():
    config = load_config(DIGITS, {"matching.steps": 21, "matching.steps_per_dispatch": 3, "matching.log_steps": 4})
    assert plan(config.matching, 100) == Plan(total=21, log=6, checkpoint=6, dispatch=3)
    with pytest.raises(UserError, match="steps_per_dispatch=3"):
        plan(load_config(DIGITS, {"matching.steps": 20, "matching.steps_per_dispatch": 3}).matching, 100)


def test_config_json_gives_the_config_back():
    config = load_config(DIGITS, {"data.paired": "None", "representation.widths": "(4, 8)"})
    again = configs.from_json(configs.to_json(config))
    assert again.matching.beta == float("inf")
    assert again.representation.widths == (4, 8) and type(again.representation.widths) is tuple
    assert again.data.paired is None
    assert configs.flat(again) == configs.flat(config)
    assert configs.to_json(again) == configs.to_json(config)
    with pytest.raises((KeyError, AttributeError)):
        again.representation.widdths = (4,)
    json.loads(configs.to_json(config), parse_constant=pytest.fail)


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
    again = configs.from_json(configs.to_json(config))
    assert configs.flat(again) == configs.flat(config)

    def taken(config, key, value):
        try:
            configs.override(config, {key: value})
        except UserError as error:
            return str(error)
        return configs.flat(config)[key], type(configs.flat(config)[key])

    for key in configs.flat(config):
        for value in ("None", None, "3", 3, "0.5", "x"):
            assert taken(again, key, value) == taken(config, key, value), (key, value)


def test_infinite_numbers_of_a_tuple_come_back():
    config = ConfigDict({"pair": (float("inf"), 0.5)})
    assert configs.from_json(configs.to_json(config)).pair == (float("inf"), 0.5)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ("os:system", "the package one of"),
        ("experiment_jax.evaluation.judges", "package.module:function"),
        ("experiment_jax.jury:stage", "no module experiment_jax.jury"),
        ("experiment_jax.evaluation.judges:stag", "has no stag"),
    ],
)
def test_factories_are_looked_up_in_the_project_only(build, reason):
    with pytest.raises(UserError, match=reason):
        configs.resolve(build)
