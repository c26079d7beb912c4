"""FID's Inception: parity with torch-fidelity's on random weights, the resizing, and what is said of wrong files.

What torch-fidelity computed is in inception.npz, written by benchmarks/inception_parity.py, which compares more cases.
"""

import hashlib
import logging
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from experiment_jax.networks.pretrained import inception

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
import inception_cases as cases

STORED = np.load(Path(__file__).parent / "inception.npz")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The weights of the cases, as safetensors."""
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    save_file(cases.weights(inception.shapes()), path)
    return str(path)


@pytest.fixture(scope="module")
def params(file):
    return jax.device_put(inception.load(file)[0])


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (64, 1), (299, 3)])
def test_features_are_those_of_torch_fidelity(side, channels, params, strict):
    found = np.asarray(jax.jit(inception.features)(params, cases.images(side, side, channels)))
    expected = STORED[f"features_{side}_{channels}"]
    assert found.shape == (2, inception.FEATURES) and found.dtype == np.float32
    # float32 sums of 50 layers agree to 6e-6 of the mean feature; the two images are 0.04 of it apart and more.
    assert np.max(np.abs(found[:, :: cases.STORED] - expected)) < 1e-4 * np.mean(expected)
    assert np.mean(np.abs(expected[0] - expected[1])) > 0.04 * np.mean(expected)


@pytest.mark.parametrize("shape", cases.RESIZED)
def test_resizing_is_that_of_torch_fidelity(shape, strict):
    expected = STORED["resized_{}_{}_{}".format(*shape)]
    images = cases.images(*shape)
    found = np.asarray(jax.jit(inception.resize)(images))[0, cases.ROWS, cases.COLUMNS]
    assert np.max(np.abs(found - expected)) < 1e-5 * 255
    # The usual bilinear resizing, by pixels' centres, is another one: the comparison would notice.
    if shape[:2] != (inception.SIZE, inception.SIZE):
        other = jax.image.resize(images[0].astype(np.float32), (299, 299, shape[2]), "bilinear", antialias=False)
        assert np.max(np.abs(np.asarray(other)[cases.ROWS, cases.COLUMNS] - expected)) > 1


def test_resizing_interpolates_between_pixels_from_the_upper_left_and_stops_at_the_last():
    image = np.array([[0, 30], [60, 90]], np.uint8)[None, :, :, None]
    found = np.asarray(inception.resize(image, size=4))  # pixels at 0, ½, 1 and 1½ of the source
    rows = np.array([0, 30, 60, 60])[:, None] + np.array([0, 15, 30, 30])
    np.testing.assert_array_equal(found[0], np.repeat(rows[:, :, None], 3, axis=2))
    same = np.arange(2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
    np.testing.assert_array_equal(inception.resize(same, size=4), same)


def test_a_batch_norm_is_folded_into_its_convolution(params):
    tensors, name = cases.weights(inception.shapes()), "Mixed_6b.branch7x7_2"
    pixels = np.random.default_rng(0).normal(size=(5, 7, 128)).astype(np.float32)  # windows of 1×7
    scale = tensors[f"{name}.bn.weight"] / np.sqrt(tensors[f"{name}.bn.running_var"] + 1e-3)
    convolved = np.einsum("nwi,oihw->no", pixels, tensors[f"{name}.conv.weight"])
    expected = (convolved - tensors[f"{name}.bn.running_mean"]) * scale + tensors[f"{name}.bn.bias"]
    layer = params["Mixed_6b"]["branch7x7_2"]
    found = np.einsum("nwi,hwio->no", pixels, layer["kernel"]) + layer["bias"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_scaled_images_and_other_channels_are_refused(params, refused):
    with pytest.raises(ValueError, match="uint8, not float32"):
        inception.features(params, jnp.zeros((1, 8, 8, 3)))
    assert "not 4 channels" in refused(inception.features, params, jnp.zeros((1, 8, 8, 4), jnp.uint8))


def test_a_file_is_known_by_its_hash(file, monkeypatch, caplog):
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    with caplog.at_level(logging.WARNING):
        assert inception.load(file)[1] == digest[:12]
        assert digest in caplog.text and "6726825d0af5" in caplog.text
        caplog.clear()
        monkeypatch.setattr(inception, "SHA256", digest)
        inception.load(file)
    assert not caplog.text


def test_a_file_of_other_weights_is_refused_with_the_first_tensor_named(tmp_path, refused):
    shapes = inception.shapes()
    first = next(iter(shapes))
    wrong = {
        f"{first} is absent": shapes.keys() - {first, "Mixed_7c.branch_pool.bn.bias"},
        "fc.weight is (1000, 2048), that of FID's Inception (1008, 2048)": shapes.keys(),  # torchvision's has 1,000
    }
    for message, names in wrong.items():
        tensors = {name: np.zeros(shapes[name], np.float16) for name in names}
        save_file(tensors | {"fc.weight": np.zeros((1000, 2048), np.float16)}, tmp_path / "other.safetensors")
        found = refused(inception.load, str(tmp_path / "other.safetensors"))
        assert found.startswith("--inception_weights ") and message in found


def test_a_missing_or_broken_file_is_refused(tmp_path, refused):
    assert "there is no such file; docs/fid.md says where" in refused(inception.load, "nowhere.pth")
    (tmp_path / "text.safetensors").write_text("not weights")
    assert "is not a safetensors file" in refused(inception.load, str(tmp_path / "text.safetensors"))


def test_without_pytorch_a_pth_file_is_refused_with_what_to_type(tmp_path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    (tmp_path / "weights.pth").write_bytes(b"")
    assert "type pip install torch, or convert it" in refused(inception.load, str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pth_file_gives_the_same_parameters_and_runs_no_code(legacy, params, tmp_path, refused):
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install -r requirements-bench.txt")
    path, options = str(tmp_path / "weights.pth"), dict(_use_new_zipfile_serialization=not legacy)
    tensors = {name: torch.tensor(each) for name, each in cases.weights(inception.shapes()).items()}
    torch.save(tensors, path, **options)
    jax.tree.map(np.testing.assert_array_equal, inception.load(path)[0], params)
    for other in (Path("anything"), [1, 2]):  # an object of any class; and a list
        torch.save(other, path, **options)
        assert "is not a state dict" in refused(inception.load, path)
    Path(path).write_text("not weights")
    assert "is not a state dict" in refused(inception.load, path)
