"""ReGene on Fashion-MNIST.

    python train.py --config configs/regene_fashion_mnist.py --workdir runs/regene_fashion_mnist

One core of two, beside another training: classifier 5 minutes, decoder 10, sharpening 9. `:neighbours_untested` has
`fd_gen` 0.292, `fd_recon` 0.134, accuracy 0.956, spread 0.870: docs/sharpening.md. The other variants were measured
without sharpening: 1.210, 0.591, 0.992, 0.659, with `:neighbours` 0.961, 0.591, 0.994, 0.822. All rows: docs/regene.md.
"""

from regene_jax import sections


def get_config():
    config = sections.experiment("fashion_mnist")
    config.stages = ("classifier", "perceptual", "decoder", "sharpening", "hull", "acceptance")
    config.judge = "configs/judge_fashion_mnist.py"
    config.witnesses = ("configs/resnet_fashion_mnist.py:cpu",)
    config.classifier = sections.classifier(steps=2000, latent_size=128)
    config.decoder = sections.decoder(steps=3000)
    config.sharpening = sections.sharpening(perceptual=0.3)  # the decoder's last weight
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


NEIGHBOURS = {"hull.partners": "neighbours"}
UNTESTED = {
    "stages": ("classifier", "perceptual", "decoder", "sharpening", "hull")
}  # every combination, whatever the classifier thinks of it
VARIANTS = {
    "n3": {"hull.n": 3},
    "n5": {"hull.n": 5},
    "untested": UNTESTED,
    "neighbours": NEIGHBOURS,
    "neighbours_untested": NEIGHBOURS | UNTESTED,
    "smoke": sections.SMOKE_SHARP,
}
