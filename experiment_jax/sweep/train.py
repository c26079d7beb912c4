"""Trains the members of a sweep: one after another, or all in one program."""

import json
import logging
import time
import traceback
from collections.abc import Callable, Sequence

import jax
from ml_collections import ConfigDict

from experiment_jax.data.load import load
from experiment_jax.data.split import Dataset
from experiment_jax.errors import Busy, Stopped, Unwritable, UserError
from experiment_jax.files import write_text, writing
from experiment_jax.sweep import together
from experiment_jax.sweep.members import Member, Sweep, of, write
from experiment_jax.training.train import prepare, train

log = logging.getLogger(__name__)
PAUSE = 5.0  # seconds, where all members that are left are trained by other processes


def train_members(sweep: Sweep, index: int | None = None, devices: Sequence[jax.Device] | None = None) -> list[str]:
    """Trains the members one after another, finished ones left alone; one that fails does not stop the others.

    A member that another process trains is left to that process, and looked at again when the others are finished.

    Args:
        sweep: from `plan`.
        index: train the member of this number only.
        devices: to train on; all by default.

    Returns:
        The names of the members that failed.

    Raises:
        UserError: there is no member of that number, or one of those to train can be refused before it is trained; then
            nothing was written.
        Unwritable: the disk is full or may only be read.
        Stopped: a signal asked to stop; the state is saved.
    """
    last = len(sweep.members) - 1
    if index is not None and index not in range(last + 1):
        raise UserError(f"--sweep_index {index}: the members are numbered from 0 to {last}; give one of those")
    chosen = [(number, member) for number, member in enumerate(sweep.members) if index in (None, number)]
    images = _loader()
    for _, member in chosen:
        with of(member):
            prepare(config := sweep.config(member), sweep.directory(member), devices, images(config))
    write(sweep)
    siblings = [sweep.directory(member) for member in sweep.members]
    failed: list[str] = []
    while chosen:
        busy = []
        for number, member in chosen:
            log.info("member %d (0 to %d): %s", number, last, member.name)
            try:
                config = sweep.config(member)
                train(config, sweep.directory(member), devices, images(config), siblings, sweep.group(member))
                _note(sweep, member, None)
            except (Stopped, Unwritable):
                raise
            except Busy as error:
                log.info("later: %s", error)
                busy.append((number, member))
            except Exception as error:
                failed.append(member.name)
                _note(sweep, member, error)
            jax.clear_caches()  # the next member compiles programs of its own
        if busy == chosen:
            time.sleep(PAUSE)
        chosen = busy
    return failed


def _loader() -> Callable[[ConfigDict], Dataset]:
    """The data set of a config, read once where the next config has the same."""
    kept: dict[str, Dataset] = {}

    def cached(config: ConfigDict) -> Dataset:
        key = json.dumps([config.data.to_dict(), config.seed])
        if key not in kept:
            kept.clear()
            kept[key] = load(config.data, config.seed)
        return kept[key]

    return cached


def train_together(sweep: Sweep, devices: Sequence[jax.Device] | None = None) -> list[str]:
    """Trains all members in one program, see `experiment_jax.sweep.together`; otherwise as `train_members`.

    Raises:
        UserError: the members differ in more than one program can hold; nothing was written.
        Stopped: a signal asked to stop; the states are saved.
    """
    found = {member.name: sweep.config(member) for member in sweep.members}
    varied = together.varied(found)
    siblings = [sweep.directory(member) for member in sweep.members]
    runs, images = {}, _loader()
    for member in sweep.members:
        with of(member):
            place = sweep.directory(member)
            config, group = found[member.name], sweep.group(member)
            runs[member.name] = prepare(config, place, devices, images(config), siblings, group)
    together.check(runs, varied)
    write(sweep)
    errors = together.train(runs, varied)
    for member in sweep.members:
        _note(sweep, member, errors.get(member.name))
    return list(errors)


def _note(sweep: Sweep, member: Member, error: Exception | None) -> None:
    """Keeps why a member ended early, or forgets it where it did not."""
    place = sweep.failure(member)
    if error is None:
        with writing(place):
            place.unlink(missing_ok=True)
        return
    reason = str(error)
    if not isinstance(error, UserError):
        reason = f"{type(error).__name__}: {reason}"
        log.error("%s", "".join(traceback.format_exception(error)))
    write_text(place, reason.partition("\n")[0] + "\n")
    log.error("member %s failed: %s", member.name, reason.partition("\n")[0])
