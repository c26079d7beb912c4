"""Folders of images as data sets: the digits written as one are the digits; what is no such folder is one line."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiment_jax import load_config, train
from experiment_jax.config.sections import experiment
from experiment_jax.data import load
from experiment_jax.data.lazy_images import Images
from experiment_jax.data.split import UNPAIRED, view
from experiment_jax.runs.verified import digest

PAIRED = 100
MODES = ("L", "RGB", "P", "I;16", "RGBA", "LA")


def settings(name, **own):
    section = experiment("test", str(name), stages=()).data
    section.update(own)
    return section


def read(name, split="train", **own):
    return load.read(settings(name, **own), split)


def of_mode(image, mode):
    """An image uint8 `[height, width]` as Pillow's of a mode, showing the same."""
    if mode == "I;16":
        return Image.fromarray(image.astype(np.uint16) * 257)
    if mode == "P":
        indexed = Image.fromarray(255 - image).convert("P")
        indexed.putpalette(bytes(np.repeat(np.arange(256, dtype=np.uint8)[::-1], 3)))
        return indexed
    return Image.fromarray(image).convert(mode)


def write(folder, split, ending=".png", first=0, modes=MODES):
    """Writes images into folders of their labels, those without one into `unlabelled`, in several modes."""
    for number, (image, label) in enumerate(zip(split.images[..., 0], split.labels, strict=True), first):
        own = folder / ("unlabelled" if label == UNPAIRED else str(label))
        own.mkdir(parents=True, exist_ok=True)
        of_mode(image, modes[number % len(modes)]).save(own / f"{number:04}{ending}")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """(embedded digits with the labels of 100 images, their test images, both as a folder)."""
    folder = tmp_path_factory.mktemp("folder") / "handwritten"
    few = load.load(settings("digits", paired=PAIRED), 0)
    test = read("digits", "test")[0]
    write(folder / "train", few.train)
    write(folder / "test", test)
    return few, test, folder


@pytest.mark.parametrize("resident", ["true", "false"])
def test_digits_as_a_folder_in_several_modes_are_the_digits(resident, digits):
    few, test, folder = digits
    found = load.load(settings(folder, channels=1, resident=resident), 0)
    assert isinstance(found.train.images, Images) == (resident == "false")
    assert found.class_names == few.class_names and found.train.labels.dtype == np.int32
    np.testing.assert_array_equal(found.train.images, few.train.images)
    np.testing.assert_array_equal(found.train.labels, few.train.labels)
    for name in ("all", "paired", "mixed"):
        np.testing.assert_array_equal(view(found, name).images, view(few, name).images)
    there = read(folder, "test", channels=1, resident=resident)[0]
    np.testing.assert_array_equal(there.images, test.images)
    np.testing.assert_array_equal(there.labels, test.labels)


def test_a_training_on_the_folder_ends_in_the_same_bits(digits, tiny, one, tmp_path):
    here = train(tiny(data__paired=PAIRED, data__validation=0), tmp_path / "embedded", one)
    there = train(tiny(data__name=str(digits[2]), data__channels=1, data__validation=0), tmp_path / "folder", one)
    assert {name: digest(frozen) for name, frozen in there.items()} == {name: digest(here[name]) for name in here}


def test_as_jpeg_it_trains(digits, tiny, one, tmp_path):
    write(tmp_path / "jpeg", digits[0].train.take(np.arange(400)), ".jpg", modes=("L", "RGB"))
    frozen = train(tiny(data__name=str(tmp_path / "jpeg"), data__channels=1, data__validation=0), tmp_path / "run", one)
    assert frozen.keys() == {"representation", "matching"}


@pytest.fixture(scope="module")
def plain(digits, tmp_path_factory):
    """A folder of 300 digits, all with a label, without a split."""
    folder = tmp_path_factory.mktemp("plain") / "plain"
    write(folder, read("digits")[0].take(np.arange(300)), modes=("L",))
    return folder


def rows(*splits):
    return sorted(image.tobytes() for split in splits for image in split.images)


def test_a_share_by_content_is_test_and_stays_so_whatever_is_added_or_renamed(plain, tmp_path):
    train_images, test_images = (read(plain, split, test=0.2)[0] for split in ("train", "test"))
    assert 30 < len(test_images) < 90 and len(train_images) + len(test_images) == 300
    folder = Path(shutil.copytree(plain, tmp_path / "more"))
    write(folder, read("digits")[0].take(np.arange(300, 500)), first=300, modes=("L",))
    (folder / "unlabelled").mkdir()
    for number, path in enumerate(sorted(folder.glob("3/*"))):
        path.rename(folder / ("unlabelled" if number % 2 else "4") / f"renamed{number}.png")
    (folder / "3").rmdir()
    more_train, more_test = (read(folder, split, test=0.2)[0] for split in ("train", "test"))
    assert set(rows(test_images)) <= set(rows(more_test)) and set(rows(train_images)) <= set(rows(more_train))
    assert not set(rows(more_train)) & set(rows(more_test))
    assert set(rows(more_test)) < set(rows(read(folder, "test", test=0.3)[0]))  # a larger share holds a smaller one


