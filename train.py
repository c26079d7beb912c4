"""Trains a config: python train.py --config configs/NAME.py[:VARIANT] [--config.a.b=VALUE ...] --workdir DIR"""

import sys

from experiment_jax import Stopped, command_line, load_config, train


def main() -> int | None:
    parser = command_line.Parser(__doc__)
    parser.add_argument("--config", required=True, help="a config file and, after a colon, one of its variants")
    parser.add_argument("--workdir", required=True, help="the run's directory; an interrupted run goes on from there")
    arguments, overrides = command_line.split_overrides(sys.argv[1:])
    flags = parser.parse_args(arguments)

    config = load_config(flags.config, overrides)
    try:
        train(config, flags.workdir)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    print(f"finished: {flags.workdir}; look at it with: python eval.py --workdir {flags.workdir}", file=sys.stderr)


if __name__ == "__main__":
    command_line.run(main)
