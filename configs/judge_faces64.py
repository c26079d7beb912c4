"""The neutral classifier of faces64.

    python train.py --config configs/judge_faces64.py --workdir runs/judge_faces64

The shipped judge, judges/faces64, was trained so; eval.py trains one only where the data set is another.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("faces64", steps=600, widths=(16, 32, 64, 128))
    config.data.validation = 500
    config.data.flips = True
    return config


VARIANTS = judge_variants(cas_steps=300)
