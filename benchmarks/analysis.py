"""What one training step of every stage costs, by XLA's count, and the time that it takes at least on two accelerators.

    python benchmarks/analysis.py [--only sinkhorn flow] [--batch 512] [--compute bfloat16] [--tiny]
    python benchmarks/analysis.py --devices 1 2 4 --parallel pmap [--only sinkhorn]

The stages of `configs/lsdm_cifar10.py` and `configs/regene_cifar10.py` on 32×32 images in colour. Nothing is trained:
the stages before are as they begin, and the step is compiled only. The table of images is left out, as there are but a
hundred. Batches in which classes have equally many rows are the next larger that ten classes and `thinning` share.
What the counts leave out: `experiment_jax/training/cost.py`.

With `--devices`, which are virtual ones of this machine's CPU, the counts are those of one of them, and the second
table says what it receives in collectives. All-reduce counts its array once, whatever the algorithm.
"""

import argparse
import math
import os
import re
import time
from collections.abc import Iterator

import jax
import numpy as np
import our_steps  # of this folder
import table
from machine import machine
from ml_collections import ConfigDict

from experiment_jax import load_config
from experiment_jax.data.split import Dataset, Split
from experiment_jax.devices import cpu, pmap
from experiment_jax.devices.mesh import Devices, Program
from experiment_jax.method.build import Task
from experiment_jax.training import analysis, cost
from experiment_jax.training.step import Steps
from lsdm_jax import sections

CLASSES = 10
LSDM, REGENE = "configs/lsdm_cifar10.py", "configs/regene_cifar10.py"
FEATURES, LATENTS = ("perceptual", "representation"), ("representation",)
FLOW = {"matching.matcher": "flow", "matching.flow.thinning": 4, "matching.flow.epsilon": 0.3}
CASES = {  # config, stages up to the one that is analysed, settings that differ
    "perceptual": (LSDM, FEATURES[:1], {}),
    "representation, plain": (LSDM, LATENTS, {}),
    "representation": (LSDM, FEATURES, {}),
    "sharpening": (LSDM, (*FEATURES, "sharpening"), {}),
    "critic": (LSDM, (*LATENTS, "matching"), {}),
    "sinkhorn": (LSDM, (*LATENTS, "matching"), {"matching.matcher": "sinkhorn"}),
    "sinkhorn, joint": (LSDM, (*LATENTS, "matching"), {"matching.matcher": "sinkhorn", "matching.beta": 10.0}),
    "flow": (LSDM, (*LATENTS, "matching"), FLOW),
    "score": (LSDM, (*LATENTS, "matching"), {"matching.matcher": "score"}),
    "energy": (LSDM, (*LATENTS, "matching"), {"matching.matcher": "energy", "matching.draws": 2}),
    "vae": (LSDM, (*LATENTS, "matching"), {"matching.matcher": "vae", "matching.generator": "dense"}),
    "labeller": (LSDM, (*LATENTS, "labeller"), {}),
    "regression": (LSDM, (*LATENTS, "degradation", "regression"), {}),
    "regene: classifier": (REGENE, ("classifier",), {}),
    "regene: decoder": (REGENE, ("classifier", "perceptual", "decoder"), {}),
}
TINY = {
    LSDM: {
        "perceptual.widths": (4,),
        "representation.widths": (4, 4),
        "representation.latent_shape": (2, 2, 2),
        "representation.blocks": 0,
        "sharpening.adversary.widths": (4,),
        "matching.width": 8,
        "matching.depth": 1,
        "matching.critic.width": 8,
        "matching.critic.depth": 1,
        "labeller.widths": (4,),
        "regression.widths": (4, 4),
        "regression.latent_shape": (2, 2, 2),
        "regression.width": 8,
    },
    REGENE: {"classifier.widths": (4, 4), "classifier.latent_size": 8, "decoder.widths": (4,), "decoder.blocks": 0},
}


