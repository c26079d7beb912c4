"""How a step of matching grows: with the batch, the number of classes, the size of the latents, and devices.

    python benchmarks/growth.py [--matcher sinkhorn] [--devices 1 2 4 8] [--joint 1280 5120]

The matcher's own update on random latents, one thing changed at a time from 640 points of 10 classes in 64 dimensions.
Each row is timed in turn with the base. Devices are virtual ones that share this machine's cores, so their rows show
what sharding costs and no gain; each runs in a process of its own (`--xla_force_host_platform_device_count`).
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

import jax
import numpy as np
from clock import milliseconds  # of this folder
from machine import machine

from experiment_jax.devices.mesh import Devices
from experiment_jax.method.stage import Context, Model
from lsdm_jax import sections
from lsdm_jax.matchers import MATCHERS
from lsdm_jax.matchers.matcher import Term

BASE = {"batch": 640, "classes": 10, "latent": 64}
GROWN = {"batch": (160, 640, 2560, 5120), "classes": (1, 2, 10, 32, 128), "latent": (8, 64, 256)}


def step(
    matcher: str, batch: int, classes: int, latent: int, devices: int = 1, beta: float = float("inf")
) -> Callable[[], object]:
    """The matcher's update, its batch over so many devices."""
    config = sections.matching(matcher=matcher, batch_size=batch, beta=beta, steps=1000)
    counts = np.full(classes, batch // classes)
    context = Context("matching", (28, 28, 1), classes, counts / counts.sum(), counts, 1000, Model(latent_size=latent))
    own = MATCHERS[matcher](config, context)
    places = Devices.of(jax.devices()[:devices])
    everywhere, apart = places.everywhere, places.shared()
    latents = np.random.default_rng(0).standard_normal((batch, latent), dtype=np.float32)
    labels = np.repeat(np.arange(classes, dtype=np.int32), batch // classes)
    latents, labels = jax.device_put((latents, labels), apart)
    state = jax.device_put(own.init(jax.random.key(0), latents, labels), everywhere)

    def of(state: object, latents: jax.Array, labels: jax.Array, key: jax.Array) -> object:
        return own.update(state, [Term(latents, labels, beta)], key)

    update = jax.jit(of, out_shardings=(everywhere, everywhere))
    return lambda: update(state, latents, labels, jax.random.key(1))


def row(matcher: str, name: str, size: int) -> str:
    """One thing changed, and the base."""
    base, time = milliseconds([step(matcher, **BASE), step(matcher, **BASE | {name: size})], at_least=0.2)
    return f"| {name} | {size} | {time / base:.2f} | {time:.1f} | {base:.1f} |"


def joint(matcher: str, batch: int) -> str:
    """One problem of all classes, β = 10, and one a class."""
    sizes = BASE | {"batch": batch}
    base, time = milliseconds([step(matcher, **sizes), step(matcher, **sizes, beta=10.0)], at_least=0.2)
    return f"| joint, batch | {batch} | {time / base:.2f} | {time:.1f} | {base:.1f} |"


def on_devices(matcher: str, count: int) -> str:
    """The same in a process that has `count` virtual devices."""
    flag = f"--xla_force_host_platform_device_count={count}"
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "--matcher", matcher, "--only_devices", str(count)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matcher", default="sinkhorn", choices=["critic", "sinkhorn", "flow", "score"])
    parser.add_argument(
        "--only", nargs="*", default=list(GROWN), choices=list(GROWN), metavar="NAME", help="what grows"
    )
    parser.add_argument("--devices", type=int, nargs="*", default=[1, 2, 4, 8], help="virtual, each a process")
    parser.add_argument("--joint", type=int, nargs="*", default=[1280, 5120], help="batches of joint problems")
    parser.add_argument("--only_devices", type=int, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.only_devices:
        print(row(flags.matcher, "devices", flags.only_devices))
        return
    print(f"`{flags.matcher}`, {', '.join(f'{name} {size}' for name, size in BASE.items())}; {machine()}\n")
    print("| what grows | to | time / base | ms a step | base, ms |\n|---|---|---|---|---|")
    for name in flags.only:
        for size in GROWN[name]:
            print(row(flags.matcher, name, size), flush=True)
    for batch in flags.joint:
        print(joint(flags.matcher, batch), flush=True)
    for count in flags.devices:
        print(on_devices(flags.matcher, count), flush=True)


if __name__ == "__main__":
    main()
