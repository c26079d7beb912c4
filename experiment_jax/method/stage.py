"""What a method is made of: stages, and the model that they add up to."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

PyTree = Any
Batch = Mapping[str, jax.Array]  # "images" float32 [batch, height, width, channels] in [-1, 1]; "labels" int32 [batch]
Frozen = dict[str, PyTree]  # what a finished stage leaves; "params" are its averaged parameters
Upstream = Mapping[str, Frozen]  # the frozen stages before this one, by name


class Samples(NamedTuple):
    """What a sampler draws.

    Attributes:
        images: float32 `[batch, height, width, channels]` in [-1, 1].
        latents: `[batch, latent]`, of which the images are decoded.
        accepted: bool `[batch]`, whether the sampler's own tests passed; always, where it has none.
        tries: int32 `[batch]`, how many candidates were tested: up to and including the accepted one, or all that were
            where none was accepted, so that Σ accepted / Σ tries is the share of candidates that pass; 1 where the
            sampler has no tests.
    """

    images: jax.Array
    latents: jax.Array
    accepted: jax.Array
    tries: jax.Array

    @classmethod
    def untested(cls, images: jax.Array, latents: jax.Array) -> "Samples":
        """The samples of a sampler that has no tests."""
        count = len(latents)
        return cls(images, latents, jnp.ones(count, bool), jnp.ones(count, jnp.int32))


@dataclasses.dataclass(frozen=True)
class Model:
    """What evaluation sees of a method: parameters and pure functions of them, None where no stage provides one.

    Attributes:
        params: the frozen stages by name, the first argument of every function.
        encode: (params, images `[batch, height, width, channels]` in [-1, 1]) -> latents `[batch, latent]`.
        decode: (params, latents) -> images.
        classify: (params, latents) -> logits `[batch, classes]`.
        features: (params, images) -> list of feature maps `[batch, h, w, features]`, for perceptual losses.
        label: (params, images) -> labels int32 `[batch]` that stand in for those that may not be used.
        degrade: (params, images) -> low-resolution images, without noise. Where there is such a function, those with
            noise are the condition of `sample` in place of labels.
        noise: (params, low-resolution images, keys `[batch]`) -> the same with the noise of the degradation.
        embed: (params, low-resolution images) -> `[batch, features]`, as networks and costs see them.
        project: (params, images, low-resolution images) -> images like these of which `degrade` makes those.
        regress: (params, low-resolution images) -> images: a rival of `sample` that draws nothing.
        sample: (params, keys `[batch]`, condition `[batch, …]`) -> Samples. One key a sample: sample i depends on key
            i and condition i, not on the batch that it is drawn in.
        prior: (params) -> mean `[latent]` and standard deviation, one for all coordinates, of the normal law that the
            latents were trained towards; None where they were trained towards none.
        latent_size: dimension of the latents.
        nfe: evaluations of the generator that one sample takes.
        tests: whether `sample` tests what it draws.
        conditional: whether `sample` heeds its condition; what is measured class by class needs one that does.
    """

    params: Upstream = dataclasses.field(default_factory=dict)
    encode: Callable[..., jax.Array] | None = None
    decode: Callable[..., jax.Array] | None = None
    classify: Callable[..., jax.Array] | None = None
    features: Callable[..., list[jax.Array]] | None = None
    label: Callable[..., jax.Array] | None = None
    degrade: Callable[..., jax.Array] | None = None
    noise: Callable[..., jax.Array] | None = None
    embed: Callable[..., jax.Array] | None = None
    project: Callable[..., jax.Array] | None = None
    regress: Callable[..., jax.Array] | None = None
    sample: Callable[..., Samples] | None = None
    prior: Callable[..., tuple[jax.Array, jax.Array]] | None = None
    latent_size: int | None = None
    nfe: int | None = None
    tests: bool = False
    conditional: bool = True

    def extend(self, stage: "Stage") -> "Model":
        """This model with what `stage` provides; later stages replace what earlier ones provided."""
        return dataclasses.replace(self, **stage.provides)

    def bind(self, **frozen: Frozen) -> "Model":
        """This model with the parameters of one more finished stage."""
        return dataclasses.replace(self, params={**self.params, **frozen})


@dataclasses.dataclass(frozen=True)
class Context:
    """What a stage's factory is told besides its section of the config.

    Attributes:
        name: the stage's own name, under which the model holds its frozen parameters.
        image_shape: (height, width, channels).
        num_classes: of the data set.
        class_weights: p(x), float32 `[classes]`: the share of each class among the images that have a label.
        total_steps: how long the stage trains.
        model: the functions that the stages before this one provide.
        axis_name: the mapped axis under pmap; None under jit, where a stage sees the global batch.
        class_counts: int `[classes]`, how many images of each class have a label; None: not known.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_classes: int
    class_weights: np.ndarray
    total_steps: int
    model: Model
    axis_name: str | None = None
    class_counts: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training problem, as pure functions; the loop knows nothing of what is inside.

    Attributes:
        init: (key, batch, upstream) -> state, one pytree that holds everything that training changes.
        update: (state, batch, key, upstream) -> (state, metrics), one step; metrics are named scalars. None where there
            is nothing to train.
        averaged: state -> params, the parameters that will be frozen (usually their moving average).
        finish: (state, view, upstream) -> frozen, the full pass after training; holds `averaged(state)` as "params".
        provides: what the stage adds to the model, by the model's field names.
        inputs: (images, upstream) -> the arrays that `update` gets in place of "images", by name. For a stage that sees
            the images only through frozen networks: computed once over the whole view, not at every step.
        strata: the number of classes of which every batch holds equally many, sorted by class; None: any order.
        relabel: (view, upstream) -> the view that `update` and `finish` get in place of the stage's own: the same
            images, with labels that frozen networks give.
        check: raises UserError where something is missing that only making the stage needs, such as a file: called
            before anything is written, and not where a finished stage is loaded.
    """

    init: Callable[[jax.Array, Batch, Upstream], PyTree]
    update: Callable[[PyTree, Batch, jax.Array, Upstream], tuple[PyTree, Mapping[str, jax.Array]]] | None
    averaged: Callable[[PyTree], PyTree]
    finish: Callable[[PyTree, Any, Upstream], Frozen]
    provides: Mapping[str, Any]
    inputs: Callable[[jax.Array, Upstream], Mapping[str, jax.Array]] | None = None
    strata: int | None = None
    relabel: Callable[[Any, Upstream], Any] | None = None
    check: Callable[[], None] | None = None

    @classmethod
    def untrained(cls, finish: Callable[[PyTree, Any, Upstream], Frozen], provides: Mapping[str, Any]) -> "Stage":
        """A stage that is nothing but a pass over its view; its "params" are {}."""
        return cls(
            init=lambda key, batch, upstream: {},
            update=None,
            averaged=lambda state: {},
            finish=lambda state, view, upstream: {"params": {}, **finish(state, view, upstream)},
            provides=provides,
        )


def stream(seed: int, *names: str) -> jax.Array:
    """The key of a named random stream; fold the step or the sample's number into it."""
    key = jax.random.key(seed)
    for name in names:
        key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    return key
