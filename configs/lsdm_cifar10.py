"""LSDM on CIFAR-10, label-conditional, with latents of 8×8 places; meant for an accelerator.

The variant `jpeg` takes `cifar10_jpeg`, the same images after lossy compression: its results are not CIFAR-10 results.
`score` draws by diffusion what `critic`, the default, draws in one step. In bfloat16, for four minutes of one H100; not
measured on one yet.

    python train.py --config configs/lsdm_cifar10.py:jpeg_cpu --workdir runs/lsdm_cifar10_jpeg_cpu

`jpeg_cpu`, 2 cores, 20 minutes beside other work, a vector of 128 numbers: colours and layouts of scenes, hardly any
object. `fd_gen` 5.73, `fd_recon` 3.64, floor 0.03, accuracy 0.300 (reconstructions 0.528, real 0.825), spread 0.967
(judge 14fcd7760599, 10,000 samples).

`jpeg_places_cpu`, 16 minutes of one of two cores, 8×8×8 numbers and 50 normal laws a class: `fd_gen` 2.29, `fd_recon`
0.27, floor 0.03, accuracy 0.674 (reconstructions 0.785, real 0.825), spread 1.001 (judge a9beb966ecbe, 10,000 samples):
docs/natural_images.md. Reconstructions are sharp. Samples have the colours, textures and outlines of their class; cars,
horses and ships are often plain. VGG16's distance is worse than that of `jpeg_cpu`.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "cifar10", stages=("perceptual", "representation", "sharpening", "matching"))
    config.judge = "configs/judge_cifar10.py"
    config.data.flips = True
    config.data.validation = 2000  # sharpening chooses its checkpoint by them
    accelerated = dict(compute="bfloat16", batch_size=512, steps_per_dispatch=10)
    config.perceptual = sections.perceptual(steps=1000, widths=(64, 128, 256), **accelerated)
    config.representation = sections.representation(
        **accelerated, steps=4000, latent_shape=(8, 8, 8), widths=(128, 256), blocks=2, attention=True, perceptual=3.0
    )
    config.sharpening = sections.sharpening(
        steps=1000, batch_size=256, steps_per_dispatch=10, adversary=dict(widths=(64, 128, 256))
    )
    attention = dict(generator="attention", width=384, depth=8)
    config.matching = sections.matching(
        **attention, steps=2000, batch_size=500, steps_per_dispatch=10, noise_size=256, ema_decay=0.998,
        critic=dict(network="attention", width=256, depth=4),
    )  # fmt: skip
    return config


JPEG = {"data.name": "cifar10_jpeg", "judge": "configs/judge_cifar10_jpeg.py"}
SCORE = sections.SCORE | {"matching.steps": 4000, "matching.score.sampling_steps": 30}
# What two CPU cores can train in half an hour.
CPU = sections.VECTOR_ON_CPU | {
    "representation.steps": 6000,
    "representation.batch_size": 64,
    "representation.widths": (32, 64, 128),
    "matching.steps": 4000,
}
PLACES_CPU = (
    sections.ON_CPU
    | sections.MIXTURES
    | {
        "stages": ("perceptual", "representation", "matching"),
        "perceptual.batch_size": 128,
        "perceptual.widths": (32, 64, 128),
        "representation.steps": 1500,
        "representation.batch_size": 64,
        "representation.widths": (48, 96),
        "representation.optimiser.learning_rate": 1e-3,
        "representation.ema_decay": 0.995,
    }
)
VARIANTS = {
    "jpeg": JPEG,
    "jpeg_score": JPEG | SCORE,
    "score": SCORE,
    "jpeg_cpu": JPEG | CPU,
    "jpeg_places_cpu": JPEG | PLACES_CPU,
    "smoke": sections.SMOKE_ACCELERATED,
    "jpeg_smoke": JPEG | sections.SMOKE_ACCELERATED,
}
