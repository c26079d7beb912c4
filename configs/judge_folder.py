"""The neutral classifier of any data set, meant for a folder of your own.

    python train.py --config configs/judge_folder.py --config.data.name=photos --workdir runs/judge_photos

`data.name` and what else the data section says of images and classes are yours here. Where a run names this recipe as
its judge they are the run's own, and eval.py trains the judge by itself, once, into the user's cache folder.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("", steps=800, widths=(16, 32, 64, 128))
    config.data.size, config.data.channels = 64, 3
    config.data.test = 0.1
    return config


VARIANTS = judge_variants(cas_steps=500)
