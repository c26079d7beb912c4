"""Sweeps: one config trained many times, with other settings or other seeds, each in a run directory of its own.

A config file may define `sweep()`, an iterable of members: pairs (name, overrides), or overrides alone, named after
what they set, such as `{"matching.sinkhorn.epsilon": 1.0}`; or `sweep(variant)`, for members of each variant.
`DIR/sweep.json` holds the members, `DIR/<name>/` the run of each, and `DIR/<name>.failed.txt` why one ended early. A
stage that members share to the last setting is trained once: the others take it from the first
(`experiment_jax.runs.reuse`).
"""

import contextlib
import dataclasses
import json
import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config import load as configs
from experiment_jax.config import numbers
from experiment_jax.config.places import lasting, place
from experiment_jax.errors import UserError
from experiment_jax.files import write_text
from experiment_jax.runs import directory

RECORD = "sweep.json"
OWN = re.compile(r"(sweep|runs)(-\d+)?\.(json|csv|md|html|png)|.*\.failed\.txt", re.IGNORECASE)  # files of a sweep
LONGEST = 200  # bytes of a member's name: file systems take 255, and files beside its directory are called longer


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

    def group(self, member: Member) -> str:
        """What a tracker shows the member's run under: the sweep, and of runs with several seeds what they share."""
        return self.workdir.name if member.group == member.name else f"{self.workdir.name}/{member.group}"

    def failure(self, member: Member) -> Path:
        """The file that says why a member ended early; there is none where it did not."""
        return self.workdir / f"{member.name}.failed.txt"


def define(spec: str, overrides: Mapping[str, Any], workdir: str | Path, *, seeds: int | None, members: bool) -> Sweep:
    """The sweep that a person asks for; nothing is written.

    Args:
        spec: a config, `PATH.py[:VARIANT]`.
        overrides: what the command line sets in every member.
        workdir: the sweep's directory, new or of this sweep.
        seeds: train each member with as many seeds, from the config's own on; None: with that one.
        members: whether to take the members of the file's `sweep()`; else the config itself is the only one.

    Raises:
        UserError: the config has no sweep, a member's name is that of another or fits no directory, a setting is
            unknown or given twice, or the directory holds something else.
    """
    overrides = {key: numbers.plain(value) for key, value in overrides.items()}
    if seeds is not None:
        seeds = numbers.count(seeds, "--seeds")
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
    _check_names([member.name for member in found])
    sweep = Sweep(place(workdir, "--workdir"), lasting(spec), rest, tuple(found))
    _check_directory(sweep)
    for member in sweep.members:  # whatever is mistyped in one is said before another is trained
        with of(member):
            directory.check(sweep.directory(member), sweep.config(member))
    return sweep


@contextlib.contextmanager
def of(member: Member) -> Iterator[None]:
    """Adds the member's name to a UserError that is raised inside."""
    try:
        yield
    except UserError as error:
        raise UserError(f"member {member.name}: {error}") from None


def _title(spec: str) -> str:
    path, _, variant = spec.partition(":")
    return "-".join(filter(None, (Path(path).stem, variant)))


def _named(each: Any) -> tuple[str, dict[str, Any]]:
    """A member as its name, fit for a directory, and its overrides, numbers in both as Python's own."""
    if isinstance(each, Mapping):
        values = {str(key).rpartition(".")[2]: numbers.plain(value) for key, value in each.items()}
        each = ",".join(f"{key}={value}" for key, value in values.items()), each
    if not (isinstance(each, tuple | list) and len(each) == 2 and isinstance(each[1], Mapping)):
        raise UserError(f"--sweep: {numbers.shown(each)} is no member; yield (name, overrides), or overrides alone")
    given, overrides = numbers.plain(each[0]), {key: numbers.plain(value) for key, value in each[1].items()}
    name = given if isinstance(given, str) else str(given) if isinstance(given, int | float) else ""
    name = re.sub(r"[^\w.=,+-]+", "-", unicodedata.normalize("NFC", name)).strip("-.")
    if not name:
        raise UserError(
            f"--sweep: {numbers.shown(given)} names no member; yield (name, overrides), a name with a letter or a digit"
        )
    return name, overrides


def _check_names(names: Sequence[str]) -> None:
    """Raises UserError where members would share a directory on some file system, or could not have theirs.

    Args:
        names: of all members.
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        if len(name.encode()) > LONGEST:
            raise UserError(
                f"--sweep: the name {name[:40]}… takes {len(name.encode())} bytes; yield (name, overrides), a name of "
                f"at most {LONGEST}"
            )
        if OWN.fullmatch(name):
            raise UserError(f"--sweep: {name} is what the sweep calls a file of its own; call the member otherwise")
        alike.setdefault(unicodedata.normalize("NFC", name.casefold()), []).append(name)
    for same in alike.values():
        if len(same) > 1 and len(set(same)) == 1:
            found = f"{len(same)} members are called {same[0]} as folders"
            raise UserError(f"--sweep: {found}; yield (name, overrides), each its own name")
        if len(same) > 1:
            first, second = sorted(set(same))[:2]
            raise UserError(
                f"--sweep: {first} and {second} are one folder where capitals do not count; yield (name, overrides), "
                f"names that differ in more"
            )


def _check_directory(sweep: Sweep) -> None:
    if (sweep.workdir / RECORD).is_file():
        if lasting(before := read(sweep.workdir).spec) != sweep.spec:
            raise UserError(f"--workdir {sweep.workdir}: holds a sweep of {before}; choose another --workdir")
        every = (*sweep.members, *read(sweep.workdir).members)
        _check_names(list({each.name: None for each in every}))
        seeded, plain = ({each.group for each in every if (each.name != each.group) == has} for has in (True, False))
        if both := sorted(seeded & plain):
            how = "with" if sweep.members[0].name == sweep.members[0].group else "without"
            raise UserError(f"--workdir {sweep.workdir}: holds {both[0]} {how} --seeds; choose another --workdir")
    elif sweep.workdir.is_file() or (
        sweep.workdir.is_dir() and any(not path.name.startswith(".") for path in sweep.workdir.iterdir())
    ):
        raise UserError(f"--workdir {sweep.workdir}: is not empty and holds no sweep; choose another --workdir")


def write(sweep: Sweep) -> None:
    """Writes DIR/sweep.json, from which `read` makes the same sweep; members that it holds already stay in it."""
    before = read(sweep.workdir).members if (sweep.workdir / RECORD).is_file() else ()
    names = {member.name for member in sweep.members}
    whole = (*sweep.members, *(member for member in before if member.name not in names))
    members = [dataclasses.asdict(member) for member in whole]
    record = dict(config=sweep.spec, overrides=sweep.overrides, members=members)
    write_text(sweep.workdir / RECORD, json.dumps(record, indent=2) + "\n")


def read(workdir: str | Path) -> Sweep:
    """The sweep in a directory.

    Raises:
        UserError: there is none.
    """
    workdir = place(workdir, "--workdir")
    path = workdir / RECORD
    if not path.is_file():
        raise UserError(f"--workdir {workdir}: holds no sweep; train one: python train.py --sweep --workdir {workdir}")
    record = json.loads(path.read_text())
    members = tuple(Member(**member) for member in record["members"])
    return Sweep(workdir, record["config"], record["overrides"], members)


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
