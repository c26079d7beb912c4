"""A judge: a fixed neutral classifier, as a folder with its weights and a card.

    weights.safetensors   what its stage froze, float16, by names such as params/features/Conv_0/kernel
    card.json             recipe: the config that trained it
                          stage, seed, flips, validation: the settings that decide what that config trains
                          data: title, classes, shape, crop, label, how many training images, and their digest
                          accuracy_test: on the test images; sha256: of the weights

Distances are taken in a judge's features and accuracies are its verdicts. The digest that stands with every such number
is that of the file of weights, so two machines that read the same file agree by definition.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from ml_collections import ConfigDict
from safetensors import SafetensorError
from safetensors.numpy import load, save

from experiment_jax.config import sections
from experiment_jax.config.types import flat
from experiment_jax.data import load as data
from experiment_jax.data import passes
from experiment_jax.data.split import Dataset, Split
from experiment_jax.errors import UserError
from experiment_jax.extractors.extractor import Extractor
from experiment_jax.files import replacing, sha256, write_text
from experiment_jax.method.build import build
from experiment_jax.method.stage import Model
from experiment_jax.runs.directory import BOOKKEEPING
from experiment_jax.runs.verified import digest

WEIGHTS, CARD = "weights.safetensors", "card.json"
UNIMPORTANT = (*BOOKKEEPING, "from_run")  # settings that do not decide what is trained
COMPARED = ("shape", "crop", "label", "classes", "images", "digest")  # of a card's `data`: the same set has the same
Card = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Judge:
    """A judge that was opened.

    Attributes:
        folder: where it lies.
        card: what its card says.
        model: the classifier, with its parameters.
    """

    folder: Path
    card: Card
    model: Model

    @property
    def digest(self) -> str:
        """Of the weights: twelve hexadecimal digits."""
        return self.card["sha256"][:12]

    @property
    def extractor(self) -> Extractor:
        """Its features, as those of any network."""
        return Extractor("judge", self.digest, self.size, "none", self.encode)

    @property
    def size(self) -> int:
        """How many features it has."""
        return self.model.latent_size

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.card["data"]["classes"])

    @functools.cached_property
    def encode(self) -> Callable[[np.ndarray], np.ndarray]:
        """uint8 images `[N, height, width, channels]` -> features float32 `[N, features]`."""
        return self._over(lambda params, images: self.model.encode(params, passes.to_float(images)))

    @functools.cached_property
    def classify(self) -> Callable[[np.ndarray], np.ndarray]:
        """Features `[N, features]` -> classes int `[N]`."""
        return self._over(lambda params, features: jnp.argmax(self.model.classify(params, features), axis=-1))

    def _over(self, function: Callable[..., jax.Array]) -> Callable[[np.ndarray], np.ndarray]:
        compiled = functools.partial(jax.jit(function), jax.device_put(self.model.params))
        return functools.partial(passes.over, compiled, batch_size=passes.PASS)


def digests(found: Mapping[str, Judge]) -> dict[str, str]:
    """The digests of the judge and the witnesses, by the keys under which an evaluation writes them."""
    return {name if name == "judge" else f"witness_{name}": judge.digest for name, judge in found.items()}


def title(section: Mapping[str, Any]) -> str:
    """What a classifier is called in the names of metrics: its network's module, and depth if it has one."""
    return f"{section['build'].partition(':')[0].rpartition('.')[2]}{section.get('depth', '')}"


def decisive(config: ConfigDict) -> dict[str, Any]:
    """The settings of a judge's config that decide what it trains, as its card holds them."""

    def known(section: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in section.items() if value is not None and key not in UNIMPORTANT}
        return {key: known(value) if isinstance(value, dict) else value for key, value in kept.items()}

    [name] = config.stages
    stage = json.loads(json.dumps(known(config[name].to_dict())))
    return dict(stage=stage, seed=config.seed, flips=config.data.flips, validation=config.data.validation)


