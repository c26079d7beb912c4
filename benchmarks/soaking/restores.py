"""A checkpoint or a finished stage is damaged: the run ends in the same digests, or it is said what is damaged."""

import re
import shutil
from pathlib import Path
from typing import Any

import jax

from experiment_jax import UserError, load_config, load_run, train
from soaking import Wrong
from soaking.damages import ALL, flipped_anywhere
from soaking.ground import RECIPE, STAGES, Ground, digests

KINDS = [*ALL, flipped_anywhere]


def trial(ground: Ground, rng: Any, number: int) -> str:
    damage = KINDS[number % len(KINDS)]
    whole = ground.trained(0)
    with ground.place(whole) as folder:
        stage = STAGES[rng.integers(len(STAGES))]
        place, part = _target(folder, stage, rng)
        other = ground.trained(1) / place.relative_to(folder)
        damage(place, part, other, rng)
        about = f"{damage.__name__}, {place.relative_to(folder)}"
        if part == "frozen":
            _check_load(folder, whole, stage, about)
        try:
            train(load_config(str(RECIPE)), folder, jax.devices()[:1])
        except UserError as error:
            return _refused(error, place, about)
        if digests(folder) != digests(whole):
            raise Wrong(f"{about}: ends in {digests(folder)}, not {digests(whole)}")
    return "right"


def _target(folder: Path, stage: str, rng: Any) -> tuple[Path, str]:
    """What is to be damaged, and the name of its arrays: a finished stage, or a checkpoint of a stage that is not."""
    if rng.random() < 0.4:
        return folder / "finished" / stage, "frozen"
    for later in STAGES[STAGES.index(stage) :]:
        shutil.rmtree(folder / "finished" / later)
    steps = sorted(int(path.name) for path in (folder / "checkpoints" / stage).iterdir())
    step = steps[-1] if rng.random() < 0.8 else steps[rng.integers(len(steps))]
    return folder / "checkpoints" / stage / str(step), "state"


def _check_load(folder: Path, whole: Path, stage: str, about: str) -> None:
    """Loading the run refuses the stage, or finds it as it was."""
    try:
        found = load_run(folder).model.params
    except UserError as error:
        _refused(error, folder / "finished" / stage, about)
        return
    if not jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), found, load_run(whole).model.params)):
        raise Wrong(f"{about}: the run is loaded with other parameters")


def _refused(error: UserError, place: Path, about: str) -> str:
    """A refusal is a line that names the place and says what to type."""
    if "\n" in str(error) or str(place) not in str(error) or not re.search(r"is damaged .*(type|take) ", str(error)):
        raise Wrong(f"{about}: {error}")
    return "refused"
