"""ReGene on CIFAR-10 with the paper's classifier: one convolution a block, latent 2048.

In bfloat16, with a decoder that is sharpened, for four minutes of one H100; not measured on one yet.

The variant `jpeg` takes `cifar10_jpeg`, the same images after lossy compression: its results are not CIFAR-10 results.
"""

from regene_jax import sections


def get_config():
    config = sections.experiment("cifar10")
    config.stages = ("classifier", "perceptual", "decoder", "sharpening", "hull", "acceptance")
    config.judge = "configs/judge_cifar10.py"
    config.data.flips = True
    accelerated = dict(compute="bfloat16", batch_size=512, steps_per_dispatch=10)
    config.classifier = sections.classifier(steps=4000, widths=(64, 128, 256, 512), latent_size=2048, **accelerated)
    config.decoder = sections.decoder(steps=4000, widths=(64, 128, 256), blocks=1, attention=True, **accelerated)
    config.sharpening = sections.sharpening(
        steps=1000, batch_size=256, steps_per_dispatch=10, perceptual=0.3, adversary=dict(widths=(64, 128, 256))
    )
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


JPEG = {"data.name": "cifar10_jpeg", "judge": "configs/judge_cifar10_jpeg.py"}
VARIANTS = {
    "jpeg": JPEG,
    "vgg16": sections.VGG16,
    "smoke": sections.SMOKE_ACCELERATED,
    "jpeg_smoke": JPEG | sections.SMOKE_ACCELERATED,
}
