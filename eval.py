"""Evaluates a run: python eval.py --workdir DIR [--step N] [--num_samples N]. The last line is the metrics, as JSON."""

import json

from experiment_jax import command_line


def main() -> None:
    parser = command_line.Parser(__doc__)
    parser.add_argument("--workdir", required=True, help="the run's directory")
    parser.add_argument("--step", type=int, help="a checkpoint of the last stage; by default what the run ended with")
    parser.add_argument("--num_samples", type=int, help="by default the config's evaluation.num_samples")
    parser.add_argument("--save_samples", type=int, metavar="N", help="also write N samples (uint8) and labels as .npz")
    flags = parser.parse_args()

    from experiment_jax import load_run
    from experiment_jax.evaluation import save_samples

    run = load_run(flags.workdir, flags.step)
    metrics = run.evaluate(num_samples=flags.num_samples)
    if flags.save_samples:
        save_samples(run, flags.save_samples)
    print(json.dumps(metrics))


if __name__ == "__main__":
    command_line.run(main)
