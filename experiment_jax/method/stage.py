"""The interfaces of a method: its stages, the context that each gets, and the model that they form together."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.devices.batch_axis import WHOLE, BatchAxis

PyTree = Any
# "images" float32 [batch, height, width, channels] in [-1, 1]; "labels" int32 [batch], -1 where not given;
# "probabilities" float32 [batch, classes] of the view, see `data.split.View`.
Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]  # named scalars
Upstream = Mapping[str, Any]  # what the stages before this one froze, by name, each a stage's `Frozen`


class Samples(NamedTuple):
    """What a sampler draws.

    Attributes:
        images: float32 `[batch, height, width, channels]` in [-1, 1].
        latents: `[batch, latent]`, of which the images are made; of a GAN its noise.
        accepted: bool `[batch]`, whether the sampler's own tests passed; always, where it has none.
        tries: int32 `[batch]`, how many candidates were tested. The count ends with the accepted one; it is all of them
            if none was accepted, and 1 if the sampler has no tests. Σ accepted / Σ tries is the share that passes.
    """

    images: jax.Array
    latents: jax.Array
    accepted: jax.Array
    tries: jax.Array

    @classmethod
    def untested(cls, images: jax.Array, latents: jax.Array) -> "Samples":
        """The samples of a sampler that has no tests."""
        count = latents.shape[0]
        return cls(images, latents, jnp.ones(count, bool), jnp.ones(count, jnp.int32))


@dataclasses.dataclass(frozen=True)
class Model:
    """What evaluation sees of a method: parameters and pure functions of them, None where no stage provides one.

    Where `runs.export` exports `encode`, `decode` and `sample`, the batch is a symbol: `len` of an array is then no
    number, `shape[0]` is.

    Attributes:
        params: what each stage froze, by its name; the first argument of every function.
        encode: (params, images `[batch, height, width, channels]` in [-1, 1]) -> latents `[batch, latent]`; a GAN has
            none, nor `decode`: what is measured of latents and of reconstructions is then absent.
        decode: (params, latents) -> images.
        decoder: the name of the stage whose frozen field `decoder` holds the parameters of `decode`; None where it has
            none.
        classify: (params, latents) -> logits `[batch, classes]`.
        features: (params, images) -> list of feature maps `[batch, h, w, features]`, for perceptual losses.
        posterior: (params, images) -> probabilities of the classes `[batch, classes]`, for images whose label may not
            be used.
        degrade: (params, images) -> low-resolution images, without noise. A model that has it is sampled for a noisy
            low-resolution image, not for a label.
        low_shape: (height, width, channels) of low-resolution images; (): none.
        noise: (params, low-resolution images, keys `[batch]`) -> the same with the noise of the degradation.
        embed: (params, low-resolution images) -> the same standardised, as vectors `[batch, height · width ·
            channels]`: as networks and costs see them.
        project: (params, images, low-resolution images) -> images like these of which `degrade` makes those.
        regress: (params, low-resolution images) -> images: a rival of `sample` that draws nothing.
        sample: (params, keys `[batch]`, condition `[batch, …]`) -> Samples. One key a sample: sample i depends on key
            i and condition i, not on the batch that it is drawn in.
        prior: (params) -> mean `[latent]` and standard deviation, one for all coordinates, of the normal law that the
            latents were trained towards; None where they were trained towards none.
        latent_size: dimension of the latents.
        latent_shape: (height, width, channels) of latents with places, written as vectors, see `networks.grid`; ().
        space: (params, latents) -> points `[batch, k]`, between which matching takes distances; None: latents.
        nfe: evaluations of the network that draws one sample: LSDM's generator, ReGene's decoder, a GAN's generator.
        tests: whether `sample` tests what it draws.
        conditional: whether `sample` heeds its condition; what is measured class by class needs one that does.
    """

    params: Upstream = dataclasses.field(default_factory=dict)
    encode: Callable[..., jax.Array] | None = None
    decode: Callable[..., jax.Array] | None = None
    decoder: str | None = None
    classify: Callable[..., jax.Array] | None = None
    features: Callable[..., list[jax.Array]] | None = None
    posterior: Callable[..., jax.Array] | None = None
    degrade: Callable[..., jax.Array] | None = None
    low_shape: tuple[int, ...] = ()
    noise: Callable[..., jax.Array] | None = None
    embed: Callable[..., jax.Array] | None = None
    project: Callable[..., jax.Array] | None = None
    regress: Callable[..., jax.Array] | None = None
    sample: Callable[..., Samples] | None = None
    prior: Callable[..., tuple[jax.Array, jax.Array]] | None = None
    latent_size: int | None = None
    latent_shape: tuple[int, ...] = ()
    space: Callable[..., jax.Array] | None = None
    nfe: int | None = None
    tests: bool = False
    conditional: bool = True

    def extend(self, stage: "Stage") -> "Model":
        """This model with what `stage` provides; later stages replace what earlier ones provided.

        New latents have no places and no space unless the stage says so.
        """
        of_latents = {"latent_shape": (), "space": None} if "latent_size" in stage.provides else {}
        return dataclasses.replace(self, **{**of_latents, **stage.provides})

    def bind(self, **frozen: Any) -> "Model":
        """This model with the parameters of one more finished stage."""
        return dataclasses.replace(self, params={**self.params, **frozen})


@dataclasses.dataclass(frozen=True)
class Context:
    """What a stage gets in addition to its section of the config.

    Attributes:
        name: the stage's own name, under which the model holds what it froze.
        image_shape: (height, width, channels).
        num_classes: of the data set.
        class_weights: p(x), float32 `[classes]`: the share of each class among the images that have a label.
        class_counts: int `[classes]`, how many images of each class have a label.
        total_steps: how long the stage trains.
        model: the functions that the stages before this one provide.
        axis: gathers, averages and draws over the whole batch, on one device or several.
        flips: whether training images are mirrored half of the time. Batches are mirrored before a stage gets them;
            what passes over its whole view heeds this itself.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_classes: int
    class_weights: np.ndarray
    class_counts: np.ndarray
    total_steps: int
    model: Model
    axis: BatchAxis = WHOLE
    flips: bool = False


