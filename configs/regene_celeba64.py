"""ReGene on CelebA and Anime at 64×64, as in the paper: the middle 140×140 pixels, resized; meant for an accelerator.

Two classes, each a data set of its own: 15,000 images of each train the classifier, all of CelebA trains the decoder.
`celeb_a` is TFDS's; for `anime`, which TFDS does not have, give the folder of a prepared set:

    python train.py --config configs/regene_celeba64.py --config.data.name=celeb_a+PATH/anime/1.0.0 --workdir runs/celeb
"""

from regene_jax import sections


def get_config():
    config = sections.experiment("celeb_a+anime")
    config.judge = "configs/judge_celeba64.py"
    config.data.crop, config.data.size = 140, 64
    config.data.paired = 30_000
    config.data.flips = True
    config.classifier = sections.classifier(steps=10_000, widths=(64, 128, 256, 512), latent_size=512)
    config.decoder = sections.decoder(steps=100_000, widths=(64, 128, 256, 512), view="celeb_a")
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"vgg16": sections.VGG16, "smoke": sections.SMOKE}
