"""Which value of a metric is best, and what the main metrics mean; docs/metrics.md says all of it."""

# Of all that is not here no value is best: counts, settings, what the real images get.
LARGEST = (
    "accuracy_gen",
    "accuracy_recon",
    "accuracy_classifier",
    "accuracy_labeller",
    "accuracy_mix_1.0",
    "precision",
    "recall",
    "cas",
    "accepted",
    "acceptance_rate",
    "psnr",
    "ssim",
)
SMALLEST = (
    "fd_gen",
    "fd_recon",
    "fd_gen_vs_recon",
    "fd_mix_1.0",
    "fid_gen",
    "kid_gen",
    "mae_recon",
    "w1_latent",
    "w1_latent_sliced",
    "copied",
    "lpips",
    "lr_consistency",
    "perceptual",
    "bound_reconstruction",
    "bound_lipschitz",
    "bound_w1_latent",
    "bound_w1_image",
    "bound_right",
)
NEAREST_TO_1 = ("spread", "pixel_spread", "spread_skill", "fidelity", "nearest_train_ratio")
DIRECTED = (*LARGEST, *SMALLEST, *NEAREST_TO_1)
# In front of a metric, whose images it is of; behind, who measured it, in whose features, or of how many latents: it is
# the same metric.
IMAGES = ("bicubic_", "regression_", "recon_", "mean_")
SAME = ("fd_gen_vs_recon", "fd_gen", "fd_recon", "kid_gen", "precision", "recall", "accuracy_gen", "accuracy_recon")
FAMILIES = {f"{metric}_": metric for metric in (*SAME, "accepted", "lpips")}
FAMILIES |= {"accuracy_mix_": "accuracy_mix_1.0", "fd_mix_": "fd_mix_1.0"}
REAL = ("accuracy_mix_0.0", "fd_mix_0.0")  # of a family, but of real images
# Measured against latents or reconstructions of the run's own: runs with other representations do not compare.
OWN = ("w1_latent", "w1_latent_sliced", "fd_gen_vs_recon", "bound_lipschitz", "bound_w1_latent", "bound_right")
# The main metrics, in the order in which they are read.
MEANINGS = {
    "fd_gen": "Fréchet distance of samples to real images, in the judge's features. Real images get fd_floor.",
    "fid_gen": "Fréchet distance in the features of Inception.",
    "kid_gen": "Kernel distance in the judge's features. Its best is 0; being unbiased, it is below 0 at times.",
    "precision": "Share of samples that lie among the real images.",
    "recall": "Share of real images that lie among the samples. Low where variety is lost.",
    "accuracy_gen": "Share of samples in which the judge sees the class that they were drawn for.",
    "spread": "Within-class deviation of samples' latents over that of real images. Below 1 variety is lost.",
    "pixel_spread": "Deviation of samples' pixels over that of real ones. Below 0.1 all samples are nearly one image.",
    "copied": "Share of samples nearer to a training image than all but 1% of test images are. Honest is 0.01.",
    "fidelity": "Pixel distance of samples to test images over that of training images. Above 1: noise or blur.",
    "cas": "Accuracy on test images of a classifier that was trained on the samples alone.",
    "psnr": "Peak signal-to-noise ratio to the true image, in decibels.",
    "ssim": "Structural similarity to the true image.",
    "lpips": "Perceptual distance in AlexNet's features.",
    "lr_consistency": "Distance of a sample's low resolution to the image that it was made from.",
    "spread_skill": "Spread of several samples of one image over their error. Below 1 they are too sure.",
    "fd_recon": "Fréchet distance of reconstructions: what the representation costs.",
    "fd_gen_vs_recon": "Fréchet distance of samples to the run's own reconstructions: what the sampler costs.",
    "w1_latent": "1-Wasserstein distance in the run's own latents: compares runs of one representation only.",
}


def directed(metric: str) -> str | None:
    """The metric of DIRECTED whose direction this one has; None: no value of it is better than another."""
    if metric in REAL:
        return None
    for prefix in IMAGES:
        metric = metric.removeprefix(prefix)
    if metric not in DIRECTED:
        metric = next((whole for start, whole in FAMILIES.items() if metric.startswith(start)), metric)
    return metric if metric in DIRECTED else None


def badness(metric: str, value: float) -> float:
    """A number that is smaller where the value of the metric is better.

    Raises:
        ValueError: a metric without a direction.
    """
    kind = directed(metric)
    if kind is None:
        raise ValueError(f"{metric}: no value is better than another")
    if kind in NEAREST_TO_1:
        return abs(value - 1.0)
    return -value if kind in LARGEST else value


def arrow(metric: str) -> str:
    """Where a metric's better values are: "↑" larger, "↓" smaller, "→ 1" nearer to 1, "" where none is."""
    kind = directed(metric)
    if kind is None:
        return ""
    return "→ 1" if kind in NEAREST_TO_1 else "↑" if kind in LARGEST else "↓"
