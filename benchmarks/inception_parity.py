"""Parity of FID's Inception with torch-fidelity's on random weights: the table of docs/fid.md.

    pip install --no-deps torch-fidelity    # and torch; torchvision is not needed
    python benchmarks/inception_parity.py [--write FILE]

`--write` stores what torch-fidelity computes, for the tests: tests/networks/pretrained/inception.npz.
"""

import argparse
import importlib.util
import sys
import tempfile
import types
from collections.abc import Callable

import inception_cases as cases
import jax
import jax.numpy as jnp
import numpy as np
import torch
from clock import milliseconds
from machine import machine
from safetensors.numpy import save_file
from table import head

from experiment_jax.devices import cpu
from experiment_jax.networks.pretrained import inception
from experiment_jax.networks.pretrained.inception_network import Inception


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", help="where to store what torch-fidelity computes")
    write = parser.parse_args().write
    cpu.convolve_on_all_cores()
    cpu.keep_freed_pages()
    theirs, resized, params = both_sides()
    ours = jax.jit(inception.features)
    stored = compare_features(lambda images: ours(params, images), params, theirs)
    stored |= compare_resizing(resized)
    time_both(lambda images: ours(params, images), theirs)
    if write:
        np.savez(write, **stored)


def both_sides() -> tuple[Callable, Callable, dict]:
    """torch-fidelity's features and resizing, of images uint8 and on the host, and our parameters from the same file.

    All three kinds of file must give the same parameters: PyTorch's in both its formats, and safetensors.
    """
    package = types.ModuleType("torch_fidelity")  # its own __init__ would ask for torchvision
    package.__path__ = importlib.util.find_spec("torch_fidelity").submodule_search_locations
    sys.modules["torch_fidelity"] = package
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    tensors = cases.weights(inception.shapes() | {"fc.bias": (1008,)})
    state = {name: torch.tensor(each) for name, each in tensors.items()}
    for name in [name for name in state if name.endswith("running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}" for name in ("zip.pth", "legacy.pth", "converted.safetensors")]
        torch.save(state, paths[0])
        torch.save(state, paths[1], _use_new_zipfile_serialization=False)
        save_file(tensors, paths[2])
        network = FeatureExtractorInceptionV3("inception", ["2048"], paths[0])
        params, *others = (inception.load(path)[0] for path in paths)
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, params, other)

    def features(images: np.ndarray) -> np.ndarray:
        return network(torch.tensor(np.broadcast_to(images, (*images.shape[:3], 3)).transpose(0, 3, 1, 2)))[0].numpy()

    def resized(images: np.ndarray) -> np.ndarray:
        maps = torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32)
        sizes = (inception.SIZE, inception.SIZE)
        return interpolate_bilinear_2d_like_tensorflow1x(maps, sizes, align_corners=False).numpy().transpose(0, 2, 3, 1)

    return features, resized, jax.device_put(params)


def compare_features(ours: Callable, params: dict, theirs: Callable) -> dict[str, np.ndarray]:
    """Prints a row a case; returns what the tests compare with."""
    centred = jax.jit(lambda images: by_centres(params, images))
    stored = {}
    columns = "ours − torch-fidelity's, largest", "between two images, mean", "pytorch-fid's input − ours, mean"
    head("images", "mean feature", *columns)
    for side in cases.SIDES:
        for channels in cases.CHANNELS:
            images = cases.images(side, side, channels)
            found, expected = np.asarray(ours(images)), theirs(images)
            mean = np.mean(expected)
            error = np.max(np.abs(found - expected)) / mean
            apart = np.mean(np.abs(expected[0] - expected[1])) / mean
            other = np.mean(np.abs(np.asarray(centred(images)) - found)) / mean
            print(f"| {side}×{side}×{channels} | {mean:.2f} | {error:.1e} | {apart:.3f} | {other:.1e} |", flush=True)
            stored[f"features_{side}_{channels}"] = expected[:, :: cases.STORED]
    print("Absolute differences of features, the largest or their mean, over the mean feature.\n")
    return stored


def by_centres(params: dict, images: jax.Array) -> jax.Array:
    """Features of images that are resized and scaled as pytorch-fid does: pixels' centres aligned, x / 127.5 − 1."""
    shape = (len(images), inception.SIZE, inception.SIZE, 3)
    colour = jnp.broadcast_to(images, (*images.shape[:3], 3)).astype(jnp.float32)
    x = jax.image.resize(colour, shape, "bilinear", antialias=False)
    return Inception().apply({"params": params}, x / 127.5 - 1.0)


def compare_resizing(theirs: Callable) -> dict[str, np.ndarray]:
    """Prints the largest difference of the resizing alone, of pixels in [0, 1]; returns what the tests compare with."""
    stored, errors, ours = {}, [], jax.jit(inception.resize)
    for shape in cases.RESIZED:
        images = cases.images(*shape)
        expected = theirs(images)
        errors.append(np.max(np.abs(np.asarray(ours(images)) - expected)) / 255)
        stored["resized_{}_{}_{}".format(*shape)] = expected[0, cases.ROWS, cases.COLUMNS]
    print(f"Resizing alone, {len(errors)} shapes: {max(errors):.1e} of the range of pixels.\n")
    return stored


def time_both(ours: Callable, theirs: Callable) -> None:
    """Prints milliseconds an image, in turn."""
    images = np.tile(cases.images(32, 32, 3), (inception.BATCH // 2, 1, 1, 1))
    times = milliseconds((lambda: theirs(images), lambda: ours(images)), rounds=3) / len(images)
    head("batch of 32×32×3", "torch-fidelity / ours", "ours, ms an image", "torch-fidelity, ms")
    print(f"| {len(images)} | {times[0] / times[1]:.2f} | {times[1]:.0f} | {times[0]:.0f} |\n\n{machine()}.")


if __name__ == "__main__":
    main()
