"""The neutral classifier of CelebA at 64×64: who smiles; see lsdm_sr_celeba.

eval.py trains it by itself, once, into the user's cache folder.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("celeb_a", widths=(16, 32, 64, 128, 128))
    config.data.label = "attributes/Smiling"
    config.data.crop, config.data.size = 140, 64
    config.data.validation = 1000
    config.data.flips = True
    return config


VARIANTS = judge_variants(cas_steps=1500)