def same_recipe(card: Card, config: ConfigDict) -> bool:
    """Whether a config trains what the card describes. Settings that came after the card was written do not count."""
    now = flat(decisive(config))
    then = flat({key: card[key] for key in ("stage", "seed", "flips", "validation")})
    return all(now.get(key) == value for key, value in then.items())


def recipe_digest(config: ConfigDict) -> str:
    """Twelve hexadecimal digits of what a judge's config trains, whatever its images are."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()[:12]


def content(section: ConfigDict) -> dict[str, Any]:
    """The training images that a config's data section names, as a card holds them: all, with all labels."""
    train, class_names = data.read(section, "train")
    return dict(
        title=data.title(section.name),
        classes=list(class_names),
        shape=list(train.images.shape[1:]),
        crop=section.crop,
        label=section.label,
        images=len(train),
        digest=digest({"images": train.images, "labels": train.labels}),
    )


def write(config: ConfigDict, frozen: Any, recipe: str, folder: Path) -> None:
    """Writes a judge that was trained; the card last, so that a folder with a card is whole.

    Args:
        config: that trained it.
        frozen: what its stage froze.
        recipe: where that config came from.
        folder: to write into.
    """
    tree = {"params": frozen.params, "statistics": frozen.statistics}
    names = traverse_util.flatten_dict(tree, sep="/")
    with replacing(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save({key: np.asarray(leaf, np.float16) for key, leaf in names.items()}))
    about = dict(recipe=recipe, **decisive(config), data=content(config.data), sha256=sha256(folder / WEIGHTS))
    judge = Judge(folder, about, _model(folder, about))
    test = data.read(config.data, "test")[0].labelled
    about["accuracy_test"] = float(np.mean(judge.classify(judge.encode(test.images)) == test.labels))
    write_text(folder / CARD, json.dumps(about, indent=2) + "\n")


def is_judge(folder: str | Path) -> bool:
    """Whether a folder holds a judge."""
    return (Path(folder) / CARD).is_file()


def card(folder: str | Path) -> Card:
    """What a judge's card says; the weights are not looked at.

    Raises:
        UserError: a card that is damaged.
    """
    path = Path(folder) / CARD
    try:
        found = json.loads(path.read_text())
        _ = found["recipe"], found["stage"]["build"], found["data"]["digest"], found["sha256"], found["seed"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is no judge's card ({error!r}); take the folder from where it was, whole") from None
    return found


@functools.cache
def open_judge(folder: Path) -> Judge:
    """The judge in a folder, opened once in a process: its programs are compiled once.

    Raises:
        UserError: a card or weights that are damaged.
    """
    about = card(folder)
    return Judge(folder, about, _model(folder, about))


def _model(folder: Path, about: Card) -> Model:
    """The classifier that the card describes, with the weights in the folder."""
    path = folder / WEIGHTS
    if not path.is_file() or sha256(path) != about["sha256"]:
        raise UserError(f"{path}: is not the file of its card; take the folder from where it was, whole")
    try:
        leaves = {key: leaf.astype(np.float32) for key, leaf in load(path.read_bytes()).items()}
    except SafetensorError as error:
        raise UserError(f"{path}: is no safetensors file ({error})") from None
    tree = traverse_util.unflatten_dict(leaves, sep="/")
    shape, classes = tuple(about["data"]["shape"]), tuple(about["data"]["classes"])
    config = sections.experiment("judge", about["data"]["title"], stages=("classifier",))
    own = {key: tuple(value) if isinstance(value, list) else value for key, value in about["stage"].items()}
    config.classifier = sections.stage(**own)
    empty = Split(np.zeros((0, *shape), np.uint8), np.zeros(0, np.int32))
    [task] = build(config, Dataset(about["data"]["title"], classes, empty, empty))
    frozen = task.stage.Frozen(tree["params"], tree.get("statistics", {}))
    return Model().extend(task.stage).bind(classifier=frozen)
