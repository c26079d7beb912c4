"""A million convex combinations, next to the same in plain NumPy.

    python benchmarks/hull.py

n = 3 of 60,000 latents in 64 dimensions, 10 classes, random partners; uniform and Dirichlet(1) weights; compilation and
the derivation of the keys left out. JAX draws from a key a sample, NumPy from one generator. The last column: of the
bandwidth at which this device copies an array of the combinations' size, bytes written only.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from machine import machine  # of this folder

from regene_jax.combinations import Bank, Weights, build_bank, combine

MEMBERS, LATENT, CLASSES, N = 60_000, 64, 10, 3


def in_numpy(bank: Bank, weights: Weights, labels: np.ndarray, generator: np.random.Generator):
    """What `combine` computes, with whole arrays: latents float32 `[batch, latent]`."""
    counts, starts = bank.counts[labels], bank.starts[labels]
    positions = np.zeros((len(labels), 0), np.int64)
    for i in range(weights.n):
        drawn = generator.integers(0, counts - i)
        for earlier in np.sort(positions, axis=1).T:
            drawn = drawn + (drawn >= earlier)
        positions = np.column_stack([positions, drawn])
    if weights.kind == "dirichlet":
        theta = generator.dirichlet(np.ones(weights.n), len(labels)).astype(np.float32)
    else:
        theta = np.full((len(labels), weights.n), 1 / weights.n, np.float32)
    members = bank.latents[starts[:, None] + positions].astype(np.float32)
    return np.einsum("bn,bnd->bd", theta, members)


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The shortest of several runs: what the machine can do when others leave it alone."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return min(times)


def measured(count: int, repeats: int, members: int = MEMBERS) -> Iterator[tuple[str, float, float, float]]:
    """Of each kind of weights: its name, seconds of JAX, seconds of NumPy, and the share of the copy bandwidth.

    Args:
        count: combinations.
        repeats: runs, of which the shortest counts.
        members: latents that they are drawn from.

    Yields:
        First ("copy", seconds, NaN, 1) of an array of the result's size, then the weights.
    """
    generator = np.random.default_rng(0)
    latents = generator.standard_normal((members, LATENT)).astype(np.float16)
    bank = build_bank(latents, np.arange(members) % CLASSES, CLASSES)
    labels = np.arange(count, dtype=np.int32) % CLASSES
    on_device = jax.device_put((bank, jax.random.split(jax.random.key(0), count), jnp.asarray(labels)))
    compiled, copy = jax.jit(combine, static_argnums=1), jax.jit(lambda array: array + 1)
    written = jnp.zeros((count, LATENT), jnp.float32)
    jax.block_until_ready(copy(written))
    copied = seconds(lambda: copy(written), repeats)
    yield "copy", copied, float("nan"), 1.0
    for weights in (Weights(N), Weights(N, "dirichlet")):

        def ours(weights: Weights = weights) -> jax.Array:
            return compiled(on_device[0], weights, *on_device[1:])

        jax.block_until_ready(ours())
        fast = seconds(ours, repeats)
        plain = seconds(lambda weights=weights: in_numpy(bank, weights, labels, generator), repeats)
        yield weights.kind, fast, plain, copied / fast


def bandwidth(count: int, copied: float) -> float:
    """GB/s written, where an array of `count` combinations is copied in `copied` seconds."""
    return count * LATENT * 4 / copied / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="combinations")
    parser.add_argument("--repeats", type=int, default=5, help="runs, of which the shortest counts")
    flags = parser.parse_args()
    print(f"{flags.count:,} combinations, n = {N}, {LATENT} dimensions\n")
    rows = measured(flags.count, flags.repeats)
    print(f"copying writes {bandwidth(flags.count, next(rows)[1]):.1f} GB/s\n")
    print("| weights | NumPy / JAX | JAX, s | NumPy, s | of the copy bandwidth |\n|---|---|---|---|---|")
    for name, fast, plain, share in rows:
        print(f"| {name} | {plain / fast:.1f} | {fast:.2f} | {plain:.2f} | {share:.0%} |", flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
