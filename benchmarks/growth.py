"""How a step of matching grows: with the batch, the number of classes, the size of the latents, and devices.

    python benchmarks/growth.py [--matcher sinkhorn] [--devices 1 2 4 8]

The matcher's own update on random latents, one thing changed at a time from 640 points of 10 classes in 64 dimensions.
Devices are virtual ones that share this machine's cores, so their rows show what sharding costs and no gain; each row
of theirs runs in a process of its own (`--xla_force_host_platform_device_count`).
"""

import argparse
import os
import subprocess
import sys

import jax
import numpy as np
from clock import milliseconds  # of this folder
from machine import machine
from ml_collections import ConfigDict

from experiment_jax import config as configs
from experiment_jax import parallel
from experiment_jax.stage import Context, Model
from lsdm_jax import sections
from lsdm_jax.matching import MATCHERS

BASE = {"batch": 640, "classes": 10, "latent": 64}
GROWN = {"batch": (160, 320, 640, 1280, 2560), "classes": (1, 2, 5, 10, 20, 40), "latent": (8, 16, 64, 256)}


def step(matcher: str, batch: int, classes: int, latent: int, devices: int) -> float:
    """ms a step."""
    config = ConfigDict(sections.matching(matcher=matcher, batch_size=batch, steps=1000))
    shares = np.full(classes, 1 / classes, np.float32)
    context = Context("matching", (28, 28, 1), classes, shares, 1000, Model(latent_size=latent))
    own = configs.resolve(MATCHERS[matcher])(config, context)
    mesh = parallel.mesh(jax.devices()[:devices])
    everywhere, apart = parallel.replicated(mesh), parallel.sharded(mesh)
    latents = np.random.default_rng(0).standard_normal((batch, latent), dtype=np.float32)
    labels = np.repeat(np.arange(classes, dtype=np.int32), batch // classes)
    latents, labels = jax.device_put((latents, labels), apart)
    state = jax.device_put(own.init(jax.random.key(0), latents, labels), everywhere)
    update = jax.jit(own.update, out_shardings=(everywhere, everywhere))
    return milliseconds([lambda: update(state, latents, labels, jax.random.key(1))], at_least=0.2)[0]


def on_devices(matcher: str, count: int) -> float:
    """The same in a process that has `count` virtual devices."""
    flag = f"--xla_force_host_platform_device_count={count}"
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "--matcher", matcher, "--only_devices", str(count)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matcher", default="sinkhorn", choices=["critic", "sinkhorn", "flow", "score"])
    parser.add_argument("--devices", type=int, nargs="*", default=[1, 2, 4, 8], help="virtual, each a process")
    parser.add_argument("--only_devices", type=int, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.only_devices:
        print(step(flags.matcher, **BASE, devices=flags.only_devices))
        return
    base = step(flags.matcher, **BASE, devices=1)
    print(f"`{flags.matcher}`, {', '.join(f'{name} {size}' for name, size in BASE.items())}; {machine()}\n")
    print("| what grows | to | time / base | ms a step |\n|---|---|---|---|")
    for name, sizes in GROWN.items():
        for size in sizes:
            time = step(flags.matcher, **BASE | {name: size}, devices=1)
            print(f"| {name} | {size} | {time / base:.2f} | {time:.1f} |", flush=True)
    for count in flags.devices:
        time = on_devices(flags.matcher, count)
        print(f"| virtual devices | {count} | {time / base:.2f} | {time:.1f} |", flush=True)


if __name__ == "__main__":
    main()
