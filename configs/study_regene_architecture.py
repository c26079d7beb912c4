"""ReGene's study of architectures (arXiv 2004.07543, section 4.2) on Fashion-MNIST: depth × latent size.

    python train.py --config configs/study_regene_architecture.py --workdir runs/architecture --sweep
    python eval.py --workdir runs/architecture --sweep --by mae_recon

Deeper classifiers get more accurate (0.894 to 0.915 with 32 latents), their latents sparser, their decoders worse
(`mae_recon` 0.184 to 0.211): docs/regene.md. Nine members, 2 to 5 minutes each on one CPU core of two.
"""

from regene_jax import sections

DEPTHS = (1, 2, 3)  # convolutions in each of the three blocks
LATENT_SIZES = (32, 128, 512)


def get_config():
    config = sections.experiment("fashion_mnist")
    config.stages = ("classifier", "decoder")  # nothing is sampled
    config.judge = "configs/judge_fashion_mnist.py"
    config.classifier = sections.classifier(steps=800, widths=(16, 32, 64), activation="leaky_relu")
    config.decoder = sections.decoder(steps=1000, perceptual=(0.0, 0.0))  # one loss for all: no features of their own
    return config


def sweep():
    for depth in DEPTHS:
        for size in LATENT_SIZES:
            yield f"depth{depth}-latent{size}", {"classifier.convolutions": depth, "classifier.latent_size": size}


VARIANTS = {"smoke": {key: value for key, value in sections.SMOKE.items() if not key.startswith("hull")}}
