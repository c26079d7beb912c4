"""What a GAN's loss is: what the discriminator D minimises, what the generator G does, what passes from step to step.

Images are in [0, 1] here, as in the public code: a weight of a slope or of a mean absolute error depends on it.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import jax
from ml_collections import ConfigDict

from experiment_jax.devices.batch_axis import BatchAxis
from experiment_jax.method.stage import Metrics, PyTree

Score = Callable[[jax.Array], jax.Array]  # images [batch, height, width, channels] in [0, 1] -> D's scores [batch]


@dataclasses.dataclass(frozen=True)
class GANLoss:
    """One kind of GAN. To add one, write its file and its line in `rivals_jax.gan.LOSSES`.

    Attributes:
        own: the kind's own settings.
        axis: the batch, on one device or several.
        AUTOENCODES: whether D's score of an image is how far D, an autoencoder, puts it from itself.
    """

    own: ConfigDict
    axis: BatchAxis

    AUTOENCODES: ClassVar[bool] = False

    def start(self) -> PyTree:
        """What passes from step to step besides the networks, before the first one."""
        return {}

    def of_discriminator(
        self, score: Score, real: jax.Array, fake: jax.Array, key: jax.Array, carried: PyTree
    ) -> tuple[jax.Array, Metrics]:
        """What D minimises, and its metrics; `fake` are G's images, through which no gradient flows here."""
        raise TypeError("a GAN's loss must say what D minimises")

    def of_generator(self, score: Score, fake: jax.Array) -> jax.Array:
        """What G minimises."""
        raise TypeError("a GAN's loss must say what G minimises")

    def carry(self, carried: PyTree, metrics: Metrics) -> PyTree:
        """What passes on after a step of D, of that step's metrics over the whole batch."""
        return carried
