"""ReGene on CelebA and Anime at 128×128, uncropped, as in the paper; meant for an accelerator. See regene_celeba64."""

from regene_jax import sections


def get_config():
    config = sections.experiment("celeb_a+anime")
    config.judge = "configs/judge_celeba128.py"
    config.data.size = 128
    config.data.paired = 30_000
    config.data.flips = True
    config.classifier = sections.classifier(steps=10_000, widths=(32, 64, 128, 256, 512), latent_size=1024)
    config.decoder = sections.decoder(steps=100_000, widths=(32, 64, 128, 256, 512))
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"vgg16": sections.VGG16, "smoke": sections.SMOKE}
