"""The three recipes, to the bit, against the same steps in TensorFlow 1's image functions."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from modelzoo_runner.data import images
from modelzoo_runner.data.preprocess import MAX_PIXELS, image_function
from modelzoo_runner.errors import PresetError
from modelzoo_runner.values.preset import Preprocess

CROP = Preprocess(size=(224, 224), resize="shorter_side", resize_to=256)
VGG = Preprocess(
    size=(224, 224),
    resize="shorter_side",
    resize_to=256,
    rounding="nearest",
    mean=(123.68, 116.78, 103.94),
)
INCEPTION = Preprocess(
    size=(299, 299),
    resize="central_fraction",
    central_fraction=0.875,
    unit_range=True,
    mean=(0.5, 0.5, 0.5),
    scale=2.0,
)
INCEPTION_FANCY = Preprocess(**{**vars(INCEPTION), "fancy_upscaling": True})


def decoded(encoded: bytes, *, fancy: bool = False) -> Any:
    return tf.io.decode_jpeg(encoded, channels=3, fancy_upscaling=fancy, dct_method="INTEGER_FAST")


def plain_crop(encoded: bytes) -> Any:
    image = decoded(encoded)
    height, width = image.shape[:2]
    size = (256, 256 * width / height) if height < width else (256 * height / width, 256)
    image = tf.compat.v1.image.resize_images(image, tf.constant(tuple(map(int, size))))
    # In a graph, where sizes aren't known, it is float32 even if nothing is to be resized.
    image = tf.cast(image, tf.float32)
    top, left = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
    return tf.image.crop_to_bounding_box(image, top, left, 224, 224)


def plain_vgg(encoded: bytes) -> Any:
    image = decoded(encoded)
    height, width = (tf.cast(side, tf.float32) for side in image.shape[:2])
    scale = 256 / width if height > width else 256 / height
    size = [tf.cast(tf.math.rint(side * scale), tf.int32) for side in (height, width)]
    image = tf.compat.v1.image.resize_bilinear(image[tf.newaxis], size, align_corners=False)[0]
    top, left = int((image.shape[0] - 224) / 2), int((image.shape[1] - 224) / 2)
    image = tf.cast(image[top : top + 224, left : left + 224], tf.float32)
    channels = tf.split(image, 3, axis=2)
    means = (123.68, 116.78, 103.94)
    return tf.concat([each - mean for each, mean in zip(channels, means, strict=True)], 2)


def plain_inception(encoded: bytes, *, fancy: bool = False) -> Any:
    image = tf.image.convert_image_dtype(decoded(encoded, fancy=fancy), tf.float32)
    image = tf.image.central_crop(image, central_fraction=0.875)
    image = tf.compat.v1.image.resize_bilinear(image[tf.newaxis], [299, 299])[0]
    return tf.multiply(tf.subtract(image, 0.5), 2.0)


RECIPES: dict[str, tuple[Preprocess, Callable[[bytes], Any]]] = {
    "crop": (CROP, plain_crop),
    "vgg": (VGG, plain_vgg),
    "inception": (INCEPTION, plain_inception),
    "inception, fancy upscaling": (
        INCEPTION_FANCY,
        lambda encoded: plain_inception(encoded, fancy=True),
    ),
}


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> tuple[Preprocess, Any, Callable[[bytes], Any]]:
    preprocess, plain = RECIPES[request.param]
    string = tf.TensorSpec([], tf.string)
    # As a graph: that is how tf.data runs it.
    return preprocess, tf.function(image_function(preprocess), input_signature=[string]), plain


def same(ours: Any, plain: Any) -> bool:
    assert ours.dtype == plain.dtype == tf.float32
    return bool((ours.numpy().view(np.int32) == plain.numpy().view(np.int32)).all())


def test_real_images_to_the_bit(samples: Path, recipe: Any) -> None:
    _, function, plain = recipe
    paths = sorted((samples / "imagenet" / "images").iterdir())
    # Every tenth, and those that are grey or have a side below 224.
    chosen = set(paths[::10])
    for path in paths:
        with Image.open(path) as image:
            if image.mode != "RGB" or min(image.size) < 224:
                chosen.add(path)
    assert len(chosen) > 55
    for path in sorted(chosen):
        encoded = path.read_bytes()
        assert same(function(encoded), plain(encoded)), path.name


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    mode=st.sampled_from(["RGB", "L"]),
    quality=st.integers(30, 95),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
)
@example(width=256, height=256, mode="RGB", quality=90, subsampling=0, progressive=False)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_made_images_to_the_bit(
    recipe: Any, encode: Any, width: int, height: int, mode: str, **options: Any
) -> None:
    preprocess, function, plain = recipe
    if preprocess.resize == "shorter_side" and max(width, height) > 40 * min(width, height):
        height = width  # a sliver takes long; it has its own test
    if mode == "L":
        options.pop("subsampling")
    encoded = encode(width, height, mode=mode, **options)
    assert same(function(encoded), plain(encoded))


def test_decoding_the_window_only_is_decoding_all_then_cutting(samples: Path) -> None:
    for path in sorted((samples / "imagenet" / "images").iterdir())[::3]:
        encoded = path.read_bytes()
        whole = decoded(encoded).numpy()
        height, width = whole.shape[:2]
        top, left = (int((side - side * 0.875) / 2) for side in (height, width))
        window = [top, left, height - 2 * top, width - 2 * left]
        part = tf.io.decode_and_crop_jpeg(
            encoded, window, channels=3, fancy_upscaling=False, dct_method="INTEGER_FAST"
        ).numpy()
        assert (part == whole[top : height - top, left : width - left]).all(), path.name


def test_values_stay_in_the_range_the_preset_states(encode: Any) -> None:
    for preprocess, _ in RECIPES.values():
        low, high = preprocess.value_range
        image = image_function(preprocess)(encode(640, 427))
        assert image.shape == (*preprocess.size, 3)
        assert low <= float(tf.reduce_min(image)) < float(tf.reduce_max(image)) <= high


def test_the_shape_is_static(encode: Any) -> None:
    data = tf.data.Dataset.from_tensors(encode()).map(image_function(INCEPTION))
    assert data.element_spec == tf.TensorSpec([299, 299, 3], tf.float32)


# Pixels of other formats than RGB JPEG, against Pillow. The size stays, so nothing is interpolated.

AS_IT_IS = Preprocess(
    size=(60, 60), resize="shorter_side", resize_to=60, dct_method="INTEGER_ACCURATE"
)


def pixels(encoded: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(image_function(AS_IT_IS)(encoded).numpy())


def by_pillow(encoded: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB")).astype(np.float32)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_png_is_exact(encode: Any, mode: str) -> None:
    encoded = encode(60, 60, kind="PNG", mode=mode)
    assert (pixels(encoded) == by_pillow(encoded)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_dropped(encode: Any, mode: str) -> None:
    encoded = encode(60, 60, kind="PNG", mode=mode)
    with Image.open(io.BytesIO(encoded)) as image:
        flat = np.asarray(image.convert("RGBA"))[..., :3]
    assert (pixels(encoded) == flat).all()


def test_16_bits_give_their_high_byte() -> None:
    deep = np.random.default_rng(0).integers(0, 1 << 16, (60, 60, 3)).astype(np.uint16)
    encoded = tf.io.encode_png(deep).numpy()
    assert (pixels(encoded) == deep >> 8).all()


def test_the_window_of_a_png(encode: Any) -> None:
    encoded = encode(97, 61, kind="PNG")
    assert same(image_function(INCEPTION)(encoded), plain_inception(encoded))


@pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
def test_adobe_cmyk_is_as_pillow_has_it(encode: Any, transform: int) -> None:
    encoded = bytearray(encode(60, 60, mode="CMYK", quality=95))
    encoded[encoded.index(b"Adobe") + 11] = transform
    # Two decoders, two conversions; had one not seen the inversion, they would be 100 apart.
    assert np.abs(pixels(bytes(encoded)) - by_pillow(bytes(encoded))).max() <= 1


def test_a_grey_image_has_three_equal_channels(encode: Any) -> None:
    image = pixels(encode(60, 60, mode="L"))
    assert (image == image[..., :1]).all()


def test_one_pixel(encode: Any) -> None:
    for preprocess, _ in RECIPES.values():
        image = image_function(preprocess)(encode(1, 1)).numpy()
        assert image.shape == (*preprocess.size, 3)
        assert np.ptp(image, axis=(0, 1)).max() == 0


# What is refused, and in which words.


def refused(encoded: bytes, preprocess: Preprocess = CROP) -> str:
    function = image_function(preprocess)
    with pytest.raises(tf.errors.InvalidArgumentError):
        function(tf.constant(encoded))
    text = images.problem(encoded, function)
    assert text is not None
    return text


def with_sides(encoded: bytes, width: int, height: int) -> bytes:
    """The image with another size in its header."""
    data = bytearray(encoded)
    if images.kind(encoded) == "PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    else:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def test_a_sound_image_has_no_problem(encode: Any) -> None:
    for preprocess, _ in RECIPES.values():
        for kind in ("JPEG", "PNG"):
            assert images.problem(encode(kind=kind), image_function(preprocess)) is None


def test_no_bytes() -> None:
    assert refused(b"") == "the image is empty (0 bytes)"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WebP", "TIFF"])
def test_other_formats(encode: Any, kind: str) -> None:
    assert refused(encode(kind=kind)) == f"the image is {kind}; it should be JPEG or PNG"


def test_no_image_at_all() -> None:
    assert refused(b"<html>not found</html>") == (
        "the image is of no known format (it begins with b'<html>no'); it should be JPEG or PNG"
    )


@pytest.mark.parametrize("preprocess", [CROP, INCEPTION, INCEPTION_FANCY])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated(encode: Any, kind: str, preprocess: Preprocess) -> None:
    encoded = encode(300, 200, kind=kind)
    assert refused(encoded[: len(encoded) // 2], preprocess) == (
        f"the image is a {kind} of 300 x 200 that is truncated or damaged"
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_whole_header(encode: Any, kind: str) -> None:
    assert refused(encode(kind=kind)[:20]) == f"the image is a {kind} whose header can't be read"


@pytest.mark.parametrize("preprocess", [CROP, INCEPTION])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_huge_image_is_refused_by_its_header(
    encode: Any, kind: str, preprocess: Preprocess
) -> None:
    assert refused(with_sides(encode(kind=kind), 30_000, 20_000), preprocess) == (
        "the image is 30000 x 20000, more than 67 million pixels"
    )


def test_a_png_with_absurd_sides(encode: Any) -> None:
    assert "more than 67 million pixels" in refused(
        with_sides(encode(kind="PNG"), (1 << 31) - 1, (1 << 31) - 1)
    )


def test_a_sliver_that_resizing_would_make_huge(encode: Any) -> None:
    for width, height in ((20_000, 1), (1, 20_000)):
        assert refused(encode(width, height, kind="PNG")) == (
            f"the image is {width} x {height}; with its shorter side resized it has more than 67 "
            "million pixels"
        )
    assert MAX_PIXELS < 20_000 * 256 * 256


def test_a_size_larger_than_what_is_resized_to() -> None:
    with pytest.raises(PresetError, match=r"resize_to: 200 should be at least as large as .*224"):
        image_function(Preprocess(size=(224, 224), resize="shorter_side", resize_to=200))