def test_without_test_images_a_folder_says_what_to_type(plain, refused):
    assert len(read(plain)[0]) == 300
    message = refused(read, plain, "test")
    assert "has no split test; it has train; train with --config.data.test=0.1" in message
    for share in (0.0, 1.0, -0.1, 7.0):
        assert "is a share of the images" in refused(read, plain, test=share)
    assert "leaves 0 images of plain in test" in refused(read, plain, "test", test=1e-9)


def test_a_share_is_not_used_where_there_are_test_images(digits, caplog):
    caplog.set_level("INFO")
    assert len(read(digits[2], "test", channels=1, test=0.5)[0]) == 450
    assert "handwritten has test images of its own: data.test=0.5 is not used" in caplog.text


def test_an_image_that_is_given_a_label_keeps_its_place(plain, tmp_path):
    folder = Path(shutil.copytree(plain, tmp_path / "set"))
    whole, names = read(plain)
    assert names == tuple("0123456789")
    (folder / "unlabelled").mkdir()
    (moved,) = folder.glob("*/0017.png")
    moved.rename(folder / "unlabelled" / "0017.png")
    found = read(folder)[0]
    np.testing.assert_array_equal(found.images, whole.images)
    np.testing.assert_array_equal(found.labels, [-1 if i == 17 else whole.labels[i] for i in range(300)])


def test_unlabelled_images_beside_train_are_of_train(digits, tmp_path):
    few, _, folder = digits
    for name in ("train", "test"):
        shutil.copytree(folder / name, tmp_path / "set" / name)
    (tmp_path / "set" / "train" / "unlabelled").rename(tmp_path / "set" / "unlabelled")
    np.testing.assert_array_equal(read(tmp_path / "set", channels=1)[0].labels, few.train.labels)
    assert (read(tmp_path / "set", "test", channels=1)[0].labels >= 0).all()


