"""ReGene on Fashion-MNIST.

    python train.py --config configs/regene_fashion_mnist.py --workdir runs/regene_fashion_mnist
"""

from regene_jax import sections


def get_config():
    config = sections.experiment("fashion_mnist")
    config.judge = "configs/judge_fashion_mnist.py"
    config.witnesses = ("configs/resnet_fashion_mnist.py:cpu",)
    config.classifier = sections.classifier(steps=2000, latent_size=128)
    config.decoder = sections.decoder(steps=3000)
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


NEIGHBOURS = {"hull.partners": "neighbours"}
UNTESTED = {"stages": ("classifier", "decoder", "hull")}  # every combination, whatever the classifier thinks of it
VARIANTS = {
    "n3": {"hull.n": 3},
    "n5": {"hull.n": 5},
    "untested": UNTESTED,
    "neighbours": NEIGHBOURS,
    "neighbours_untested": NEIGHBOURS | UNTESTED,
    "smoke": sections.SMOKE,
}
