"""The neutral classifier of CelebA and Anime at 128×128; see regene_celeba128.

eval.py trains it by itself, once, into the user's cache folder.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("celeb_a+anime", widths=(16, 32, 64, 128, 128))
    config.data.size = 128
    config.data.validation = 1000
    config.data.flips = True
    return config


VARIANTS = judge_variants(cas_steps=1500)
