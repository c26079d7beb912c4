"""Trains a config: python train.py --config configs/NAME.py[:VARIANT] [--config.a.b=VALUE ...] --workdir DIR

With --sweep or --seeds it trains several runs, each in a directory of its own under DIR. With --distributed, or with
--coordinator, --num_processes and --process_index, it is one of several processes that train one run together.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import NoReturn

from experiment_jax.commands import command_line
from experiment_jax.config.load import load as load_config
from experiment_jax.config.load import split_overrides
from experiment_jax.devices import failures, processes
from experiment_jax.errors import UserError
from experiment_jax.sweep.members import command_lines, define
from experiment_jax.sweep.train import train_members, train_together
from experiment_jax.training.train import train


def main() -> int | None:
    """The command; returns its exit status, None for 0."""
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
    arguments, overrides = split_overrides(sys.argv[1:])
    flags = parser.parse_args(arguments)
    several = flags.sweep or flags.seeds or flags.sweep_list or flags.sweep_index is not None or flags.sweep_together
    named = flags.coordinator, flags.num_processes, flags.process_index
    if flags.distributed or any(value is not None for value in named):
        if several:
            raise UserError("--sweep and --seeds: several processes train one run; leave --distributed out")
        processes.join(*named)
    failures.check_found()
    return _train_several(flags, overrides) if several else _train_one(flags, overrides)


def _train_one(flags: argparse.Namespace, overrides: Mapping[str, str]) -> None:
    train(load_config(flags.config, overrides), flags.workdir)
    if processes.several() and not processes.is_first():
        return
    print(f"finished: {flags.workdir}; look at it with: python eval.py --workdir {flags.workdir}", file=sys.stderr)


def _train_several(flags: argparse.Namespace, overrides: Mapping[str, str]) -> int | None:
    members = flags.sweep or flags.seeds is None  # --seeds alone: of the config itself
    sweep = define(flags.config, overrides, flags.workdir, seeds=flags.seeds, members=members)
    if flags.sweep_list:
        print("\n".join(command_lines(sweep, [arg for arg in sys.argv if arg != "--sweep_list"])))
        return None
    if flags.sweep_together and flags.sweep_index is not None:
        raise UserError("--sweep_index: trains one member, --sweep_together all; leave one of them out")
    failed = train_together(sweep) if flags.sweep_together else train_members(sweep, flags.sweep_index)
    advice = f"look at them with: python eval.py --workdir {flags.workdir} --sweep"
    print(f"{len(failed)} failed ({', '.join(failed)}); {advice}" if failed else f"finished; {advice}", file=sys.stderr)
    return 1 if failed else None


def script() -> NoReturn:
    """`main` as the installed command `lsdm-jax-train`."""
    command_line.run(main)
