"""The stages of GANs and autoencoders: who is trained when, what is drawn, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.method.stage import Context, Model
from rivals_jax import autoencoder, gan, sections

SHAPE, CLASSES, BATCH = (8, 4, 1), 3, 12
IMAGES = np.random.default_rng(0).uniform(-1.0, 1.0, (BATCH, *SHAPE)).astype(np.float32)
LABELS = np.arange(BATCH, dtype=np.int32) % CLASSES
SMALL = dict(widths=(4,), noise_size=5, features=6)


def context(name, shape=SHAPE):
    shares, counts = np.full(CLASSES, 1 / CLASSES, np.float32), np.full(CLASSES, 10)
    return Context(name, shape, CLASSES, shares, counts, 20, Model())


def gan_of(loss="ns_gan", shape=SHAPE, **own):
    return gan.stage(sections.gan(loss=loss, **{**SMALL, **own}), context("gan", shape))


def begun(stage, labels=False):
    batch = {"images": jnp.asarray(IMAGES)} | ({"labels": jnp.asarray(LABELS)} if labels else {})
    return batch, jax.jit(stage.init)(jax.random.key(0), batch, {})


def changed(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("loss", gan.LOSSES)
def test_a_step_trains_the_discriminator_as_often_as_is_said_and_then_the_generator(loss):
    stage = gan_of(loss, discriminator=dict(steps=3))
    batch, state = begun(stage)
    after, metrics = jax.jit(lambda state: stage.update(state, batch, jax.random.key(1), {}))(state)
    assert (int(after.generator.step), int(after.discriminator.step)) == (1, 3)
    assert changed(state.generator.params, after.generator.params)
    assert changed(state.discriminator.params, after.discriminator.params)
    assert {"loss", "discriminator_loss", "discriminator_gradient_norm"} <= metrics.keys()
    assert all(np.isfinite(value) for value in metrics.values())


def test_each_step_of_the_discriminator_sees_its_own_part_of_the_batch():
    stage = gan_of(discriminator=dict(steps=2))
    batch, state = begun(stage)

    def moved(images):
        state_, _ = stage.update(state, {"images": images}, jax.random.key(1), {})
        return state_.discriminator.params

    total = lambda images: sum(jnp.sum(leaf) for leaf in jax.tree.leaves(moved(images)))  # noqa: E731
    first = jax.jit(jax.grad(total))(batch["images"])
    rows = np.any(np.abs(first) > 0, axis=(1, 2, 3))
    assert rows.all()  # the even rows by the first step, the odd ones by the second


def test_began_carries_k_from_step_to_step():
    stage = gan_of("began", began=dict(gamma=0.5, rate=0.2), discriminator=dict(steps=1))
    batch, state = begun(stage)
    update, k = jax.jit(stage.update), 0.0
    for number in range(2):
        state, metrics = update(state, batch, jax.random.key(number), {})
        assert float(metrics["k"]) == pytest.approx(k, abs=1e-6)
        k += 0.2 * (0.5 * float(metrics["error_real"]) - float(metrics["error_fake"]))
        assert float(state.carried) == pytest.approx(k, abs=1e-6)


def sampled(stage, state, labels, keys=None):
    frozen = {"gan": stage.finish(state, None, {})}
    keys = jax.random.split(jax.random.key(7), len(labels)) if keys is None else keys
    return jax.jit(stage.provides["sample"])(frozen, keys, jnp.asarray(labels, jnp.int32))


def test_samples_are_images_that_depend_on_their_own_key_alone():
    stage = gan_of()
    _, state = begun(stage)
    keys = jax.random.split(jax.random.key(7), 5)
    all_of_them = sampled(stage, state, np.zeros(5), keys)
    assert all_of_them.images.shape == (5, *SHAPE) and np.abs(all_of_them.images).max() <= 1.0
    np.testing.assert_allclose(sampled(stage, state, np.zeros(2), keys[3:]).images, all_of_them.images[3:], atol=1e-6)
    assert np.abs(all_of_them.latents).max() <= 1.0 and all_of_them.latents.std() == pytest.approx(3**-0.5, rel=0.3)


def test_samples_heed_the_label_where_the_networks_do():
    for labels in (False, True):
        stage = gan_of(labels=labels, view="paired" if labels else "all")
        _, state = begun(stage, labels)
        keys = jnp.stack([jax.random.key(7)] * 2)
        one, other = sampled(stage, state, [0, 1], keys).images
        assert np.allclose(one, other) != labels
        assert stage.provides["conditional"] == labels


def test_with_labels_a_score_is_linear_and_a_projection_on_a_vector_of_the_class():
    stage = gan_of(labels=True, view="paired")
    _, state = begun(stage, labels=True)
    params, images = state.discriminator.params, 0.5 * (jnp.asarray(IMAGES[:3]) + 1.0)
    embedding = params["Embed_0"]["embedding"]
    h = stage.discriminator.network.apply({"params": params["network"]}, 2.0 * images - 1.0)
    for label in range(CLASSES):
        scores = stage._score(params, {}, images, labels=jnp.full(3, label))
        expected = h @ params["Dense_0"]["kernel"][:, 0] + params["Dense_0"]["bias"] + h @ embedding[label]
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_generated_image_has_a_gradient_of_its_own_alone_in_the_small_discriminator():
    stage = gan_of("wgan_gp")
    _, state = begun(stage)
    score = lambda images: stage._score(state.discriminator.params, {}, images, labels=None)  # noqa: E731
    jacobian = jax.jit(jax.jacobian(score))(jnp.asarray(IMAGES[:3]))
    for row in range(3):
        assert np.abs(np.delete(jacobian[row], row, axis=0)).max() == 0.0


@pytest.mark.parametrize("kind", autoencoder.KINDS)
@pytest.mark.parametrize("networks", ["small", "faithful"])
def test_every_autoencoder_reconstructs_images_of_the_shape_that_it_was_given(kind, networks):
    shape = (32, 32, 3) if networks == "faithful" else SHAPE
    section = sections.autoencoder(kind=kind, networks=networks, latent_size=3, widths=(4,))
    stage = autoencoder.stage(section, context("autoencoder", shape))
    images = jax.ShapeDtypeStruct((BATCH, *shape), jnp.float32)
    state = jax.eval_shape(lambda images: stage.init(jax.random.key(0), {"images": images}, {}), images)
    after, metrics = jax.eval_shape(
        lambda state, images: stage.update(state, {"images": images}, jax.random.key(0), {}), state, images
    )
    assert jax.tree.structure(after) == jax.tree.structure(state) and "loss" in metrics
    latent = jax.ShapeDtypeStruct((3,), jnp.float32)
    frozen = stage.Frozen(**stage.averaged(state), mean=latent, scale=jax.ShapeDtypeStruct((), jnp.float32))
    encode, decode = stage.provides["encode"], stage.provides["decode"]
    z = jax.eval_shape(lambda own, images: encode({"autoencoder": own}, images), frozen, images)
    assert z.shape == (BATCH, 3)
    assert jax.eval_shape(lambda own, z: decode({"autoencoder": own}, z), frozen, z).shape == images.shape


def test_every_layer_of_rae_sn_has_spectral_norm_one_in_both_networks():
    section = sections.autoencoder(kind="rae_sn", latent_size=3, widths=(4, 6))
    stage = autoencoder.stage(section, context("autoencoder"))
    batch, state = begun(stage)
    variables = {"params": state.params, **state.statistics}

    @jax.jit
    def used(variables):
        return stage.networks.apply(
            variables, batch["images"], mutable=["batch_stats"], method=lambda m, x: m.decode(m.encode(x))
        )[1]

    for _ in range(300):  # the estimate of a largest singular value converges as it is used
        variables = {"params": state.params, **used(variables)}
    layers = 0
    for network in ("encoder", "decoder"):
        for name, own in variables["batch_stats"][network].items():
            (sigma,) = (value for key, value in own.items() if key.endswith("kernel/sigma"))
            layer = name.removeprefix("SpectralNorm_")
            kernels = [
                leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state.params[network]) if leaf.ndim > 1
            ]
            largest = [np.linalg.svd(np.reshape(k, (-1, k.shape[-1])), compute_uv=False)[0] for k in kernels]
            assert np.min(np.abs(np.asarray(largest) / float(np.squeeze(sigma)) - 1.0)) < 1e-2, (network, layer)
            layers += 1
    assert layers == 3 + 4  # two levels and a dense layer; dense, and three convolutions


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (dict(loss="wgan"), "gan.loss=wgan: choose one of ns_gan, lsgan, wgan_gp, began"),
        (dict(networks="big"), "gan.networks=big: choose one of small, faithful"),
        (dict(loss="began", labels=True, view="paired"), "has no discriminator of labels"),
        (dict(labels=True), "gan.view=all: does not show labels; type --config.gan.view=paired"),
        (dict(wgan_gp=dict(penalty=-1.0)), "gan.wgan_gp.penalty=-1.0: give 0 or more"),
        (dict(discriminator=dict(steps=0)), "gan.discriminator.steps=0: give 1 or more"),
        (dict(batch_size=2, discriminator=dict(steps=5)), "type --config.gan.batch_size=320"),
        (dict(widths=(4, 4, 4, 4)), "cannot be halved 4 times"),
        (dict(noise_size=0), "gan.noise_size=0: give a positive number"),
    ],
)
def test_a_gan_that_cannot_be_trained_is_refused(own, message, refused):
    assert message in refused(gan.stage, sections.gan(**{**SMALL, **own}), context("gan"))


def test_an_autoencoder_that_cannot_be_trained_is_refused(refused):
    def attempt(shape=SHAPE, **own):
        return refused(autoencoder.stage, sections.autoencoder(**own), context("autoencoder", shape))

    assert "autoencoder.kind=rae: choose one of vae, " in attempt(kind="rae")
    assert "autoencoder.vae.kl=-1.0: give 0 or more" in attempt(vae=dict(kl=-1.0), widths=(4,))
    assert "cannot be halved 2 times" in attempt((9, 9, 1))
    assert "type --config.autoencoder.networks=small" in attempt((30, 30, 1), kind="lvpga", networks="faithful")
