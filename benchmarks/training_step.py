"""A training step of every stage, next to the same network, loss, batch and optimiser in PyTorch.

    python benchmarks/training_step.py [--only representation] [--compile] [--rounds 5]

The settings of `configs/lsdm_fashion_mnist.py` and its variants, and of `configs/regene_fashion_mnist.py`, on random
28×28 images: what a step costs does not depend on them. Our side is the compiled step of training, with the gather of
its batch and its metrics. `--compile` adds torch.compile, which needs a C++ compiler (and minutes). Where PyTorch sees
a GPU both sides compute in bfloat16 (autocast; `compute="bfloat16"`, which matching has not), else in float32.
"""

import argparse
import os
import shutil

import cases
import our_steps  # of this folder
import table
import torch
import torch_steps
from clock import milliseconds
from machine import machine

from experiment_jax.devices import cpu

SIZES = cases.FASHION
CASES = {name: case for name, case in cases.of_fashion_mnist().items() if name != "sharpening"}  # which has no twin


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

    data = our_steps.dataset(SIZES)
    print(f"{machine()}, torch {torch.__version__}, {'bfloat16' if gpu else 'float32'}\n")
    table.head("stage", "eager / ours", "compiled / ours", "ours, ms a step", "eager, ms", "compiled, ms")
    for name in flags.only:
        case, compute = CASES[name], "bfloat16" if gpu and CASES[name].stage != "matching" else "float32"
        if compute == "bfloat16":
            case = case._replace(settings={**case.settings, f"{case.stage}.compute": compute})
        own = our_steps.ours(case, data)
        rivals = [torch_steps.theirs(name, data, SIZES, compute)(compiler) for compiler in compilers]
        times = milliseconds([own.dispatch, *rivals], flags.rounds, at_least=0.2)
        times[0] /= own.steps
        ratios = [f"{time / times[0]:.2f}" for time in times[1:]] + ["–"] * (2 - len(rivals))
        spent = [f"{time:.1f}" for time in times] + ["–"] * (2 - len(rivals))
        print(f"| {name} | {' | '.join(ratios)} | {' | '.join(spent)} |", flush=True)
    if len(compilers) == 1:
        print("\nWithout torch.compile: " + ("no C++ compiler here" if flags.compile else "add --compile"))


if __name__ == "__main__":
    main()
