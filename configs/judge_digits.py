"""The neutral classifier of `digits`.

    python train.py --config configs/judge_digits.py --workdir runs/judge_digits

The shipped judge, judges/digits, was trained so; eval.py trains one only where the data set is another.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config(
        "digits",
        steps=800,
        ema_decay=0.99,
        optimiser=dict(learning_rate=3e-3, weight_decay=1e-3),
        widths=(32, 64),
        convolutions=2,
        shift=1,
    )
    return config


VARIANTS = judge_variants(cas_steps=400)
