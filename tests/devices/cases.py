"""Stages whose training on several devices is compared with that on one; also for processes of their own."""

import functools

import jax
import numpy as np
import optax

from experiment_jax.config.sections import experiment, sharpening
from experiment_jax.data.load import load
from experiment_jax.devices import pmap
from experiment_jax.devices.mesh import Devices
from experiment_jax.method.build import build
from experiment_jax.training.step import Steps
from lsdm_jax import sections as lsdm
from regene_jax import sections as regene

STEPS = 20
NETWORK = dict(widths=(4,), latent_size=3)
SINKHORN = dict(matcher="sinkhorn", width=8, depth=1, noise_size=2, sinkhorn=dict(epsilon=1.0, max_iterations=20))


LABELLER = dict(batch_size=48, pairs=20, widths=(4,), dropout=0.0, threshold=0.0)
POSTERIOR = dict(batch_size=80, labels="posterior", beta=3.0, pairs=dict(weight=0.5, batch_size=40))


def recipe(**sections):
    """A config of digits, mirrored half of the time, with stages of `STEPS` steps of 16 images."""
    config = experiment("test", "digits", stages=tuple(sections))
    config.data.flips = True
    for name, (section, settings) in sections.items():
        config[name] = section(**{"batch_size": 16, "steps": STEPS, **settings})
    return config


# What is random for each row or taken over the batch: noise of the latents and their scale; the law of all latents;
# BatchNorm's statistics; latents that were computed once, and noise on them; two networks and the error of one;
# transport of the global batch; changes of images without a label, of which the first rows are none; classes drawn from
# probabilities, and two terms.
CASES = {
    "autoencoder": recipe(representation=(lsdm.representation, NETWORK | dict(autoencoder=dict(noise=0.3)))),
    "wae": recipe(representation=(lsdm.representation, NETWORK | dict(kind="wae"))),
    "batchnorm": recipe(classifier=(regene.classifier, NETWORK)),
    "decoder": recipe(classifier=(regene.classifier, NETWORK), decoder=(regene.decoder, dict(widths=(4,), noise=0.3))),
    "sharpening": recipe(
        perceptual=(lsdm.perceptual, dict(widths=(4,))),
        representation=(lsdm.representation, NETWORK),
        sharpening=(sharpening, dict(adversary=dict(widths=(4,)))),
    ),
    "sinkhorn": recipe(
        representation=(lsdm.representation, NETWORK), matching=(lsdm.matching, SINKHORN | dict(batch_size=80))
    ),
    "labeller": recipe(
        representation=(lsdm.representation, NETWORK), labeller=(lsdm.labeller, LABELLER | dict(strong=dict(noise=0.1)))
    ),
    "posterior": recipe(
        representation=(lsdm.representation, NETWORK),
        labeller=(lsdm.labeller, LABELLER),
        matching=(lsdm.matching, SINKHORN | POSTERIOR),
    ),
}


@functools.cache
def outcome(case, parallel, count):
    """The gradient of a case's last stage at the first step, and its losses; the stages before it are untrained."""
    config, devices = CASES[case], pmap.choose(parallel, jax.devices()[:count])
    tasks, upstream = build(config, load(config.data, config.seed), devices.axis), {}
    for task in tasks[:-1]:
        state = Steps(task, upstream, Devices.of(jax.local_devices()[:1])).start()
        upstream[task.name] = jax.tree.map(np.asarray, task.stage.finish(state, task.view, upstream))
    steps = Steps(tasks[-1], upstream, devices)
    state, losses, gradient = steps.start(), [], None
    for step in range(STEPS):
        state, metrics = steps(state, step)
        if gradient is None:
            # Of each Adam: (1 − b1) times the gradient.
            moment = [found for _, found in optax.tree.get_all_with_path(steps.local(state), "mu")]
            gradient = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(moment)])
        losses.append(float(steps.local(metrics)["loss"]))
    return gradient, np.asarray(losses)


def assert_close(case, parallel, count, found):
    """That an outcome is the one of one device, up to the order of sums."""
    (gradient, losses), (one, expected) = found, outcome(case, "jit", 1)
    assert np.linalg.norm(one) > 0 and len(set(expected)) == STEPS
    relative = np.linalg.norm(gradient - one) / np.linalg.norm(one)
    difference = np.abs(losses - expected).max()
    print(f"{case}, {parallel} on {count}: gradient {relative:.1e}, losses {difference:.1e}")  # pytest -s shows them
    assert relative < 1e-5 and difference < 1e-4
