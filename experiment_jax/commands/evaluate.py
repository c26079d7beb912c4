"""Evaluates a run: python eval.py --workdir DIR [--step N] [--num_samples N]. The last line is the metrics, as JSON.

With --input PATH --output PATH a run of super-resolution enlarges one PNG or JPEG of its low resolution.
With --images NPZ|DIR --config configs/NAME.py it judges anybody's samples as it judges that config's.
"""

import argparse
import json
import sys
from typing import NoReturn

from experiment_jax.commands import command_line
from experiment_jax.commands.modes import COMPARE, ENLARGE, IMAGES, KEEP_JUDGE, KEEP_REFERENCE, RUN, SWEEP, mode_of
from experiment_jax.comparison.compare import compare
from experiment_jax.config.load import load as load_config
from experiment_jax.devices import failures
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.evaluation.enlarge import enlarge
from experiment_jax.evaluation.evaluate import evaluate, evaluate_images, keep_reference
from experiment_jax.evaluation.files import read_images, save_samples
from experiment_jax.evaluation.shown import summary
from experiment_jax.extractors.judges import keep as keep_judge
from experiment_jax.runs.run import load_run
from experiment_jax.sweep.evaluate import evaluate as evaluate_sweep


def main() -> None:
    """The command."""
    flags = _parser().parse_args()
    act = ACTS[mode_of(flags).title]
    failures.check_found()
    result = act(flags)
    if result is not None:
        print(json.dumps(result))


def _parser() -> command_line.Parser:
    parser = command_line.Parser(__doc__)
    _add_things(parser)
    _add_measures(parser)
    return parser


def _add_things(parser: command_line.Parser) -> None:
    """What it works on, and what else it does with that."""
    parser.add_argument("--workdir", help="the run's directory")
    parser.add_argument("--step", type=int, help="a checkpoint of the last stage; by default what the run ended with")
    parser.add_argument("--sweep", action="store_true", help="evaluate the members of the sweep in DIR")
    parser.add_argument("--by", metavar="METRIC[,…]", help="with --sweep: says which is best (fd_gen); plots all")
    parser.add_argument(
        "--images",
        help="in place of a run: an .npz of images (and labels), or a folder of PNG, JPEG, WebP or GIF files",
    )
    parser.add_argument("--config", help="without a run: the config whose data set, judge and protocol count")
    parser.add_argument(
        "--compare", nargs="+", metavar="DIR", help="runs, and samples as --images takes them, on one page"
    )
    parser.add_argument("--out", metavar="DIR", help="with --compare: where its page and tables go (compare)")
    parser.add_argument("--input", metavar="PATH", help="in place of measuring: a PNG or JPEG to enlarge")
    parser.add_argument("--output", metavar="PATH", help="with --input: the PNG or JPEG to write")
    parser.add_argument(
        "--save_samples", type=command_line.count, metavar="N", help="also write N samples (uint8) and labels as .npz"
    )
    parser.add_argument("--save_judge", metavar="DIR", help="write the judge that the run trained, for --judge DIR")
    parser.add_argument("--save_reference", metavar="FILE", help="write statistics of real images, for --reference")


def _add_measures(parser: command_line.Parser) -> None:
    """What is measured, and by whom."""
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
        try:
            save_samples(run, flags.save_samples, flags.protocol)
        except Unwritable:
            print(json.dumps(metrics))
            raise
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


def _compare(flags: argparse.Namespace) -> dict:
    config = load_config(flags.config) if flags.config else None
    result = compare(flags.compare, flags.out or "compare", config=config, **_options(flags))
    if "page" in result:
        print(f"the page: {result['page']}", file=sys.stderr)
    return result


def _keep_judge(flags: argparse.Namespace) -> None:
    keep_judge(load_run(flags.workdir), flags.config, flags.save_judge)
    print(f"written: {flags.save_judge}; judge by it with --judge {flags.save_judge}", file=sys.stderr)


def _keep_reference(flags: argparse.Namespace) -> dict:
    return keep_reference(load_config(flags.config), flags.save_reference, **_options(flags))


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
    COMPARE.title: _compare,
    IMAGES.title: _judge_images,
}


def script() -> NoReturn:
    """`main` as the installed command `lsdm-jax-eval`."""
    command_line.run(main)
