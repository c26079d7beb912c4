"""Evaluates a run: python eval.py --workdir DIR [--step N] [--num_samples N]. The last line is the metrics, as JSON.

With --input PATH --output PATH a run of super-resolution enlarges one PNG or JPEG of its low resolution.
With --images NPZ|DIR --config configs/NAME.py it judges anybody's samples as it judges that config's.
"""

import argparse
import json
import sys
from typing import NamedTuple

from experiment_jax import UserError, evaluate, load_config, load_run
from experiment_jax.config import command_line
from experiment_jax.evaluation.enlarge import enlarge
from experiment_jax.evaluation.evaluate import evaluate_images, summary
from experiment_jax.evaluation.files import read_images, save_samples
from experiment_jax.sweep.evaluate import evaluate as evaluate_sweep

BOUND = "lsdm_jax.bound:figure"


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


MEASURED = ("num_samples", "protocol", "cas")
RUN = Mode("one run", (), ("workdir",), ("step", *MEASURED, "figures", "bound", "save_samples"))
SWEEP = Mode("a sweep", ("sweep", "by"), ("sweep", "workdir"), ("by", *MEASURED))
ENLARGE = Mode("an image to enlarge", ("input", "output"), ("input", "output", "workdir"), ("step",))
IMAGES = Mode("anybody's images", ("images", "config"), ("images", "config"), ("protocol",))
MODES = (RUN, SWEEP, ENLARGE, IMAGES)
VALUES = {"workdir": " DIR", "input": " PATH", "output": " PATH", "images": " NPZ|DIR", "config": " configs/NAME.py"}


def main() -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument("--workdir", help="the run's directory")
    parser.add_argument("--step", type=int, help="a checkpoint of the last stage; by default what the run ended with")
    parser.add_argument("--num_samples", type=command_line.count, metavar="N", help="in place of the protocol's number")
    parser.add_argument("--protocol", help="test_10k, train_50k, validation_1k, ...; by default the config's")
    parser.add_argument("--cas", action="store_true", help="also train a classifier on the samples")
    parser.add_argument(
        "--figures",
        nargs="*",
        metavar="FUNCTION",
        help="also make the method's figures and tables: those that the config names, or these (package.module:name)",
    )
    parser.add_argument("--bound", action="store_true", help="also measure the terms of LSDM's bound, and draw them")
    parser.add_argument(
        "--save_samples", type=command_line.count, metavar="N", help="also write N samples (uint8) and labels as .npz"
    )
    parser.add_argument("--sweep", action="store_true", help="evaluate the members of the sweep in DIR")
    parser.add_argument("--by", metavar="METRIC[,…]", help="with --sweep: says which is best (fd_gen); plots all")
    parser.add_argument("--input", metavar="PATH", help="in place of measuring: a PNG or JPEG to enlarge")
    parser.add_argument("--output", metavar="PATH", help="with --input: the PNG or JPEG to write")
    parser.add_argument(
        "--images",
        help="in place of a run: an .npz of images (and labels), or a folder of PNG, JPEG, WebP or GIF files",
    )
    parser.add_argument("--config", help="with --images: the config whose data set, judge and protocol count")
    flags = parser.parse_args()
    act = {RUN: _evaluate, SWEEP: _evaluate_sweep, ENLARGE: _enlarge, IMAGES: _judge_images}[mode_of(flags)]
    result = act(flags)
    if result is not None:
        print(json.dumps(result))


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


def _evaluate(flags: argparse.Namespace) -> dict:
    run = load_run(flags.workdir, flags.step)
    figures = flags.figures or ()
    if flags.figures == []:
        figures = run.config.evaluation.figures
        if not figures:
            raise UserError("--figures: the run's config names none; type --figures package.module:name")
    if flags.bound:
        figures = (*figures, BOUND)
    options = dict(num_samples=flags.num_samples, protocol=flags.protocol, with_cas=flags.cas, figures=figures)
    metrics = evaluate(run, **options)
    if flags.save_samples:
        save_samples(run, flags.save_samples, flags.protocol)
    print(summary(run, metrics), file=sys.stderr)
    return metrics


def _evaluate_sweep(flags: argparse.Namespace) -> dict:
    options = dict(protocol=flags.protocol, num_samples=flags.num_samples, with_cas=flags.cas)
    best = evaluate_sweep(flags.workdir, (flags.by or "fd_gen").split(","), **options)
    print(f"best by {best['by']}: {best['name']}; the table: {flags.workdir}/sweep.html", file=sys.stderr)
    return best


def _enlarge(flags: argparse.Namespace) -> None:
    enlarge(load_run(flags.workdir, flags.step), flags.input, flags.output)
    print(f"written: {flags.output}", file=sys.stderr)


def _judge_images(flags: argparse.Namespace) -> dict:
    config = load_config(flags.config)
    found = read_images(flags.images, config.data)
    return evaluate_images(config, found.images, found.labels, flags.protocol)


if __name__ == "__main__":
    command_line.run(main)
