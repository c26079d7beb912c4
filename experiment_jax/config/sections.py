"""Sections of a config, every setting typed and with its default, so that a recipe names only what differs."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config import durations
from experiment_jax.config.types import optional


def experiment(method: str, dataset: str, stages: tuple[str, ...]) -> ConfigDict:
    """What every config has. A recipe adds a section for each stage and changes what differs."""
    return ConfigDict(
        dict(
            method=method,
            seed=0,
            data=dict(
                # "digits", a TFDS name, or the path of a set: a folder of images, an .npz, …; "a+b": a class each.
                name=dataset,
                channels=optional(int),  # 1: grey, 3: colours; None: as the set's images are
                crop=optional(int),  # side of the central square that is kept of every image
                size=optional(int),  # side that images are resized to, after the crop
                paired=optional(int),  # images whose label may be used, balanced over classes; None: all
                unpaired=optional(int),  # images kept of those whose label may not be used; None: all
                test=optional(float),  # share of a set without test images that becomes these, by their content
                validation=0,  # images held out of train for validation, balanced over classes
                flips=False,  # mirror training images left to right, half of the time
                image=optional(str),  # the feature that is the image; None: image
                label=optional(str),  # the feature that is the class, as in attributes/Smiling; None: label
                resident="auto",  # images in memory: "true", "false" (read when needed), or "auto" (up to 2 GB)
            ),
            stages=stages,
            tracker="none",  # what rows and pictures go to besides DIR: "wandb" or "trackio", packages of their own
            parallel="jit",  # how several devices are used: "jit", or "pmap" (one process); results are the same
            judge="",  # config of the judge, the neutral classifier that measures samples
            witnesses=(),  # configs of further classifiers, used for accuracies only
            evaluation=dict(
                protocol="test_10k",  # compare 10,000 samples with the test images; "train_50k": 50,000 with train's
                batch_size=500,
                figures=(),  # functions "package.module:name" for `eval.py --figures`
                reported="",  # what a paper reports of this system, under whatever protocol; tables show it
            ),
        )
    )


def stage(build: str, view: str, batch_size: int, **own: Any) -> ConfigDict:
    """A stage's section: what the loop reads, and the stage's `own` settings.

    Durations carry their unit in the key, one of each: `steps`, `epochs` or `examples` for the length of training;
    `log_` and `checkpoint_` with any of those or `percent` of that length; `warmup_` with `steps` or `percent`.

    Args:
        build: "package.module:function", the stage's factory.
        view: what the stage sees: "all" (images, no label), "paired" (images and labels), "mixed" (all images, the
            labels of the pairs) or "validation" (images held out of train, and their labels); or the name of a function
            of the section that says which, "package.module:function".
        batch_size: over all devices.
        own: what the factory reads; any of the loop's settings may be given here too.
    """
    section = ConfigDict(
        dict(
            build=build,
            view=view,
            batch_size=batch_size,
            from_run="",  # take this stage, finished, from another run's directory
            steps_per_dispatch=1,  # steps in one call of the compiled program; 1 for convolutions on CPU
            ema_decay=0.999,
            keep=2,  # checkpoints kept, the latest
            on_nonfinite="stop",  # where a batch gives NaN or infinity: "stop", or "skip" it, see `training.nonfinite`
            best="",  # keep the best checkpoint by this validation metric, smallest first ("-metric": largest)
            profile=(0, 0),  # trace from this step up to that one with jax.profiler, into DIR/profile/<stage>
            analyse=False,  # say what one step costs before the first, and in DIR/analysis.json: `training.analysis`
            optimiser=optimiser(),
        )
    )
    for name, units in (("", durations.LENGTHS), ("log", durations.UNITS), ("checkpoint", durations.UNITS)):
        _add_duration(section, name, units)
    section.log_percent, section.checkpoint_percent = 1.0, 25.0
    _update(section, own)
    return section


def perceptual(**own: Any) -> ConfigDict:
    """The stage whose features the perceptual loss compares; see `experiment_jax.networks.perceptual`."""
    settings = dict(
        kind="rotations",  # or contrast; vgg16: ImageNet's, from a package; classifier: those of the run's own
        view="all",
        batch_size=128,
        steps=1000,  # vgg16 and classifier are not trained
        optimiser=dict(learning_rate=2e-3),
        # Views: moved by up to `shift` of the side, deviations of brightness and noise, share of patches painted over.
        contrast=dict(temperature=0.2, shift=0.1, light=0.2, noise=0.1, share=0.25) | own.pop("contrast", {}),
        widths=(32, 64),  # channels of each level
        compute=optional(str),  # of convolutions and matrices: float32 (None) or bfloat16; parameters stay float32
        weights="",  # of vgg16: a file of torchvision's weights in place of the package's
    )
    return stage("experiment_jax.networks.perceptual:stage", **settings | own)


def sharpening(**own: Any) -> ConfigDict:
    """The stage that trains a decoder on against an adversary; see `experiment_jax.networks.sharpening`.

    Args:
        own: settings that differ from the defaults below; `adversary` a mapping of those of its section.
    """
    adversary = dict(
        widths=(32, 64),  # channels of each level; a level halves the sides
        optimiser=optimiser(learning_rate=1e-4, b1=0.0),
    )
    settings = dict(
        view="all",
        batch_size=128,
        steps=1500,
        optimiser=dict(learning_rate=1e-3, b1=0.5),
        ema_decay=0.99,
        best="recon_frechet",  # cannot be left out: the decoder as it was is a checkpoint too, so none is worse
        checkpoint_percent=20.0,
        weight=0.1,  # of the adversary, at most
        error_rise=0.04,  # share by which the mean absolute error may rise; then the weight falls
        l1=1.0,
        perceptual=3.0,
        adversary=ConfigDict(adversary),
    )
    section = stage("experiment_jax.networks.sharpening:stage", **settings)
    _update(section, own)
    return section


def optimiser(**own: Any) -> ConfigDict:
    """An optimiser's section, every setting typed: a stage's `optimiser`, or one of several that a stage trains with.

    Args:
        own: settings that differ from the defaults below.
    """
    section = ConfigDict(
        dict(
            name="adam",
            learning_rate=1e-3,
            b1=0.9,
            b2=0.999,
            weight_decay=0.0,
            clip=1.0,  # global norm of the gradient; 0: none
            schedule="cosine",
        )
    )
    _add_duration(section, "warmup", ("steps", "percent"))
    section.warmup_percent = 2.0
    _update(section, own)
    return section


def _add_duration(section: ConfigDict, name: str, units: tuple[str, ...]) -> None:
    for key in durations.keys(name, units):
        section[key] = optional(int if key.endswith(("steps", "examples")) else float)


def _update(section: ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets values in a section; of a section within it, only those that are given."""
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(section.get(key), ConfigDict):
            _update(section[key], value)
        else:
            durations.replace(section, key)
            section[key] = value
