"""Which judge measures a run: the shipped one, one that was handed on, or one that is trained now.

A config names a judge by its recipe, such as configs/judge_digits.py, or by its folder. A judge is bound to the content
of the data set that it was trained on, not to its name: `find` looks for one of that recipe and content among the
shipped ones, then in the user's cache folder; only where neither has one it is trained. No method trains on a judge or
on its features.
"""

import functools
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiment_jax.config import load as configs
from experiment_jax.config.places import place, shipped
from experiment_jax.data.load import Wanted
from experiment_jax.data.load import title as title_of_data
from experiment_jax.devices import cache
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.extractors import judge as judge_files
from experiment_jax.extractors.judge import Judge
from experiment_jax.files import writing
from experiment_jax.runs.run import Run, load_run

log = logging.getLogger(__name__)
Train = Callable[..., Any]  # `experiment_jax.train`


def of_run(config: ConfigDict, train: Train, judge: str = "") -> dict[str, Judge]:
    """The judge and the witnesses of a run: first "judge", then each witness by its title.

    Args:
        config: the run's.
        train: `experiment_jax.train`.
        judge: in place of the one that the config names.

    Raises:
        UserError: what `find` refuses, or two witnesses of one title.
    """
    titles = [title(name, config.data) for name in config.witnesses]  # looked at before anything is trained
    for each in titles:
        if titles.count(each) > 1:
            raise UserError(
                f"witnesses={tuple(config.witnesses)}: two of them are called {each}; name one of each kind"
            )
    found = {"judge": find(judge or config.judge, config.data, train)}
    return found | {
        each: find(name, config.data, train, "witnesses") for each, name in zip(titles, config.witnesses, strict=True)
    }


def title(name: str, data: ConfigDict) -> str:
    """What a witness is called in the names of metrics; for what it raises see `find`."""
    folder = place(name, "witnesses")
    if judge_files.is_judge(folder):
        return judge_files.title(judge_files.card(folder)["stage"])
    config = recipe(name, data, "witnesses")
    return judge_files.title(config[config.stages[-1]])


def find(name: str, data: ConfigDict, train: Train, setting: str = "judge") -> Judge:
    """The judge of a recipe, or in a folder, for the data set that a run sees; trained now where there is none.

    Args:
        name: a recipe, or a folder that holds a judge.
        data: the run's data section.
        train: `experiment_jax.train`.
        setting: where it was named.

    Raises:
        UserError: none is named; a folder whose judge was trained on other images; or what `recipe` refuses.
    """
    if not name:
        raise UserError("judge=: the config names no neutral classifier; type --config.judge=configs/judge_NAME.py")
    folder = place(name, setting)
    if judge_files.is_judge(folder):
        name = str(folder)
        _check_content(judge_files.card(name), data, f"{setting}={name}")
        return judge_files.open_judge(Path(name).resolve())
    config = recipe(name, data, setting)
    content = judge_files.content(config.data)
    folder = _shipped(config, content) or _trained(name, config, content, train)
    return judge_files.open_judge(folder.resolve())


def recipe(name: str, data: ConfigDict, setting: str = "judge") -> ConfigDict:
    """The config of a judge, for the data set that a run sees: checked to see the same images.

    A recipe that names no data set is of any, under the run's own settings of it.

    Args:
        name: the recipe.
        data: the run's data section.
        setting: where it was named.

    Raises:
        UserError: it judges another data set, or the same set cropped or resized otherwise, or another label of it.
    """
    config = configs.load(name)
    if not config.data.name:  # of any set
        with config.unlocked():
            config.data.update({key: data.get(key) for key in ("name", *Wanted._fields)})
        return config
    if title_of_data(config.data.name) != title_of_data(data.name):
        raise UserError(
            f"{setting}={name}: judges {config.data.name}, not {data.name}; name a judge of that, or "
            "configs/judge_folder.py, which is of any set"
        )
    for key in Wanted._fields:
        if config.data[key] != data.get(key):
            raise UserError(
                f"{setting}={name}: sees data.{key}={config.data[key]}, not {data.get(key)}; name a judge "
                f"whose config sets data.{key}={data.get(key)}"
            )
    with config.unlocked():
        config.data.name = data.name  # wherever the run's own set lies
    return config


