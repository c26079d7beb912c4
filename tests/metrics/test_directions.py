"""Which way is better, of every metric."""

import json

import pytest

from experiment_jax.metrics.directions import MEANINGS, arrow, badness, directed

NO_BEST = (
    "step", "nfe", "num_samples", "bound_samples", "latent_size", "latent_near_zero", "latent_hoyer",
    "seconds", "cas_seconds", "images_per_second", "latents_per_second", "fd_floor",
    "training_seconds", "parameters",
    "w1_latent_floor", "accuracy_real", "accuracy_real_resnet8", "fd_mix_0.0", "accuracy_mix_0.0", "anything",
    "fd_floor_vgg16", "num_samples_vgg16", "evaluation_seed", "repeats", "confidence_labeller",
)  # fmt: skip


@pytest.mark.parametrize("metric", NO_BEST)
def test_what_no_run_can_help_has_no_best(metric):
    assert directed(metric) is None and arrow(metric) == ""
    with pytest.raises(ValueError, match="no value is better"):
        badness(metric, 1.0)


WHOSE = ("", "bicubic_", "regression_", "recon_", "mean_")
SHARES = [share / 10 for share in range(1, 11)]
BEST = {
    "nearest to 1": ("spread", "pixel_spread", "spread_skill", "fidelity", "nearest_train_ratio"),
    "largest": (
        "accuracy_recon", "accuracy_recon_resnet8", "accuracy_classifier", "accuracy_labeller",
        "precision", "recall", "cas",
        "precision_vgg16", "recall_vgg16", "accepted", "acceptance_rate", *(f"accepted_n{n}" for n in (2, 3, 5)),
        *(f"accuracy_gen{n}{by}" for n in ("", "_n2", "_n3", "_n5") for by in ("", "_resnet8")),
        *(f"accuracy_mix_{share}" for share in SHARES),
        *(f"{whose}{metric}" for whose in WHOSE for metric in ("psnr", "ssim")),
    ),
    "smallest": (
        "fd_recon", "fd_gen_vs_recon", "kid_gen", "fid_gen", "lpips_recon",
        *(f"{metric}_vgg16" for metric in ("fd_gen", "fd_recon", "fd_gen_vs_recon", "kid_gen")),
        "mae_recon", "w1_latent", "w1_latent_sliced", "copied",
        "bound_reconstruction", "bound_lipschitz", "bound_w1_latent", "bound_w1_image", "bound_right",
        *(f"fd_mix_{share}" for share in SHARES),
        *(f"{whose}{metric}" for whose in WHOSE for metric in ("fd_gen", "lr_consistency", "perceptual", "lpips")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BEST)
def test_the_best_value_of_every_metric_is_where_it_should_be(kind):
    best, towards = {"nearest to 1": (0.9, "→ 1"), "largest": (1.3, "↑"), "smallest": (0.2, "↓")}[kind]
    for metric in BEST[kind]:
        assert min((0.2, 0.9, 1.3), key=lambda value: badness(metric, value)) == best, metric
        assert arrow(metric) == towards, metric


def test_every_number_of_the_shipped_evaluations_has_a_direction_or_none(request):
    known = {*NO_BEST, *(metric for metrics in BEST.values() for metric in metrics)}
    for path in (request.config.rootpath / "results").glob("**/metrics.json"):
        found = json.loads(path.read_text())
        numbers = {key.removesuffix("_se") for key, value in found.items() if isinstance(value, int | float)}
        assert numbers <= known, numbers - known


def test_main_metrics_have_a_direction_and_one_sentence_or_two():
    assert all(directed(metric) == metric for metric in MEANINGS)
    assert all(said.endswith(".") and len(said) < 120 for said in MEANINGS.values())
