"""Sweeps: one config trained many times, with other settings or other seeds, each in a run directory of its own.

A config file may define `sweep()`, an iterable of members: pairs (name, overrides), or overrides alone, named after
what they set, such as `{"matching.epsilon": 1.0}`; or `sweep(variant)`, where variants have members of their own.
`DIR/sweep.json` holds the members, `DIR/<name>/` the run of each, and `DIR/<name>.failed.txt` why one ended early. A
stage that members share to the last setting is trained once: the others take it from the first
(`experiment_jax.reuse`).
"""

import collections
import contextlib
import dataclasses
import json
import logging
import re
import shlex
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiment_jax import config as configs
from experiment_jax import data, run_directory
from experiment_jax.data import Dataset
from experiment_jax.errors import UserError
from experiment_jax.record import Stopped
from experiment_jax.sweep import together
from experiment_jax.training import prepare, train

log = logging.getLogger(__name__)
RECORD = "sweep.json"


@dataclasses.dataclass(frozen=True)
class Member:
    """One run of a sweep.

    Attributes:
        name: of the run, and of its directory.
        group: what the runs that differ in nothing but the seed are called together.
        overrides: what the sweep sets, by dotted key; the seed where there are several.
    """

    name: str
    group: str
    overrides: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All members, and where they are trained.

    Attributes:
        workdir: the sweep's directory.
        spec: the config, `PATH.py[:VARIANT]`.
        overrides: what the command line sets in every member.
        members: in the order in which they are trained.
    """

    workdir: Path
    spec: str
    overrides: Mapping[str, Any]
    members: tuple[Member, ...]

    def directory(self, member: Member) -> Path:
        """The member's run directory."""
        return self.workdir / member.name

    def config(self, member: Member) -> ConfigDict:
        """The member's config."""
        return configs.load(self.spec, {**self.overrides, **member.overrides})

    def failure(self, member: Member) -> Path:
        """The file that says why a member ended early; there is none where it did not."""
        return self.workdir / f"{member.name}.failed.txt"


def plan(spec: str, overrides: Mapping[str, Any], workdir: str | Path, *, seeds: int | None, members: bool) -> Sweep:
    """The sweep that a person asks for; nothing is written.

    Args:
        spec: a config, `PATH.py[:VARIANT]`.
        overrides: what the command line sets in every member.
        workdir: the sweep's directory, new or of this sweep.
        seeds: train each member with as many seeds, from the config's own on; None: with that one.
        members: whether to take the members of the file's `sweep()`; else the config itself is the only one.

    Raises:
        UserError: the config has no sweep, two members are called alike, a setting is unknown or given twice, or the
            directory holds something else.
    """
    own = [_named(each) for each in configs.sweep(spec)] if members else [(_title(spec), {})]
    for name, settings in own:
        for key in sorted(settings.keys() & overrides.keys()):
            raise UserError(f"--config.{key}={overrides[key]}: the sweep sets it itself; leave it out")
        if seeds and "seed" in settings:
            raise UserError(f"--seeds {seeds}: member {name} sets the seed itself; leave --seeds out")
    if seeds:
        first = configs.load(spec, overrides).seed
        rest = {key: value for key, value in overrides.items() if key != "seed"}
        found = [
            Member(f"{name}-seed{seed}", name, {**settings, "seed": seed})
            for name, settings in own
            for seed in range(first, first + seeds)
        ]
    else:
        rest, found = dict(overrides), [Member(name, name, settings) for name, settings in own]
    for name, count in collections.Counter(member.name for member in found).items():
        if count > 1:
            raise UserError(f"--sweep: {count} members are called {name}; yield (name, overrides), each its own name")
    sweep = Sweep(Path(workdir), spec, rest, tuple(found))
    _check_directory(sweep)
    for member in sweep.members:  # whatever is mistyped in one is said before another is trained
        with _of(member):
            run_directory.check(sweep.directory(member), sweep.config(member))
    return sweep


@contextlib.contextmanager
def _of(member: Member) -> Iterator[None]:
    """What is refused in here names the member."""
    try:
        yield
    except UserError as error:
        raise UserError(f"member {member.name}: {error}") from None


def _title(spec: str) -> str:
    path, _, variant = spec.partition(":")
    return "-".join(filter(None, (Path(path).stem, variant)))


def _named(each: Any) -> tuple[str, dict[str, Any]]:
    """A member as its name, fit for a directory, and its overrides."""
    if isinstance(each, Mapping):
        each = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in each.items()), each
    if not (isinstance(each, tuple | list) and len(each) == 2 and isinstance(each[1], Mapping) and each[0]):
        raise UserError(f"--sweep: {each!r} is no member; yield (name, overrides), or overrides alone")
    name, overrides = each
    return re.sub(r"[^\w.=,+-]+", "-", str(name)).strip("-."), dict(overrides)


