"""What image files show. The files are made of the digits' own test images, and what is read is compared with these."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from experiment_jax.config.sections import experiment
from experiment_jax.data import decoding, load
from experiment_jax.data.folders import listed
from experiment_jax.data.image_files import read, read_all
from experiment_jax.errors import UserError

WANTED = "the data set's images are 8x8"


@pytest.fixture(scope="module")
def digits():
    """40 test images, uint8 `[40, 8, 8]`."""
    return load.read(experiment("test", "digits", stages=()).data, "test")[0].images[:40, ..., 0]


@pytest.fixture(scope="module")
def colours(digits):
    """One image whose channels are three digits, uint8 `[8, 8, 3]`."""
    return np.stack(digits[:3], axis=-1)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(path, samples, colour, depth, *chunks):
    """A PNG written by hand, of unsigned `samples` `[height, width, channels]` of `depth` bits."""
    bits = (samples.astype(np.uint16)[..., None] >> np.arange(depth - 1, -1, -1, np.uint16)) & 1
    rows = np.packbits(bits.astype(np.uint8).reshape(len(samples), -1), axis=1)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    whole = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))


def palette(image):
    """An image `[height, width, 3]` of up to 256 colours by a palette, the darkest colour last."""
    colours, index = np.unique(image.reshape(-1, 3), axis=0, return_inverse=True)
    found = Image.fromarray((len(colours) - 1 - index).reshape(image.shape[:2]).astype(np.uint8)).convert("P")
    found.putpalette(colours[::-1].tobytes())
    return found


def saved(image, ending, mode=None, **options):
    def write(path, shown):
        made = image(shown)
        (made.convert(mode) if mode else made).save(path.with_suffix(ending), **options)

    return write


def deep(path, shown, colour, opacity=False):
    """16 bits, those of 8 and up to half a level more or less, which rounds to them."""
    noise = np.random.default_rng(0).integers(-128, 129, shown.shape)
    samples = np.clip(shown.astype(int) * 257 + noise, 0, 65535)
    png(path, np.concatenate([samples, np.full((*shown.shape[:2], 1), 65535)][: 1 + opacity], axis=-1), colour, 16)


def grey(image):
    return Image.fromarray(image[..., 0])


def rgb(image):
    return Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)))


LOSSLESS = {  # of images [height, width, 1]; each grey of digits has 17 levels
    "grey": saved(grey, ".png"),
    "grey as colours": saved(rgb, ".png"),
    "opaque grey": saved(grey, ".png", "LA"),
    "opaque colours": saved(rgb, ".png", "RGBA"),
    "palette": saved(lambda image: palette(np.asarray(rgb(image))), ".png"),
    "palette with opacity": saved(lambda image: palette(np.asarray(rgb(image))), ".png", transparency=bytes([255] * 9)),
    "a palette's transparent colour that no pixel has": saved(grey, ".png", "P", transparency=1),
    "a transparent grey that no pixel has": saved(grey, ".png", transparency=1),
    "GIF": saved(grey, ".gif"),
    "GIF with a palette": saved(lambda image: palette(np.asarray(rgb(image))), ".gif"),
    "GIF with a transparent colour that no pixel has": saved(grey, ".gif", transparency=1),
    "WebP": saved(grey, ".webp", lossless=True),
    "opaque WebP": saved(rgb, ".webp", "RGBA", lossless=True),
    "BMP": saved(grey, ".bmp"),
    "BMP of colours": saved(rgb, ".bmp"),
    "BMP with a palette": saved(lambda image: palette(np.asarray(rgb(image))), ".bmp"),
    "TIFF": saved(grey, ".tif"),
    "opaque TIFF of colours": saved(rgb, ".tif", "RGBA", compression="tiff_lzw"),
    "TIFF with a palette": saved(lambda image: palette(np.asarray(rgb(image))), ".tif"),
    "PPM": saved(grey, ".pgm"),
    "PPM of colours": saved(rgb, ".ppm"),
    "JPEG 2000": saved(grey, ".jp2"),
    "JPEG 2000 of colours": saved(rgb, ".jp2"),
    "16 bits of grey": lambda path, image: deep(path, image, 0),
    "16 bits of opaque grey": lambda path, image: deep(path, image, 4, opacity=True),
    "16 bits of colours": lambda path, image: deep(path, np.repeat(image, 3, axis=-1), 2),
    "16 bits of opaque colours": lambda path, image: deep(path, np.repeat(image, 3, axis=-1), 6, opacity=True),
    "a name that ends otherwise": lambda path, image: grey(image).save(path.with_suffix(".jpg"), "PNG"),
    "a gamma that is left as it is": lambda path, image: png(
        path, image, 0, 8, chunk(b"gAMA", struct.pack(">I", 100_000))
    ),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_what_files_show_is_the_images_that_they_were_made_of(kind, digits, tmp_path):
    for number, image in enumerate(digits):
        LOSSLESS[kind](tmp_path / f"{number:02}", image[..., None])
    shown = read_all(listed(tmp_path), (8, 8, 1), WANTED)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, digits[..., None])
    np.testing.assert_array_equal(read_all(listed(tmp_path), (8, 8, 3), WANTED), np.stack([digits] * 3, axis=-1))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_are_spread_over_all_levels(depth, digits, tmp_path):
    level = 255 // (2**depth - 1)
    samples = digits[0][..., None] // (256 >> depth)
    png(tmp_path / "few.png", samples, 0, depth)
    np.testing.assert_array_equal(read(tmp_path / "few.png"), samples * level)
    for key, transparent in ((samples.max(), True), (samples.max() - 1, (samples == samples.max() - 1).any())):
        png(tmp_path / "key.png", samples, 0, depth, chunk(b"tRNS", struct.pack(">H", key)))
        if transparent:
            with pytest.raises(UserError, match=f"{np.count_nonzero(samples == key)} of 64 pixels are transparent"):
                read(tmp_path / "key.png")
        else:
            np.testing.assert_array_equal(read(tmp_path / "key.png"), samples * level)


@pytest.mark.parametrize(
    "write",
    [
        saved(rgb, ".png"),
        saved(rgb, ".png", "RGBA"),
        saved(palette, ".png"),
        saved(palette, ".gif"),
        saved(rgb, ".webp", lossless=True),
        lambda path, image: deep(path, image, 2),
        lambda path, image: deep(path, image, 6, opacity=True),
    ],
)
def test_colours_are_read_and_refused_where_grey_is_wanted(write, colours, tmp_path, refused):
    write(tmp_path / "image", colours)
    files = listed(tmp_path)
    np.testing.assert_array_equal(read_all(files, (8, 8, 3), WANTED), colours[None])
    error = refused(read_all, files, (8, 8, 1), WANTED)
    assert error == f"{files[0]}: shows colours; the data set's images are grey: convert it to grey"


def ycck(path, image):
    """Pillow writes inks that Adobe's marker calls CMYK. Here they are what YCCK would be, and the marker says so."""
    opposite = np.asarray(Image.fromarray(255 - np.asarray(rgb(image))).convert("YCbCr"))
    inks = np.concatenate([255 - opposite, np.zeros((*image.shape[:2], 1), np.uint8)], axis=-1)
    Image.frombytes("CMYK", image.shape[1::-1], inks.tobytes()).save(path, "JPEG", quality=100)
    content = bytearray(path.read_bytes())
    marker = content.index(b"Adobe") + 11
    assert content[marker] == 0
    content[marker] = 2
    path.write_bytes(content)


