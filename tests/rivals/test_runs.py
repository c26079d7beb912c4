"""GANs and autoencoders as runs: trained, measured, written, drawn; and the recipes that make them."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax import evaluate, load_config, load_run, train
from experiment_jax.config import load as configs
from experiment_jax.report.page import page
from experiment_jax.runs.export import export
from experiment_jax.runs.verified import digests
from experiment_jax.sweep.members import define
from rivals_jax.reported import TABLE, reported

TABLE_1, FAITHFUL = "configs/table1.py", "configs/rivals_faithful.py"
TINY = {
    "data.validation": 20,
    "evaluation.protocol": "test_90",
    "gan.steps": 2,
    "gan.batch_size": 20,
    "gan.widths": (4,),
    "gan.features": 5,
    "gan.noise_size": 6,
    "gan.log_steps": 1,
    "gan.checkpoint_steps": 1,
}
OF_RECONSTRUCTIONS = ("fd_recon", "fd_gen_vs_recon", "mae_recon", "accuracy_recon", "w1_latent", "latent_size")


@pytest.fixture(scope="module")
def adversarial(tmp_path_factory, one):
    """(run, metrics) of a tiny GAN on digits."""
    workdir = tmp_path_factory.mktemp("gan") / "run"
    train(load_config(TABLE_1, {"method": "ns_gan", **TINY}), workdir, one)
    run = load_run(workdir)
    return run, evaluate(run)


def test_a_run_without_an_encoder_is_measured_without_reconstructions_and_never_by_zeros(adversarial):
    run, metrics = adversarial
    assert not set(metrics) & set(OF_RECONSTRUCTIONS) and "accuracy_gen" not in metrics
    assert {"fd_gen", "kid_gen", "precision", "recall", "pixel_spread", "copied", "nfe"} <= metrics.keys()
    assert metrics["training_seconds"] > 0 and metrics["num_samples"] == 90
    generator = run.model.params["gan"].generator
    assert metrics["parameters"] == sum(np.size(leaf) for leaf in _leaves(generator))
    written = json.loads((run.workdir / "eval" / str(run.step) / "metrics.json").read_text())
    assert written["fd_gen"] == metrics["fd_gen"]


def _leaves(tree):
    return [leaf for each in tree.values() for leaf in (_leaves(each) if isinstance(each, dict) else [each])]


def test_its_samples_are_drawn_while_it_trains_and_on_its_page(adversarial):
    run, metrics = adversarial
    assert len(list((run.workdir / "pictures" / "gan").glob("*_samples.png"))) == 3
    text = page(run, metrics)
    assert "The run heeds no class." in text and "<h2>Reconstructions" not in text and "<h2>Latents" not in text


def test_a_checkpoint_of_it_is_a_run_whose_training_has_no_length(adversarial):
    run, _ = adversarial
    metrics = evaluate(load_run(run.workdir, step=1), num_samples=90)
    assert metrics["step"] == 1 and "training_seconds" not in metrics


def test_its_sampler_is_a_file_of_one_function(adversarial, tmp_path):
    pytest.importorskip("flatbuffers", reason="needs the package flatbuffers: pip install flatbuffers")
    with np.load(export(adversarial[0], tmp_path / "sampler.bin")) as file:
        card = json.loads(str(file["card"]))
    assert card["functions"].keys() == {"sample"} and all(name.startswith("gan/") for name in card["parameters"])


def test_a_stopped_training_goes_on_to_the_same_bits(adversarial, one, tmp_path):
    constant = {f"{each}.schedule": "constant" for each in ("gan.optimiser", "gan.discriminator.optimiser")}
    constant |= {f"{each}.warmup_steps": 0 for each in ("gan.optimiser", "gan.discriminator.optimiser")}
    began = {"method": "began", "gan.loss": "began", **TINY, **constant}
    through = train(load_config(TABLE_1, began), tmp_path / "through", one)
    train(load_config(TABLE_1, began | {"gan.steps": 1}), tmp_path / "parts", one)
    assert digests(train(load_config(TABLE_1, began), tmp_path / "parts", one)) == digests(through)


@pytest.mark.parametrize(
    "variant", ["", "digits", "labels", "fashion_mnist", "mnist", "cifar10", "faces64", "celeba64"]
)
def test_every_member_of_table_1_is_a_config(variant):
    spec = f"{TABLE_1}:{variant}" if variant else TABLE_1
    members = dict(configs.sweep(spec))
    assert len(members) == (2 if variant == "labels" else 15)
    for name, overrides in members.items():
        config = configs.load(spec, overrides)
        assert set(config.stages) <= set(config)
        assert config.evaluation.reported == reported(name, variant)
        trained = [config[stage].steps for stage in config.stages if config[stage].steps]
        assert trained and all(steps % 20 == 0 for steps in trained)


def test_three_learning_rates_are_tried_for_every_system_a_quarter_as_long():
    whole, quarters = (dict(configs.sweep(f"{TABLE_1}:{name}")) for name in ("fashion_mnist", "rates"))
    assert len(quarters) == 3 * len(whole)
    for name in whole:
        low, middle, high = (quarters[f"{name}-{factor}"] for factor in ("0.25", "1", "4"))
        rates = [key for key in low if key.endswith("learning_rate")]
        assert rates
        for key in rates:
            assert low[key] * 4 == pytest.approx(middle[key]) and high[key] == pytest.approx(4 * middle[key])
        steps = [key for key in low if key.endswith(".steps") and key.count(".") == 1 and whole[name][key]]
        assert all(low[key] == pytest.approx(whole[name][key] / 4, abs=10) for key in steps)


def test_a_reported_figure_is_of_the_papers_table_and_of_its_data_set_alone():
    assert reported("wgan_gp", "fashion_mnist") == "24.5 ± 2.1" and reported("vae", "fashion_mnist") == ""
    assert reported("flow", "mnist") == reported("ns_gan", "digits") == ""
    assert {len(row) for row in TABLE.values()} == {4}


@pytest.mark.parametrize("spec", [FAITHFUL, f"{FAITHFUL}:cifar10", f"{FAITHFUL}:smoke"])
def test_every_faithful_recipe_is_a_config_of_the_public_codes_networks(spec):
    members = dict(configs.sweep(spec))
    assert len(members) == 10
    for overrides in members.values():
        config = configs.load(spec, overrides)
        first: ConfigDict = config[config.stages[0]]
        assert first.networks == "faithful" and first.optimiser.schedule == "constant"


def test_the_sweep_of_a_recipe_has_a_directory_for_each_system(tmp_path):
    found = define(f"{TABLE_1}:smoke", {}, tmp_path / "sweep", seeds=None, members=True)
    assert {"ns_gan", "lvpga", "sharpened_flow", "regene_neighbours"} < {member.name for member in found.members}