def test_classes_that_are_numbers_are_in_their_order_and_others_in_that_of_words(tmp_path):
    for names, order in ((("10", "9", "1"), ("1", "9", "10")), (("b", "10", "9"), ("10", "9", "b"))):
        folder = tmp_path / order[-1]
        for number, name in enumerate(names):
            (folder / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(np.full((4, 4), 10 * number + i, np.uint8)).save(folder / name / f"{number}{i}.png")
        assert read(folder)[1] == order


def test_files_alone_are_one_class_and_folders_are_joined_as_any_sets(tmp_path):
    for name, count in (("cats", 3), ("dogs", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.fromarray(np.full((5, 5), number, np.uint8)).save(tmp_path / name / f"{number}.png")
    found, names = read(tmp_path / "cats")
    assert names == ("cats",) and found.labels.tolist() == [0, 0, 0]
    both, names = read(f"{tmp_path / 'cats'}+{tmp_path / 'dogs'}")
    assert names == ("cats", "dogs") and both.labels.tolist() == [0, 0, 0, 1, 1]


def test_colours_become_grey_and_grey_colours(plain, tmp_path, refused):
    generator = np.random.default_rng(0)
    shown = generator.integers(0, 256, (4, 6, 6, 3), np.uint8)
    (tmp_path / "set" / "a").mkdir(parents=True)
    for number, image in enumerate(shown):
        Image.fromarray(image).save(tmp_path / "set" / "a" / f"{number}.png")
    assert read(tmp_path / "set")[0].images.shape == (4, 6, 6, 3)
    luma = shown @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(read(tmp_path / "set", channels=1)[0].images[..., 0], luma, atol=0.51)
    grey, colours = read(plain)[0].images, read(plain, channels=3)[0].images
    np.testing.assert_array_equal(colours, np.repeat(grey, 3, axis=-1))
    assert read("digits", channels=3)[0].images.shape[-1] == 3
    assert "data.channels=2: type --config.data.channels=1 for grey" in refused(read, plain, channels=2)


def empty_class(folder):
    (folder / "empty").mkdir()


def one_image(folder):
    for path in sorted(folder.glob("*/*"))[1:]:
        path.unlink()
    for path in folder.iterdir():
        if not any(path.iterdir()):
            path.rmdir()


def corrupt(folder):
    path = min(folder.glob("3/*"))
    path.write_bytes(path.read_bytes()[:-20])


def sizes(folder):
    Image.new("L", (9, 7)).save(folder / "3" / "x.png")


def colours(folder):
    Image.new("RGB", (8, 8), (255, 0, 0)).save(folder / "3" / "x.png")


def see_through(folder):
    Image.new("RGBA", (8, 8), (255, 0, 0, 7)).save(folder / "3" / "x.png")


def nested(folder):
    (folder / "train" / "cats").mkdir(parents=True)


def validation(folder):
    shutil.rmtree(folder)
    for name in ("train", "val"):
        (folder / name / "cats").mkdir(parents=True)


def only_test(folder):
    shutil.rmtree(folder)
    (folder / "test" / "cats").mkdir(parents=True)


def new_class(folder):
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    for name in ("train", "test"):
        shutil.copytree(folder.with_name("copy"), folder / name)
    (folder / "test" / "3").rename(folder / "test" / "dog")


BAD = {
    "an empty class": (empty_class, "plain/empty: is a class without an image; put some into it, or remove it"),
    "one image": (one_image, "has 1 image in train; give 2 or more"),
    "a corrupt file": (corrupt, ".png: cannot be read ("),
    "mixed sizes": (sizes, "it has 8x8x1 and 7x9x1; type --config.data.size=7"),
    "mixed colours": (colours, "has images in colours and grey ones; type --config.data.channels=3, or 1"),
    "see-through images": (see_through, "3/x.png: 64 of 64 pixels are transparent"),
    "an empty folder": (lambda folder: (shutil.rmtree(folder), folder.mkdir()), "plain: holds no image; put images"),
    "unlabelled alone": (
        lambda folder: (shutil.rmtree(folder), (folder / "unlabelled").mkdir(parents=True)),
        "holds unlabelled and no folder of a class",
    ),
    "files beside classes": (lambda folder: sizes(folder) or (folder / "3" / "x.png").rename(folder / "x.png"),
                             "plain/x.png: lies beside the folder 0; move it into a class, or away"),
    "other files": (lambda folder: (folder / "3" / "notes.txt").write_text("x"), "3/notes.txt: is no PNG, JPEG"),
    "train beside classes": (nested, "plain: holds train and 0; give train, test and unlabelled alone"),
    "another split": (validation, "plain: holds train and val; give train, test and unlabelled alone"),
    "test alone": (only_test, "plain: holds test and no folder train; give train"),
    "capitals": (lambda folder: (folder / "Test").mkdir(), "plain/Test: call it test, or otherwise"),
    "a class of test alone": (new_class, "plain/test/dog: is a class that train does not have; move it away"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_such_folder_is_one_line_and_nothing_is_written(case, plain, script, tmp_path):
    damage, reason = BAD[case]
    damage(folder := Path(shutil.copytree(plain, tmp_path / "plain")))
    arguments = ["--config.data.name", folder, "--config.data.validation=0", "--workdir", tmp_path / "run"]
    status, output, error = script("train.py", "--config", "configs/lsdm_digits.py:smoke", *arguments)
    assert (status, output) == (2, "") and not (tmp_path / "run").exists()
    assert len(error.splitlines()) == 1 and error.startswith(f"train.py: data.name={folder}: ") and reason in error


def test_a_file_in_place_of_a_folder_is_refused(plain, tmp_path, refused):
    with tarfile.open(tmp_path / "plain.tar.gz", "w:gz") as archive:
        archive.add(plain)
    shutil.make_archive(str(tmp_path / "plain"), "zip", plain)
    for name in ("plain.tar.gz", "plain.zip"):
        assert refused(read, tmp_path / name).endswith("is an archive; unpack it, and give the folder")
    (tmp_path / "list.csv").write_text("a,b")
    assert "is a file; give a folder of images" in refused(read, tmp_path / "list.csv")
    assert "there is no such folder or file" in refused(read, tmp_path / "nowhere")
    assert "the classes of a folder of images are its folders" in refused(read, plain, label="colour")
    assert "data.name=: the recipe is for any set" in refused(read, "")
    tiny = Path(__file__).parent / "tiny_digits"
    assert f"holds a prepared set; type --config.data.name={tiny / '1.0.0'}" in refused(read, tiny)


def test_what_may_not_be_read_is_named(plain, tmp_path, refused, monkeypatch):
    """By a system that refuses, since whoever may do everything is refused nothing."""
    folder = Path(shutil.copytree(plain, tmp_path / "plain"))

    def denied(self):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        assert "cannot be read (Permission denied); make it readable" in refused(read, folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", denied)
        assert f"{folder}: cannot be listed (Permission denied); make it readable" in refused(read, folder)


def test_a_share_that_leaves_a_class_without_training_images_is_refused(plain, tmp_path, refused):
    folder = Path(shutil.copytree(plain, tmp_path / "plain"))
    test = {image.tobytes() for image in read(folder, "test", test=0.2)[0].images}
    for path in folder.glob("3/*"):
        with Image.open(path) as image:
            if np.asarray(image).tobytes() not in test:
                path.unlink()
    assert any(folder.glob("3/*"))
    message = refused(read, shutil.move(folder, tmp_path / "other"), test=0.2)
    assert "data.test=0.2: leaves the class 3 no image in train" in message


def test_a_word_is_a_prepared_set_before_it_is_a_folder_here(plain, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(Path(__file__).parent))
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "tiny_digits", "mine"):
        shutil.copytree(plain, tmp_path / name)
    names = {name: load_config("lsdm_digits", {"data.name": name}).data.name for name in ("digits", "tiny_digits")}
    assert names == {"digits": "digits", "tiny_digits": "tiny_digits"}
    assert len(read("digits")[0]) == 1347 and len(read("tiny_digits")[0]) == 60
    assert load_config("lsdm_digits", {"data.name": "mine"}).data.name == str(tmp_path / "mine")
    assert load.title(str(tmp_path / "2024")) == "2024"  # no version of a set
