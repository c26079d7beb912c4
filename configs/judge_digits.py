"""The neutral classifier of `digits`.

    python train.py --config configs/judge_digits.py --workdir runs/judge_digits

eval.py trains it by itself, once, into the user's cache folder.
"""

from experiment_jax.config import experiment, stage


def get_config():
    config = experiment("judge", "digits", stages=("classifier",))
    config.classifier = stage(
        "experiment_jax.judge:stage",
        view="paired",
        batch_size=128,
        steps=800,
        ema_decay=0.99,
        optimiser=dict(learning_rate=3e-3, weight_decay=1e-3),
        widths=(32, 64),
        convolutions=2,
        features=64,
        dropout=0.2,
        shift=1,
        label_smoothing=0.05,
    )
    return config


VARIANTS = {
    "smoke": {"classifier.steps": 2, "classifier.batch_size": 20},
    # The recipe of the classification accuracy score, for samples in place of training images.
    "cas": {"data.validation": 0, "classifier.steps": 400},
}
