"""LSDM on a folder of your own pictures, 64×64 in colours, label-conditional; examples/own_data.md goes through it.

    python train.py --config configs/lsdm_folder.py:cpu --config.data.name=photos --workdir runs/photos

`photos` has a folder a class, and may have one called unlabelled. Every picture is squeezed to 64×64 and a tenth of
them is test, unless `photos` has folders train and test; `--config.data.crop=N` keeps the central square first.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "", stages=("perceptual", "representation", "matching"))
    config.data.size, config.data.channels = 64, 3
    config.data.test = 0.1
    config.judge = "configs/judge_folder.py"
    config.evaluation.protocol = "test_1k"
    config.perceptual = sections.perceptual(steps=2000, widths=(32, 64, 128))
    config.representation = sections.representation(
        steps=20_000, latent_size=128, widths=(32, 64, 128, 256), perceptual=3.0
    )
    config.matching = sections.matching(steps=10_000, noise_size=128)
    return config


VARIANTS = {
    # What two CPU cores can train in a quarter of an hour.
    "cpu": {
        "perceptual.steps": 300,
        "perceptual.widths": (16, 32, 64),
        "representation.steps": 4000,
        "representation.batch_size": 32,
        "representation.widths": (16, 32, 64, 128),
        "matching.steps": 3000,
        "matching.noise_size": 64,
    },
    "smoke": sections.SMOKE_PERCEPTUAL,
}