LOSSY = {
    "JPEG": saved(grey, ".jpg", quality=100),
    "progressive JPEG": saved(grey, ".jpg", quality=100, progressive=True),
    "JPEG in colours": saved(rgb, ".jpg", quality=100, subsampling=0),
    "CMYK": saved(rgb, ".jpg", "CMYK", quality=100),
    "YCCK": ycck,
    "WebP": saved(grey, ".webp", quality=100),
}


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_files_are_read_as_near_as_they_are(kind, digits, tmp_path):
    """Pixels of 8x8, which a JPEG's blocks hold up to rounding; WebP is asked for 2% of the range."""
    images = np.kron(digits[:20], np.ones((8, 8), np.uint8))[..., None]
    for number, image in enumerate(images):
        LOSSY[kind](tmp_path / f"{number:02}", image)
    shown = read_all(listed(tmp_path), (64, 64, 1), WANTED)
    worst = np.abs(shown.astype(int) - images).max()
    assert worst <= (5 if kind == "WebP" else 1)


def test_inks_are_what_they_leave_of_white(tmp_path):
    inks = np.broadcast_to(np.array([255, 51, 0, 102], np.uint8), (16, 16, 4))
    Image.frombytes("CMYK", (16, 16), inks.tobytes()).save(tmp_path / "inks.jpg", quality=100)
    np.testing.assert_allclose(read(tmp_path / "inks.jpg"), np.broadcast_to([0, 122.4, 153], (16, 16, 3)), atol=2)