def keep(run: Run, recipe: str, folder: str | Path) -> None:
    """Writes the judge that a run trained; see `judge.write`.

    Raises:
        UserError: the run is of no judge or of another recipe, or the folder holds something else.
    """
    if run.config.method != "judge":
        raise UserError(f"--workdir {run.workdir}: is no judge's run; train one with --config configs/judge_NAME.py")
    if judge_files.decisive(configs.load(recipe, {"seed": run.config.seed})) != judge_files.decisive(run.config):
        raise UserError(f"--config {recipe}: is not what the run in {run.workdir} was trained with; name its recipe")
    folder = place(folder, "--save_judge")
    if folder.exists() and not judge_files.is_judge(folder):
        raise UserError(f"--save_judge {folder}: is there and holds no judge; choose another folder")
    judge_files.write(run.config, run.model.params[run.config.stages[-1]], recipe, folder)


def _check_content(card: judge_files.Card, data: ConfigDict, setting: str) -> None:
    """Raises UserError where a judge was not trained on the images that the run's data section names."""
    here, there = judge_files.content(data), card["data"]
    for key in judge_files.COMPARED:
        if here[key] != there[key]:
            was, now = (", ".join(map(str, each[key])) if key == "classes" else each[key] for each in (there, here))
            raise UserError(
                f"{setting}: was trained on other images than {data.name} has here ({key}: {was}, not {now}); "
                f"give the judge of this set, or leave it out"
            )


def _shipped(config: ConfigDict, content: dict[str, Any]) -> Path | None:
    """The folder of the shipped judge of that recipe and content; None: there is none."""
    for folder in sorted(path.parent for path in shipped("judges").glob(f"*/{judge_files.CARD}")):
        card = judge_files.card(folder)
        if card["data"]["title"] != content["title"] or not judge_files.same_recipe(card, config):
            continue
        if _same_content(card, content):
            return folder
        log.warning(
            "%s is not the set that the shipped judge %s was trained on: it gets a judge of its own, under which "
            "numbers do not compare with the shipped one's",
            config.data.name,
            card["sha256"][:12],
        )
    return None


def _same_content(card: judge_files.Card, content: dict[str, Any]) -> bool:
    return all(card["data"][key] == content[key] for key in judge_files.COMPARED)


def _trained(name: str, config: ConfigDict, content: dict[str, Any], train: Train) -> Path:
    """The folder of the judge in the user's cache, trained now where it is not there.

    The folder's name carries a hash of the recipe, so that a changed recipe is another judge, and that of the images.
    """
    recipe_and_images = f"{judge_files.recipe_digest(config)}-{content['digest']}"
    own = f"{content['title']}-{recipe_and_images}"
    place = cache.folder("judges") / own
    for known in (place, *sorted(place.parent.glob(f"*-{recipe_and_images}"))):  # a set may have been called otherwise
        if judge_files.is_judge(known) and _same_content(judge_files.card(known), content):
            return known
    log.info("no judge of %s is shipped: training one, once", content["title"])
    try:
        _train_into(place, name, config, train)
    except Unwritable as error:
        log.warning("the judge is for this process alone: %s", error)
        place = Path(_own_folder().name) / own
        if not judge_files.is_judge(place):
            _train_into(place, name, config, train)
        return place
    log.info("the judge is in %s; who is to compare with your numbers needs that folder, for --judge PATH", place)
    return place


def _train_into(place: Path, name: str, config: ConfigDict, train: Train) -> None:
    """Trains a judge beside its place and renames it. Of several processes the first counts."""
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        train(config, temporary / "run", jax.devices()[:1])  # the same judge, however many devices there are
        trained = load_run(temporary / "run")
        judge_files.write(config, trained.model.params[config.stages[-1]], name, temporary / "judge")
        with writing(place):
            try:
                (temporary / "judge").rename(place)
            except OSError:
                if not judge_files.is_judge(place):  # else another process was faster
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory:
    """A folder that is deleted when the process ends; for judges where the user's cache cannot be written."""
    with writing(Path(tempfile.gettempprefix())):
        return tempfile.TemporaryDirectory(prefix="judges-")