def dataset(side: int) -> Dataset:
    """Random images, ten a class, the labels of half of them known."""
    count = 10 * CLASSES
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int32) % CLASSES
    train = Split(images, np.where(np.arange(count) < count // 2, labels, -1).astype(np.int32))
    return Dataset("random", tuple(map(str, range(CLASSES))), train, Split(images[:50], labels[:50]))


def config_of(name: str, batch: int, compute: str, tiny: bool) -> ConfigDict:
    """The config whose last stage is the one of that name, with batches as the module says."""
    path, stages, settings = CASES[name]
    config = load_config(path)
    with config.unlocked():
        if path == LSDM:
            config.labeller, config.degradation = sections.labeller(), sections.degradation()
            latent = dict(latent_shape=(8, 8, 8), widths=(128, 256))
            config.regression = sections.regression(**latent, width=384, depth=8)
        config.update_from_flattened_dict({**(TINY[path] if tiny else {}), **settings, "stages": stages})
        if path == LSDM and "perceptual" not in stages:
            config.representation.perceptual = 0.0
        for stage in stages:
            if "compute" in config[stage]:
                config[stage].compute = compute
        last = config[stages[-1]]
        shared = CLASSES * (last.flow.thinning if last.get("matcher") == "flow" else 1)
        by_class = stages[-1] == "matching" and last.beta == math.inf
        last.batch_size = math.ceil(batch / shared) * shared if by_class else batch
        if stages[-1] == "labeller":
            last.pairs = CLASSES * max(1, batch // 100)
    return config


def received(text: str) -> dict[str, int]:
    """Bytes of the results of the collectives in the text of a compiled HLO module, by kind; loops count one round."""
    kinds, found = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute", {}
    for types, kind, rest in re.findall(rf"= (.*?) ({kinds})(?:-start)?\((.*)", text):
        arrays = re.findall(r"\b(?:bf|f|s|u|pred)(\d*)\[([\d,]*)\]", types)
        sizes = [math.prod(map(int, filter(None, shape.split(",")))) * (int(bits or 8) // 8) for bits, shape in arrays]
        name = f"{kind} a round" if "/while/body" in rest else kind
        found[name] = found.get(name, 0) + sum(sizes)
    return found


def lowered(name: str, flags: argparse.Namespace, devices: Devices, known: our_steps.Known) -> tuple[Task, Program]:
    """The task of a case, and its step."""
    config = config_of(name, flags.batch, flags.compute, flags.tiny)
    stages = our_steps.stages(config, dataset(8 if flags.tiny else 32), known, devices.axis)
    task, upstream = next(pair for pair in stages if pair[0].name == config.stages[-1])
    return task, Steps(task, upstream, devices).lower()


def sizes_of(counted: cost.Cost) -> tuple[str, ...]:
    """FLOPs, bytes moved and bytes held, as the tables show them."""
    sizes = (counted.flops, "FLOP"), (counted.bytes, "B"), (counted.peak, "B")
    return tuple(analysis.scaled(*each) for each in sizes)


def row(name: str, task: Task, counted: cost.Cost) -> str:
    """A line of the first table."""
    bounds = [cost.roofline(counted, each) for each in cost.MACHINES if each.precision != "float32"]
    times = [f"{analysis.milliseconds(each.arithmetic)} / {analysis.milliseconds(each.memory)}" for each in bounds]
    sizes = sizes_of(counted)
    intensity = "unknown" if counted.intensity is None else f"{counted.intensity:.3g}"
    lengths = ", ".join("?" if length is None else str(length) for length in sorted(set(counted.loops), key=str))
    loops = f"{len(counted.loops)} ({lengths})" if counted.loops else ""
    return f"| {name} | {task.section.batch_size} | {' | '.join([*sizes, intensity, *times, loops])} |"


def by_devices(name: str, flags: argparse.Namespace, known: our_steps.Known) -> Iterator[str]:
    """Lines of the second table: one step on each number of devices."""
    for number in flags.devices:
        task, step = lowered(name, flags, pmap.choose(flags.parallel, jax.devices()[:number]), known)
        counted, found = cost.of(step), received(step.lowered.compile().as_text())
        sent = ", ".join(f"{kind} {analysis.scaled(size, 'B')}" for kind, size in sorted(found.items()))
        sizes = sizes_of(counted)
        yield f"| {name} | {task.section.batch_size} | {number} | {' | '.join(sizes)} | {sent or 'nothing'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES), metavar="STAGE")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--compute", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--tiny", action="store_true", help="networks and images as small as they get")
    parser.add_argument(
        "--devices", type=int, nargs="+", help="virtual devices of the CPU, in place of the first table"
    )
    parser.add_argument("--parallel", default="jit", choices=["jit", "pmap"])
    flags = parser.parse_args()
    if flags.devices:
        more = f"--xla_force_host_platform_device_count={max(flags.devices)}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {more}".strip()
    cpu.convolve_on_all_cores()
    known: our_steps.Known = {}
    start = time.perf_counter()
    print(f"{machine()}; {flags.compute}{f', {flags.parallel}' if flags.devices else ''}\n")
    if flags.devices:
        table.head("stage", "batch", "devices", "FLOPs of each", "read and written", "held", "received by each")
        for name in flags.only:
            for line in by_devices(name, flags, known):
                print(line, flush=True)
    else:
        peaks = [f"{each.name}, {each.precision}" for each in cost.MACHINES if each.precision != "float32"]
        table.head("stage", "batch", "FLOPs", "read and written", "held", "FLOP a byte", *peaks, "loops")
        for name in flags.only:
            task, step = lowered(name, flags, pmap.choose("jit", jax.devices()[:1]), known)
            print(row(name, task, cost.of(step)), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
