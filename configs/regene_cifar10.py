"""ReGene on CIFAR-10 with the paper's classifier: one convolution a block, latent 2048; meant for an accelerator.

The variant `jpeg` takes `cifar10_jpeg`, the same images after lossy compression: its results are not CIFAR-10 results.
"""

from regene_jax import sections


def get_config():
    config = sections.experiment("cifar10")
    config.judge = "configs/judge_cifar10.py"
    config.data.flips = True
    config.classifier = sections.classifier(steps=20_000, widths=(64, 128, 256, 512), latent_size=2048)
    config.decoder = sections.decoder(steps=60_000, widths=(64, 128, 256))
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


JPEG = {"data.name": "cifar10_jpeg", "judge": "configs/judge_cifar10_jpeg.py"}
VARIANTS = {"jpeg": JPEG, "vgg16": sections.VGG16, "smoke": sections.SMOKE, "jpeg_smoke": JPEG | sections.SMOKE}