class Stage:
    """One training problem, as pure functions of a state. A method's stages are frozen dataclasses that inherit this.

    A stage that trains nothing leaves `update` as it is, None, and is trained for `steps=0`.

    Attributes:
        Frozen: the structure that `finish` returns: a `flax.struct.dataclass` of arrays and nested dictionaries.
        strata: the number of classes of which every batch holds equally many, sorted by class; None: any order.
        pairs: how many rows of every batch, the first, are images whose label is given: equally many of each class,
            sorted by class. `strata` is then of the others.
        inputs: (images, upstream) -> the arrays that `update` gets in place of "images", by name. For a stage that sees
            the images only through frozen networks: computed once over the whole view, not at every step. None:
            `update` sees the images.
        relabel: (view, upstream) -> the view that `update` gets in place of the stage's own: the same images, with
            other labels, or with probabilities that frozen networks give. None: its own.
        update: (state, batch, key, upstream) -> (state, metrics), one step. None: there is nothing to train.
        given: whether the network is taken as it is in place of one that the section could train: the section's length
            of training then does not apply. Without `update` and this, a length that is not 0 is refused.
    """

    Frozen: ClassVar[type]
    strata: int | None = None
    pairs: int = 0
    inputs: Callable[[jax.Array, Upstream], Batch] | None = None
    relabel: Callable[[Any, Upstream], Any] | None = None
    update: Callable[[PyTree, Batch, jax.Array, Upstream], tuple[PyTree, Metrics]] | None = None
    given: bool = False

    def check(self) -> None:
        """Raises UserError where something is missing that only training the stage needs, such as a file."""

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> PyTree:
        """The state before the first step, one pytree that holds everything that training changes."""
        return {}

    def averaged(self, state: PyTree) -> dict[str, PyTree]:
        """The trained parameters (usually their moving average), as fields of `Frozen`."""
        return {}

    def finish(self, state: PyTree, view: Any, upstream: Upstream) -> Any:
        """What later stages and evaluation need: the averaged parameters, and what one pass over the view gives."""
        return self.Frozen(**self.averaged(state))

    @property
    def provides(self) -> Mapping[str, Any]:
        """What the stage adds to the model, by the model's field names."""
        return {}


def stream(seed: int, *names: str) -> jax.Array:
    """The key of a named random stream; fold the step or the sample's number into it."""
    key = jax.random.key(seed)
    for name in names:
        key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    return key
