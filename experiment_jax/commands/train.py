"""What `train.py` does; its flags are in `commands.train_flags`."""

import sys

from experiment_jax.commands.command_line import spelled
from experiment_jax.commands.process import prepared
from experiment_jax.commands.train_flags import Typed
from experiment_jax.devices import failures, processes
from experiment_jax.sweep.members import command_lines, define
from experiment_jax.sweep.train import train_members, train_together
from experiment_jax.training.train import train


@prepared()
def main(typed: Typed) -> int | None:
    """The command; returns its exit status, None for 0."""
    if typed.process:
        processes.join(*typed.process)
    failures.check_found()
    return _train_several(typed) if typed.several else _train_one(typed)


def _train_one(typed: Typed) -> None:
    workdir = typed.flags.workdir
    train(typed.config, workdir)
    if processes.several() and not processes.is_first():
        return
    print(f"finished: {workdir}; look at it with: {spelled('eval')} --workdir {workdir}", file=sys.stderr)


def _train_several(typed: Typed) -> int | None:
    flags = typed.flags
    members = flags.sweep or flags.seeds is None  # --seeds alone: of the config itself
    sweep = define(flags.config, typed.overrides, flags.workdir, seeds=flags.seeds, members=members)
    if flags.sweep_list:
        print("\n".join(command_lines(sweep, [arg for arg in sys.argv if arg != "--sweep_list"])))
        return None
    failed = train_together(sweep) if flags.sweep_together else train_members(sweep, flags.sweep_index)
    advice = f"look at them with: {spelled('eval')} --workdir {flags.workdir} --sweep"
    print(f"{len(failed)} failed ({', '.join(failed)}); {advice}" if failed else f"finished; {advice}", file=sys.stderr)
    return 1 if failed else None
