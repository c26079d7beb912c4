"""A training step of every stage, next to the same network, loss, batch and optimiser in PyTorch.

    python benchmarks/training_step.py [--only representation] [--compile] [--rounds 5]

The settings of `configs/lsdm_fashion_mnist.py` and its variants, and of `configs/regene_fashion_mnist.py`, on random
28×28 images: what a step costs does not depend on them. Our side is the compiled step of training, with the gather of
its batch and its metrics. `--compile` adds torch.compile, which needs a C++ compiler (and minutes). Where PyTorch sees
a GPU both sides compute in bfloat16 (autocast; `compute="bfloat16"`, which matching has not), else in float32.
"""

import argparse
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping

import jax
import numpy as np
import table  # of this folder
import torch
import torch_steps  # of this folder
from clock import milliseconds
from machine import machine

from experiment_jax import load_config
from experiment_jax.data.split import Dataset, Split
from experiment_jax.devices import cpu
from experiment_jax.devices.mesh import Devices
from experiment_jax.method.build import build
from experiment_jax.training.step import Steps
from lsdm_jax import sections

IMAGES = 5120
LSDM, REGENE = "configs/lsdm_fashion_mnist.py", "configs/regene_fashion_mnist.py"
CASES = {  # of each stage: config, stage, settings that differ
    "representation": (LSDM, "representation", {"representation.perceptual": 0.0}),
    "representation, perceptual": (LSDM, "representation", {}),
    "critic": (LSDM, "matching", {}),
    "sinkhorn": (LSDM, "matching", sections.SINKHORN),
    "flow": (LSDM, "matching", sections.FLOW),
    "score": (LSDM, "matching", sections.SCORE),
    "regene: classifier": (REGENE, "classifier", {}),
    "regene: decoder": (REGENE, "decoder", {}),
}


def dataset() -> Dataset:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (IMAGES, 28, 28, 1), dtype=np.uint8)
    labels = (np.arange(IMAGES) % torch_steps.CLASSES).astype(np.int32)
    names = tuple(str(label) for label in range(torch_steps.CLASSES))
    return Dataset("random", names, Split(images, labels), Split(images[:100], labels[:100]))


def ours(config: str, name: str, settings: Mapping[str, object], data: Dataset) -> tuple[Callable[[], object], int]:
    """A dispatch of the stage, and how many steps it takes; the stages before it are untrained."""
    config = load_config(config, {f"{name}.steps": 100_000, **settings})
    devices, upstream = Devices.of(jax.devices()[:1]), {}
    for task in build(config, data):
        if task.name == name:
            break
        state = task.initial(task.key, upstream)
        upstream[task.name] = jax.tree.map(np.asarray, task.stage.finish(state, task.view, upstream))
    steps = Steps(task, upstream, devices)
    held = [steps.start(), 0]

    def dispatch() -> object:
        held[0], metrics = steps(*held)
        held[1] += task.schedule.dispatch
        return metrics

    return dispatch, task.schedule.dispatch


def theirs(name: str, data: Dataset) -> Callable[[Callable], Callable[[], object]]:
    """`compiled -> step`, of the same sizes."""
    images, labels = torch.tensor(data.train.images).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.train.labels)
    images, labels = images.to(torch.get_default_device()), labels.long().to(torch.get_default_device())

    def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(count, 64), torch.arange(torch_steps.CLASSES).repeat_interleave(count // torch_steps.CLASSES)

    return {
        "representation": lambda: torch_steps.representation(images, 128, 0.0),
        "representation, perceptual": lambda: torch_steps.representation(images, 128, 3.0),
        "critic": lambda: torch_steps.critic(*pairs(250)),
        "sinkhorn": lambda: torch_steps.sinkhorn(*pairs(640), epsilon=5.0),
        "flow": lambda: torch_steps.flow(*pairs(2560), epsilon=0.3, thinning=4),
        "score": lambda: torch_steps.score(*pairs(500)),
        "regene: classifier": lambda: torch_steps.classifier(images, labels, 128),
        "regene: decoder": lambda: torch_steps.decoder(images, torch.randn(len(images), 128), 128),
    }[name]()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES), metavar="STAGE")
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    cpu.keep_freed_pages()  # as train.py does; PyTorch gains by it too
    cpu.convolve_on_all_cores()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    gpu = torch.cuda.is_available()
    torch.set_default_device("cuda" if gpu else "cpu")
    compilers = [lambda function: function]
    if flags.compile and (gpu or shutil.which("g++") or shutil.which("clang++")):
        compilers.append(torch.compile)

    data = dataset()
    print(f"{machine()}, torch {torch.__version__}, {'bfloat16' if gpu else 'float32'}\n")
    table.head("stage", "eager / ours", "compiled / ours", "ours, ms a step", "eager, ms", "compiled, ms")
    for name in flags.only:
        config, stage, settings = CASES[name]
        dispatch, steps = ours(
            config, stage, settings | ({f"{stage}.compute": "bfloat16"} if gpu and stage != "matching" else {}), data
        )
        with torch.autocast("cuda", torch.bfloat16) if gpu else contextlib.nullcontext():
            rivals = [theirs(name, data)(compiler) for compiler in compilers]
            times = milliseconds([dispatch, *rivals], flags.rounds, at_least=0.2)
        times[0] /= steps
        ratios = [f"{time / times[0]:.2f}" for time in times[1:]] + ["–"] * (2 - len(rivals))
        spent = [f"{time:.1f}" for time in times] + ["–"] * (2 - len(rivals))
        print(f"| {name} | {' | '.join(ratios)} | {' | '.join(spent)} |", flush=True)
    if len(compilers) == 1:
        print("\nWithout torch.compile: " + ("no C++ compiler here" if flags.compile else "add --compile"))


if __name__ == "__main__":
    main()
