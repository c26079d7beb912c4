"""What the evaluating command does, by the flags that are given: each thing takes its own flags, no others."""

import argparse
from typing import NamedTuple

from experiment_jax.errors import UserError


class Mode(NamedTuple):
    """One of the things that this script does.

    Attributes:
        title: what it is done to.
        asks: the flags of which each asks for it.
        needs: the flags that it needs.
        takes: the flags that it takes besides.
    """

    title: str
    asks: tuple[str, ...]
    needs: tuple[str, ...]
    takes: tuple[str, ...]


NETWORKS = ("extractor", "inception_weights", "judge")
MEASURED = ("num_samples", "protocol", "cas", "repeats", "lpips", "reference", *NETWORKS)
RUN = Mode("one run", (), ("workdir",), ("step", "data", *MEASURED, "figures", "bound", "save_samples", "report"))
SWEEP = Mode("a sweep", ("sweep", "by"), ("sweep", "workdir"), ("by", *MEASURED))
ENLARGE = Mode("an image to enlarge", ("input", "output"), ("input", "output", "workdir"), ("step", "data"))
EXPORT = Mode("a run to export", ("export",), ("export", "workdir"), ("step", "data"))
KEEP_JUDGE = Mode("a judge to keep", ("save_judge",), ("save_judge", "workdir", "config"), ("data",))
KEEP_REFERENCE = Mode("a reference to keep", ("save_reference",), ("save_reference", "config"), ("protocol", *NETWORKS))
IMAGES = Mode("anybody's images", ("images", "config"), ("images", "config"), ("protocol", "reference", *NETWORKS))
COMPARE = Mode("a comparison", ("compare", "out"), ("compare",), ("out", "config", *MEASURED))
# IMAGES last: --config alone asks for it.
MODES = (RUN, SWEEP, ENLARGE, EXPORT, KEEP_JUDGE, KEEP_REFERENCE, COMPARE, IMAGES)
VALUES = {
    "workdir": " DIR",
    "input": " PATH",
    "output": " PATH",
    "export": " FILE",
    "images": " NPZ|DIR",
    "config": " configs/NAME.py",
    "compare": " DIR [DIR ...]",
    "save_judge": " DIR",
    "save_reference": " FILE.npz",
}


def mode_of(flags: argparse.Namespace) -> Mode:
    """What the flags ask for.

    Raises:
        UserError: a flag that does not belong to it, or one that it needs and that is not there.
    """
    given = [name for name, value in vars(flags).items() if value is not None and value is not False]
    mode = next((mode for mode in MODES if set(mode.asks) & set(given)), RUN)
    by = next((name for name in mode.asks if name in given), "workdir")
    for name in given:
        if name not in (*mode.needs, *mode.takes):
            titles = " or ".join(each.title for each in MODES if name in (*each.needs, *each.takes))
            raise UserError(f"--{name}: is of {titles}, not of {mode.title} (--{by}); leave one of them out")
    missing = [name for name in mode.needs if name not in given]
    if missing and not given:
        raise UserError("give --workdir DIR, or --images NPZ|DIR with --config configs/NAME.py")
    if missing:
        wanted = " ".join(f"--{name}{VALUES.get(name, '')}" for name in missing)
        raise UserError(f"--{given[0] if by in missing else by}: is of {mode.title}; type {wanted} too")
    return mode