TAGS = {  # orientation: where the first row and the first column of the file belong
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("kind", ["PNG", "WebP", "16 bits", "JPEG"])
def test_images_are_turned_as_their_tags_say(tag, kind, colours, tmp_path):
    row, column = TAGS[tag]
    image = np.kron(colours[:, :5], np.ones((8, 8, 1), np.uint8))
    stored = image if row in ("top", "bottom") else image.swapaxes(0, 1)
    stored = stored[::-1] if row in ("bottom", "right") else stored
    stored = stored[:, ::-1] if column in ("bottom", "right") else stored
    tags = Image.Exif()
    tags[0x0112] = tag
    path = tmp_path / "turned"
    if kind == "16 bits":
        deep(path, stored, 2)
        content = path.read_bytes()
        path.write_bytes(content[:33] + chunk(b"eXIf", tags.tobytes().removeprefix(b"Exif\0\0")) + content[33:])
    else:
        options = dict(quality=100, subsampling=0) if kind == "JPEG" else dict(lossless=True)
        Image.fromarray(np.ascontiguousarray(stored)).save(path, kind, exif=tags, **options)
    shown = read(path, (64, 40), WANTED)
    assert np.abs(shown.astype(int) - image).max() <= (3 if kind == "JPEG" else 0)
    with pytest.raises(UserError, match="is 40x64 pixels; the data set's images are 8x8: resize it to that"):
        read(path, (40, 64), WANTED)


def veiled(image):
    """White that is not wholly opaque."""
    opacity = np.where(image == 255, np.uint8(254), np.uint8(255))
    return Image.fromarray(np.dstack([image, image, image, opacity]))


@pytest.mark.parametrize(
    "write",
    [
        lambda path, image: veiled(image).save(path, "PNG"),
        lambda path, image: veiled(image).save(path, "WEBP"),
        lambda path, image: veiled(image).convert("LA").save(path, "PNG"),
        lambda path, image: Image.fromarray(image).save(path, "PNG", transparency=255),
        lambda path, image: Image.fromarray(image).save(path, "GIF", transparency=255),
        lambda path, image: palette(np.dstack([image] * 3)).save(path, "PNG", transparency=bytes([128, *[255] * 9])),
        lambda path, image: Image.fromarray(np.dstack([image] * 3)).save(path, "PNG", transparency=(255, 255, 255)),
        lambda path, image: Image.fromarray(image * np.uint16(257)).save(path, "PNG", transparency=65535),
        lambda path, image: png(path, np.dstack([image, np.where(image == 255, 254, 255)]) * 257, 4, 16),
        lambda path, image: png(path, np.dstack([image * np.uint16(257)] * 3), 2, 16, chunk(b"tRNS", b"\xff" * 6)),
    ],
)
def test_transparent_pixels_are_refused_in_every_form(write, digits, tmp_path, refused):
    image = digits[0]
    write(tmp_path / "image", image)
    error = refused(read, tmp_path / "image")
    assert error.startswith(f"{tmp_path / 'image'}: {np.count_nonzero(image == 255)} of 64 pixels are transparent")
    assert "save it on a background" in error


@pytest.mark.parametrize("bits", [np.uint16, np.int32, np.float32])
def test_a_tiff_of_more_than_eight_bits_is_refused(bits, digits, tmp_path, refused):
    Image.fromarray(digits[0].astype(bits) * 257).save(tmp_path / "deep.tif")
    assert "is a TIFF of more than 8 bits a sample; save it as PNG" in refused(read, tmp_path / "deep.tif")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_animations_are_refused(kind, digits, tmp_path, refused):
    first, second = map(Image.fromarray, digits[:2])
    first.save(tmp_path / "moving", kind, save_all=True, append_images=[second])
    assert "is an animation of 2 frames; save each frame as a file" in refused(read, tmp_path / "moving")


def test_of_a_jpeg_with_pictures_behind_it_the_first_is_shown(digits, tmp_path):
    first, second = (Image.fromarray(np.kron(digit, np.ones((8, 8), np.uint8))) for digit in digits[:2])
    first.save(tmp_path / "two.jpg", "MPO", save_all=True, append_images=[second], quality=100)
    assert np.abs(read(tmp_path / "two.jpg")[..., 0].astype(int) - np.asarray(first)).max() <= 1


def test_a_gif_whose_frame_leaves_a_part_empty_is_refused(digits, tmp_path, refused):
    Image.fromarray(digits[0]).save(tmp_path / "part.gif")
    content = bytearray((tmp_path / "part.gif").read_bytes())
    content[6] = 9  # the width of the whole
    (tmp_path / "part.gif").write_bytes(content)
    assert "has a frame that covers a part of its image" in refused(read, tmp_path / "part.gif")


KINDS = {  # of files, and by which of Pillow's options they are written
    **{kind: (kind, {}) for kind in decoding.FORMATS},
    "progressive": ("JPEG", dict(progressive=True)),
    "LZW": ("TIFF", dict(compression="tiff_lzw")),
}
MARKED = ("PNG", "JPEG", "progressive", "GIF")  # those with a checksum or a mark of their end


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_anywhere_is_refused_or_whole(kind, colours, tmp_path):
    """Cut off, or with zeros in place of the rest, where a format has a mark by which that is seen."""
    path, (name, options) = tmp_path / "cut", KINDS[kind]
    Image.fromarray(colours).save(path, name, **options)
    content, shown = path.read_bytes(), read(path)
    outcomes = []
    for length in sorted({*range(0, len(content), 5), *range(len(content) - 20, len(content))}):
        for rest in (b"", b"\0" * (len(content) - length))[: 2 if kind in MARKED else 1]:
            path.write_bytes(content[:length] + rest)
            try:
                outcomes.append(np.array_equal(read(path), shown))
            except UserError as error:
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert all(outcomes) and len(outcomes) < 20


def test_a_png_in_which_one_bit_changed_is_never_read_as_another_image(colours, tmp_path):
    path = tmp_path / "changed.png"
    Image.fromarray(colours).save(path)
    content, shown = path.read_bytes(), read(path)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            np.testing.assert_array_equal(read(path), shown)
        except UserError as error:
            assert str(error).startswith(f"{path}: ")


@pytest.mark.parametrize("size", [(40_000, 30_000), (10_000, 10_000)])
def test_absurd_sizes_are_refused_before_anything_is_decoded(size, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0))
    content = header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert refused(read, tmp_path / "huge.png") == f"{tmp_path / 'huge.png'}: has far too many pixels"


