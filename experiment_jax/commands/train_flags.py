"""Trains a config: python train.py --config configs/NAME.py[:VARIANT] [--config.a.b=VALUE ...] --workdir DIR

With --sweep or --seeds it trains several runs, each in a directory of its own under DIR. With --distributed, or with
--coordinator, --num_processes and --process_index, it is one of several processes that train one run together.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import NamedTuple

from ml_collections import ConfigDict

from experiment_jax.commands import command_line
from experiment_jax.config.load import load as load_config
from experiment_jax.config.load import split_overrides
from experiment_jax.data.names import members, missing
from experiment_jax.errors import UserError
from experiment_jax.runs import directory


class Typed(NamedTuple):
    """What was typed.

    Attributes:
        flags: all but the overrides.
        overrides: what `--config.a.b=VALUE` sets, by dotted key.
        config: the config with these.
        several: whether runs of a sweep, or of several seeds, are trained.
        process: HOST:PORT, number and index of one of several processes, None where the cluster says them; None: it is
            the only one.
    """

    flags: argparse.Namespace
    overrides: Mapping[str, str]
    config: ConfigDict
    several: bool
    process: tuple[str | None, int | None, int | None] | None


def read() -> Typed:
    """The command line, checked as far as no image is read and no device looked at; see `UserError`."""
    arguments, overrides = split_overrides(sys.argv[1:])
    flags = _parser().parse_args(arguments)
    several = bool(
        flags.sweep or flags.seeds or flags.sweep_list or flags.sweep_index is not None or flags.sweep_together
    )
    named = flags.coordinator, flags.num_processes, flags.process_index
    process = named if flags.distributed or any(value is not None for value in named) else None
    if process and several:
        raise UserError("--sweep and --seeds: several processes train one run; leave --distributed out")
    if flags.sweep_together and flags.sweep_index is not None:
        raise UserError("--sweep_index: trains one member, --sweep_together all; leave one of them out")
    config = load_config(flags.config, overrides)
    if not several and process is None:  # of several processes the first says it to all
        directory.check(flags.workdir, config)
        if nothing := next(filter(None, map(missing, members(config.data.name))), ""):
            raise UserError(nothing)
    return Typed(flags, overrides, config, several, process)


def _parser() -> command_line.Parser:
    parser = command_line.Parser(__doc__)
    parser.add_argument("--config", required=True, help="a config file and, after a colon, one of its variants")
    parser.add_argument("--workdir", required=True, help="the run's directory; an interrupted run goes on from there")
    parser.add_argument(
        "--sweep", action="store_true", help="train each member of the config's sweep(), finished ones left alone"
    )
    parser.add_argument(
        "--seeds", type=command_line.count, metavar="K", help="train each member, or the config, with K seeds"
    )
    parser.add_argument("--sweep_list", action="store_true", help="print one command line a member, and train nothing")
    parser.add_argument(
        "--sweep_index", type=int, metavar="I", help="train member I only, counted from 0, as in a cluster's array job"
    )
    parser.add_argument(
        "--sweep_together",
        action="store_true",
        help="train members that differ in seeds and weights alone in one program",
    )
    parser.add_argument(
        "--distributed", action="store_true", help="one of several processes, as SLURM or a TPU pod has started them"
    )
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="one of several processes: where process 0 listens")
    parser.add_argument("--num_processes", type=command_line.count, metavar="N", help="how many there are")
    parser.add_argument("--process_index", type=int, metavar="I", help="which of them this is, counted from 0")
    return parser
