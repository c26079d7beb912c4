"""Evaluates a run: python eval.py --workdir DIR [--step N] [--num_samples N]. The last line is the metrics, as JSON.

With --input PATH --output PATH a run of super-resolution enlarges one PNG or JPEG of its low resolution.
With --images NPZ|DIR --config configs/NAME.py it judges anybody's samples as it judges that config's.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

from experiment_jax import UserError, evaluate, load_config, load_run
from experiment_jax.commands import command_line
from experiment_jax.evaluation.enlarge import enlarge
from experiment_jax.evaluation.evaluate import evaluate_images, summary
from experiment_jax.evaluation.files import read_images, save_samples
from experiment_jax.evaluation.judges import keep as keep_judge
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.references import save as keep_reference
from experiment_jax.sweep.evaluate import evaluate as evaluate_sweep


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
RUN = Mode("one run", (), ("workdir",), ("step", *MEASURED, "figures", "bound", "save_samples"))
SWEEP = Mode("a sweep", ("sweep", "by"), ("sweep", "workdir"), ("by", *MEASURED))
ENLARGE = Mode("an image to enlarge", ("input", "output"), ("input", "output", "workdir"), ("step",))
KEEP_JUDGE = Mode("a judge to keep", ("save_judge",), ("save_judge", "workdir", "config"), ())
KEEP_REFERENCE = Mode("a reference to keep", ("save_reference",), ("save_reference", "config"), ("protocol", *NETWORKS))
IMAGES = Mode("anybody's images", ("images", "config"), ("images", "config"), ("protocol", "reference", *NETWORKS))
MODES = (RUN, SWEEP, ENLARGE, KEEP_JUDGE, KEEP_REFERENCE, IMAGES)
VALUES = {
    "workdir": " DIR",
    "input": " PATH",
    "output": " PATH",
    "images": " NPZ|DIR",
    "config": " configs/NAME.py",
    "save_judge": " DIR",
    "save_reference": " FILE.npz",
}


def main() -> None:
    """The command."""
    parser = command_line.Parser(__doc__)
    parser.add_argument("--workdir", help="the run's directory")
    parser.add_argument("--step", type=int, help="a checkpoint of the last stage; by default what the run ended with")
    parser.add_argument("--num_samples", type=command_line.count, metavar="N", help="in place of the protocol's number")
    parser.add_argument("--protocol", help="test_10k, train_50k, validation_1k, ...; by default the config's")
    parser.add_argument(
        "--repeats",
        type=command_line.count,
        metavar="R",
        help="draw samples with R seeds: means and errors",
    )
    parser.add_argument("--judge", metavar="PATH", help="a judge's folder, in place of the one that the config names")
    parser.add_argument(
        "--extractor",
        metavar="NAME[,…]",
        help="distances in public networks' features too: judge,vgg16,efficientnet_lite0,inception; vgg16:2500: of so "
        "many samples",
    )
    parser.add_argument("--inception_weights", metavar="PATH", help="with --extractor inception: its weights")
    parser.add_argument("--reference", metavar="FILE[,…]", help="statistics of real images, in place of their own")
    parser.add_argument("--lpips", action="store_true", help="also LPIPS of reconstructions and restored images")
    parser.add_argument("--cas", action="store_true", help="also train a classifier on the samples")
    parser.add_argument(
        "--figures",
        nargs="*",
        metavar="FUNCTION",
        help="also make the method's figures and tables: those that the config names, or these (package.module:name)",
    )
    parser.add_argument(
        "--bound", action="store_true", help="also measure the terms of the method's bound, and draw them"
    )
    parser.add_argument(
        "--save_samples", type=command_line.count, metavar="N", help="also write N samples (uint8) and labels as .npz"
    )
    parser.add_argument("--sweep", action="store_true", help="evaluate the members of the sweep in DIR")
    parser.add_argument("--by", metavar="METRIC[,…]", help="with --sweep: says which is best (fd_gen); plots all")
    parser.add_argument("--input", metavar="PATH", help="in place of measuring: a PNG or JPEG to enlarge")
    parser.add_argument("--output", metavar="PATH", help="with --input: the PNG or JPEG to write")
    parser.add_argument("--save_judge", metavar="DIR", help="write the judge that the run trained, for --judge DIR")
    parser.add_argument("--save_reference", metavar="FILE", help="write statistics of real images, for --reference")
    parser.add_argument(
        "--images",
        help="in place of a run: an .npz of images (and labels), or a folder of PNG, JPEG, WebP or GIF files",
    )
    parser.add_argument("--config", help="without a run: the config whose data set, judge and protocol count")
    flags = parser.parse_args()
    result = ACTS[mode_of(flags).title](flags)
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
        method = run.config[run.config.stages[-1]].build.partition(".")[0]
        figures = (*figures, f"{method}.bound:figure")
    metrics = evaluate(run, figures=figures, **_options(flags))
    if flags.save_samples:
        save_samples(run, flags.save_samples, flags.protocol)
    print(summary(run, metrics), file=sys.stderr)
    return metrics


def _evaluate_sweep(flags: argparse.Namespace) -> dict:
    best = evaluate_sweep(flags.workdir, (flags.by or "fd_gen").split(","), **_options(flags))
    print(f"best by {best['by']}: {best['name']}; the table: {flags.workdir}/sweep.html", file=sys.stderr)
    return best


def _enlarge(flags: argparse.Namespace) -> None:
    enlarge(load_run(flags.workdir, flags.step), flags.input, flags.output)
    print(f"written: {flags.output}", file=sys.stderr)


def _judge_images(flags: argparse.Namespace) -> dict:
    config = load_config(flags.config)
    found = read_images(flags.images, config.data)
    return evaluate_images(config, found.images, found.labels, **_options(flags))


def _keep_judge(flags: argparse.Namespace) -> None:
    keep_judge(load_run(flags.workdir), flags.config, Path(flags.save_judge))
    print(f"written: {flags.save_judge}; judge by it with --judge {flags.save_judge}", file=sys.stderr)


def _keep_reference(flags: argparse.Namespace) -> dict:
    return keep_reference(load_config(flags.config), Plan(**_options(flags)), flags.save_reference)


def _options(flags: argparse.Namespace) -> dict:
    """The flags that say what is measured, as a plan has them."""
    split = {name: tuple((getattr(flags, name) or "").split(",")) for name in ("extractor", "reference")}
    return dict(
        protocol=flags.protocol,
        num_samples=flags.num_samples,
        repeats=flags.repeats or 1,
        judge=flags.judge or "",
        extractors=tuple(filter(None, split["extractor"])),
        references=tuple(filter(None, split["reference"])),
        inception_weights=flags.inception_weights or "",
        with_lpips=flags.lpips,
        with_cas=flags.cas,
    )


ACTS = {
    RUN.title: _evaluate,
    SWEEP.title: _evaluate_sweep,
    ENLARGE.title: _enlarge,
    KEEP_JUDGE.title: _keep_judge,
    KEEP_REFERENCE.title: _keep_reference,
    IMAGES.title: _judge_images,
}


def script() -> NoReturn:
    """`main` as the installed command `lsdm-jax-eval`."""
    command_line.run(main)