def test_another_size_is_refused_before_anything_is_decoded(digits, tmp_path, refused, monkeypatch):
    Image.fromarray(digits[0, :, :5]).save(tmp_path / "odd.png")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    error = refused(read_all, [tmp_path / "odd.png"], (8, 8, 1), WANTED)
    assert error == f"{tmp_path / 'odd.png'}: is 5x8 pixels; the data set's images are 8x8: resize it to that"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty, 0 bytes"),
        (b"a note", "is no PNG, JPEG, WebP, GIF, BMP"),
        (b"8BPS" + b"\0" * 60, "is no PNG"),
    ],
)
def test_what_is_no_image_is_refused(content, reason, tmp_path, refused):
    (tmp_path / "note").write_bytes(content)
    assert reason in refused(read, tmp_path / "note") and "move it away" in refused(read, tmp_path / "note")
    assert "there is no such file" in refused(read, tmp_path / "absent.png")


def test_files_are_listed_however_deep_and_only_hidden_ones_are_passed_over(tmp_path, refused):
    assert "holds no image" in refused(listed, tmp_path)
    wanted = ["b.PNG", "a/z/c.webp", "a/y.jpg", "notes.txt", "thumbs.txt"]
    hidden = [".DS_Store", "a/.hidden.png", ".folder/x.png", "Thumbs.db", "a/desktop.ini", "__MACOSX/x.png"]
    for name in (*wanted, *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "linked.png").touch()
    (tmp_path / "link").symlink_to(outside)
    assert listed(tmp_path) == sorted(tmp_path / name for name in (*wanted, "link/linked.png"))


@pytest.mark.parametrize(
    "make", [lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to(path.parent), os.mkfifo]
)
def test_what_is_neither_file_nor_folder_is_refused(make, tmp_path, refused):
    make(tmp_path / "odd")
    assert refused(listed, tmp_path).startswith(f"{tmp_path / 'odd'}: is neither a file nor a folder of its own")


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path, refused, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", denied)
    assert refused(listed, tmp_path) == f"{tmp_path}: cannot be listed (Permission denied); make it readable"
