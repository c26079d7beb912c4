"""The neutral classifier of Fashion-MNIST.

    python train.py --config configs/judge_fashion_mnist.py --workdir runs/judge_fashion_mnist

eval.py trains it by itself, once, into the user's cache folder.
"""

from experiment_jax.config import experiment, stage


def get_config():
    config = experiment("judge", "fashion_mnist", stages=("classifier",))
    config.data.validation = 1000
    config.data.flips = True
    config.classifier = stage(
        "experiment_jax.judge:stage",
        view="paired",
        batch_size=128,
        steps=6000,
        optimiser=dict(learning_rate=2e-3, weight_decay=1e-3),
        widths=(32, 64, 128),
        convolutions=1,
        features=64,
        dropout=0.2,
        shift=2,
        label_smoothing=0.05,
    )
    return config


VARIANTS = {
    "smoke": {"classifier.steps": 2, "classifier.batch_size": 20},
    # The recipe of the classification accuracy score, for samples in place of training images.
    "cas": {"data.validation": 0, "classifier.steps": 1500},
}
