"""What `eval.py` does, one function a mode; its flags are in `commands.evaluate_flags`."""

import argparse
import json
import shlex
import sys

from experiment_jax.commands.command_line import spelled
from experiment_jax.commands.modes import (
    COMPARE,
    ENLARGE,
    EXPORT,
    IMAGES,
    KEEP_JUDGE,
    KEEP_REFERENCE,
    RUN,
    SWEEP,
    mode_of,
)
from experiment_jax.commands.process import prepared
from experiment_jax.comparison.compare import compare
from experiment_jax.config.load import load as load_config
from experiment_jax.devices import failures
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.evaluation.enlarge import enlarge
from experiment_jax.evaluation.evaluate import evaluate, evaluate_images
from experiment_jax.evaluation.files import read_images, save_samples
from experiment_jax.evaluation.kept_reference import keep_reference
from experiment_jax.evaluation.shown import summary
from experiment_jax.extractors.judges import keep as keep_judge
from experiment_jax.report.page import write as write_report
from experiment_jax.runs.export import export
from experiment_jax.runs.run import load_run
from experiment_jax.sweep.evaluate import evaluate as evaluate_sweep


@prepared()
def main(flags: argparse.Namespace) -> None:
    """The command."""
    failures.check_found()
    result = ACTS[mode_of(flags).title](flags)
    if result is not None:
        print(json.dumps(result))


def _evaluate(flags: argparse.Namespace) -> dict:
    run = load_run(flags.workdir, flags.step, data=flags.data)
    figures = flags.figures or ()
    if flags.figures == []:
        figures = run.config.evaluation.figures
        if not figures:
            raise UserError("--figures: the run's config names none; type --figures package.module:name")
    if flags.bound:
        method = run.config[run.config.stages[-1]].build.partition(".")[0]
        figures = (*figures, f"{method}.bound:figure")
    metrics = evaluate(run, figures=figures, **_options(flags))
    try:
        if flags.save_samples:
            save_samples(run, flags.save_samples, flags.protocol)
        if flags.report:
            print(f"the page: {write_report(run, metrics, _typed())}", file=sys.stderr)
    except Unwritable:
        print(json.dumps(metrics))
        raise
    print(summary(run, metrics), file=sys.stderr)
    return metrics


def _typed() -> str:
    """The command as it was typed."""
    return f"{spelled('eval')} {shlex.join(sys.argv[1:])}"


def _evaluate_sweep(flags: argparse.Namespace) -> dict:
    best = evaluate_sweep(flags.workdir, (flags.by or "fd_gen").split(","), **_options(flags))
    print(f"best by {best['by']}: {best['name']}; the table: {flags.workdir}/sweep.html", file=sys.stderr)
    return best


def _enlarge(flags: argparse.Namespace) -> None:
    enlarge(load_run(flags.workdir, flags.step, data=flags.data), flags.input, flags.output)
    print(f"written: {flags.output}", file=sys.stderr)


def _export(flags: argparse.Namespace) -> None:
    path = export(load_run(flags.workdir, flags.step, data=flags.data), flags.export)
    print(f"written: {path}, {path.stat().st_size / 1e6:.2f} MB", file=sys.stderr)


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
    keep_judge(load_run(flags.workdir, data=flags.data), flags.config, flags.save_judge)
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
    EXPORT.title: _export,
    KEEP_JUDGE.title: _keep_judge,
    KEEP_REFERENCE.title: _keep_reference,
    COMPARE.title: _compare,
    IMAGES.title: _judge_images,
}
