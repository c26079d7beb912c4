"""Evaluates a run: python eval.py --workdir DIR [--step N] [--num_samples N]. The last line is the metrics, as JSON.

With --input PATH --output PATH a run of super-resolution enlarges one PNG or JPEG of its low resolution.
With --images NPZ|DIR --config configs/NAME.py it judges anybody's samples as it judges that config's.
"""

import argparse

from experiment_jax.commands import command_line
from experiment_jax.commands.modes import SWEEP, mode_of
from experiment_jax.config.places import place
from experiment_jax.runs import directory


def read() -> argparse.Namespace:
    """The command line, checked as far as no image is read and no device looked at; see `UserError`."""
    flags = _parser().parse_args()
    mode = mode_of(flags)
    if "workdir" in mode.needs and mode is not SWEEP:
        directory.read_config(place(flags.workdir, "--workdir"))
    return flags


def _parser() -> command_line.Parser:
    parser = command_line.Parser(__doc__)
    _add_things(parser)
    _add_measures(parser)
    return parser


def _add_things(parser: command_line.Parser) -> None:
    """What it works on, and what else it does with that."""
    parser.add_argument("--workdir", help="the run's directory")
    parser.add_argument("--step", type=int, help="a checkpoint of the last stage; by default what the run ended with")
    parser.add_argument("--data", metavar="PATH", help="where the run's data set lies now, if it was moved")
    parser.add_argument("--sweep", action="store_true", help="evaluate the members of the sweep in DIR")
    parser.add_argument("--by", metavar="METRIC[,…]", help="with --sweep: says which is best (fd_gen); plots all")
    parser.add_argument(
        "--images",
        help="in place of a run: an .npz of images (and labels), or a folder of image files",
    )
    parser.add_argument("--config", help="without a run: the config whose data set, judge and protocol count")
    parser.add_argument(
        "--compare", nargs="+", metavar="DIR", help="runs, and samples as --images takes them, on one page"
    )
    parser.add_argument("--out", metavar="DIR", help="with --compare: where its page and tables go (compare)")
    parser.add_argument("--input", metavar="PATH", help="in place of measuring: a PNG or JPEG to enlarge")
    parser.add_argument("--output", metavar="PATH", help="with --input: the PNG or JPEG to write")
    parser.add_argument(
        "--report",
        action="store_true",
        help="also write report.html: curves, pictures, latents and metrics on one page",
    )
    parser.add_argument(
        "--save_samples", type=command_line.count, metavar="N", help="also write N samples (uint8) and labels as .npz"
    )
    parser.add_argument(
        "--export",
        metavar="FILE",
        help="write the run's sampler, for programs that have jax alone; .safetensors: its parameters by name",
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
