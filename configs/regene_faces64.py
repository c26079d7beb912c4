"""ReGene on faces64 (64×64 RGB; classes face and scene); meant for an accelerator."""

from regene_jax import sections


def get_config():
    config = sections.experiment("faces64")
    config.judge = "configs/judge_faces64.py"
    config.data.validation = 1000
    config.data.flips = True
    config.evaluation.protocol = "test_2k"
    config.classifier = sections.classifier(steps=4000, widths=(32, 64, 128, 256), latent_size=256)
    config.decoder = sections.decoder(steps=30_000, widths=(32, 64, 128, 256))
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"vgg16": sections.VGG16, "smoke": sections.SMOKE}
