"""LSDM on faces64 (64×64 RGB; classes face and scene), label-conditional, with latents of 8×8 places.

In bfloat16, for four minutes of one H100; not measured on one yet.

    python train.py --config configs/lsdm_faces64.py:cpu --workdir runs/lsdm_faces64_cpu

The variant `cpu`, 2 cores, 12 minutes beside other work: blurred faces, plainly faces; scenes are colours and horizons.
`fd_gen` 0.122, `fd_recon` 0.097, floor 0.024, VGG16 422 (judge f57f0db22036, 2,000 samples), spread 0.950.

`places_cpu`, 42 minutes of one of two cores: faces with eyes, mouths, hair, now and then glasses; scenes are textures.
`fd_gen` 0.083, `fd_recon` 0.047, VGG16 414 (reconstructions 272 for 388), spread 0.990: docs/natural_images.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "faces64", stages=("perceptual", "representation", "sharpening", "matching"))
    config.judge = "configs/judge_faces64.py"
    config.data.flips = True
    config.data.validation = 1000  # sharpening chooses its checkpoint by them
    config.evaluation.protocol = "test_2k"
    accelerated = dict(compute="bfloat16", batch_size=256, steps_per_dispatch=10)
    config.perceptual = sections.perceptual(steps=1000, widths=(32, 64, 128), **accelerated)
    config.representation = sections.representation(
        **accelerated, steps=3000, latent_shape=(8, 8, 8), widths=(64, 128, 256), blocks=2, attention=True,
        perceptual=3.0,
    )  # fmt: skip
    config.sharpening = sections.sharpening(
        steps=1000, batch_size=128, steps_per_dispatch=10, adversary=dict(widths=(64, 128, 256))
    )
    config.matching = sections.matching(
        generator="attention", width=384, depth=8, steps=2000, batch_size=500, steps_per_dispatch=10, noise_size=256,
        ema_decay=0.998, critic=dict(network="attention", width=256, depth=4),
    )  # fmt: skip
    return config


VARIANTS = {
    "few": {"data.paired": 600},
    # What two CPU cores can train in a quarter of an hour, with a vector of 128 numbers.
    "cpu": sections.VECTOR_ON_CPU
    | {
        "representation.steps": 4000,
        "representation.batch_size": 32,
        "representation.widths": (16, 32, 64, 128),
        "matching.steps": 3000,
    },
    # With places, in 42 minutes; not sharpened, which VGG16 finds worse.
    "places_cpu": sections.ON_CPU
    | sections.FACES_PLACES
    | sections.MIXTURES
    | {"stages": ("perceptual", "representation", "matching")},
    "smoke": sections.SMOKE_ACCELERATED,
}