def _check_directory(sweep: Sweep) -> None:
    if (sweep.workdir / RECORD).is_file():
        if (before := read(sweep.workdir).spec) != sweep.spec:
            raise UserError(f"--workdir {sweep.workdir}: holds a sweep of {before}; choose another --workdir")
    elif sweep.workdir.is_file() or (sweep.workdir.is_dir() and any(sweep.workdir.iterdir())):
        raise UserError(f"--workdir {sweep.workdir}: is not empty and holds no sweep; choose another --workdir")


def write(sweep: Sweep) -> None:
    """Writes DIR/sweep.json, from which `read` makes the same sweep."""
    members = [dataclasses.asdict(member) for member in sweep.members]
    record = dict(config=sweep.spec, overrides=sweep.overrides, members=members)
    run_directory.write_text(sweep.workdir / RECORD, json.dumps(record, indent=2) + "\n")


def read(workdir: str | Path) -> Sweep:
    """The sweep in a directory.

    Raises:
        UserError: there is none.
    """
    path = Path(workdir) / RECORD
    if not path.is_file():
        raise UserError(f"--workdir {workdir}: holds no sweep; train one: python train.py --sweep --workdir {workdir}")
    record = json.loads(path.read_text())
    members = tuple(Member(**member) for member in record["members"])
    return Sweep(Path(workdir), record["config"], record["overrides"], members)


def command_lines(sweep: Sweep, arguments: Sequence[str]) -> list[str]:
    """The command of each member, as a shell takes it, with what the member sets as a comment.

    Args:
        sweep: the members.
        arguments: of the command line that asked for them.
    """
    base = shlex.join(["python", *arguments])
    settings = [" ".join(f"{key}={value}" for key, value in member.overrides.items()) for member in sweep.members]
    return [
        f"{base} --sweep_index {index}  # {member.name}: {own}"
        for index, (member, own) in enumerate(zip(sweep.members, settings, strict=True))
    ]


def train_members(sweep: Sweep, index: int | None = None, devices: Sequence[jax.Device] | None = None) -> list[str]:
    """Trains the members one after another, finished ones left alone; one that fails does not stop the others.

    Args:
        sweep: from `plan`.
        index: train the member of this number only.
        devices: to train on; all by default.

    Returns:
        The names of the members that failed.

    Raises:
        UserError: there is no member of that number, or one of those to train can be refused before it is trained; then
            nothing was written.
        Stopped: SIGINT or SIGTERM arrived; the state is saved.
    """
    last = len(sweep.members) - 1
    if index is not None and not 0 <= index <= last:
        raise UserError(f"--sweep_index {index}: the members are numbered from 0 to {last}; give one of those")
    chosen = [(number, member) for number, member in enumerate(sweep.members) if index in (None, number)]
    images = _loader()
    for _, member in chosen:
        with _of(member):
            prepare(config := sweep.config(member), sweep.directory(member), devices, images(config))
    write(sweep)
    beside = [sweep.directory(member) for member in sweep.members]
    failed: list[str] = []
    for number, member in chosen:
        log.info("member %d (0 to %d): %s", number, last, member.name)
        try:
            config = sweep.config(member)
            train(config, sweep.directory(member), devices, images(config), beside)
            _note(sweep, member, None)
        except Stopped:
            raise
        except Exception as error:
            failed.append(member.name)
            _note(sweep, member, error)
        jax.clear_caches()  # the next member compiles programs of its own
    return failed


def _loader() -> Callable[[ConfigDict], Dataset]:
    """`data.load` of a config, read once where the next config has the same."""
    kept: dict[str, Dataset] = {}

    def load(config: ConfigDict) -> Dataset:
        key = json.dumps([config.data.to_dict(), config.seed])
        if key not in kept:
            kept.clear()
            kept[key] = data.load(config.data, config.seed)
        return kept[key]

    return load


def train_together(sweep: Sweep, devices: Sequence[jax.Device] | None = None) -> list[str]:
    """Trains all members in one program, see `experiment_jax.sweep.together`; otherwise as `train_members`.

    Raises:
        UserError: the members differ in more than one program can hold; nothing was written.
        Stopped: SIGINT or SIGTERM arrived; the states are saved.
    """
    found = {member.name: sweep.config(member) for member in sweep.members}
    varied = together.varied(found)
    beside = [sweep.directory(member) for member in sweep.members]
    runs, images = {}, _loader()
    for member in sweep.members:
        with _of(member):
            place = sweep.directory(member)
            runs[member.name] = prepare(found[member.name], place, devices, images(found[member.name]), beside)
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
        place.unlink(missing_ok=True)
        return
    reason = str(error)
    if not isinstance(error, UserError):
        reason = f"{type(error).__name__}: {reason}"
        log.error("%s", "".join(traceback.format_exception(error)))
    run_directory.write_text(place, reason.partition("\n")[0] + "\n")
    log.error("member %s failed: %s", member.name, reason.partition("\n")[0])
