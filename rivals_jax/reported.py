"""What ReGene's Table 1 (arXiv 2004.07543) reports of each system: FIDs of others' protocols, never this project's.

Rows of Lucic et al.'s models (NS GAN, LSGAN, WGAN-GP, BEGAN, 2-Stage VAE) are Dai & Wipf's evaluation: 10,000 samples
against the 10,000 test images in TensorFlow's Inception, grey replicated to three channels, the best of 100 random
draws of the settings. The others are Zhang et al.'s evaluation.
"""

DATA = ("mnist", "fashion_mnist", "cifar10", "celeba")
TABLE = {  # by system, in the order of DATA; "": not reported
    "ns_gan": ("6.8 ± 0.5", "26.5 ± 1.6", "58.5 ± 1.9", "55.0 ± 3.3"),
    "lsgan": ("7.8 ± 0.6", "30.7 ± 2.2", "87.1 ± 47.5", "53.9 ± 2.8"),
    "wgan_gp": ("20.3 ± 5.0", "24.5 ± 2.1", "55.8 ± 0.9", "30.3 ± 1.0"),
    "began": ("13.1 ± 1.0", "22.9 ± 0.9", "71.4 ± 1.6", "38.9 ± 0.9"),
    "vae": ("19.21", "", "106.37", "48.12"),
    "cv_vae": ("33.79", "", "94.75", "48.87"),
    "wae": ("20.42", "", "117.44", "53.67"),
    "rae_sn": ("19.67", "", "84.25", "44.74"),
    "lvpga": ("11.4 ± 0.25", "", "52.9 ± 0.89", "13.8 ± 0.20"),
    "two_stage_vae": ("12.6 ± 1.5", "29.3 ± 1.0", "72.9 ± 0.9", "44.4 ± 0.7"),
    "regene_neighbours": ("16.3 ± 0.06", "40.9 ± 0.16", "59.7 ± 0.24", "48.3 ± 0.32"),
}


def reported(system: str, data: str) -> str:
    """The figure of a system on a data set; "" where there is none."""
    return TABLE[system][DATA.index(data)] if system in TABLE and data in DATA else ""
