"""An encoded image -> the array a classifier expects, as one TensorFlow function.

The arithmetic is that of the published models, to the bit: TensorFlow 1's bilinear resize
(`align_corners` and `half_pixel_centers` both off, which `tf.image.resize` no longer offers), the
same rounding of the longer side, the same order of operations. Where a step could be left out or
moved without changing a bit, it is.

JPEG (RGB, grey, Adobe CMYK and YCCK) and PNG (also under a .JPEG name; 16 bits give their high
byte, transparency is dropped) are decoded to three channels. Other formats, and images of more than
`MAX_PIXELS`, are refused from their header, before anything is allocated for them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias

from modelzoo_runner.errors import PresetError
from modelzoo_runner.values.preset import Preprocess

if TYPE_CHECKING:
    import tensorflow as tf

    Window: TypeAlias = tuple[tf.Tensor, tf.Tensor]

MAX_PIXELS = 1 << 26
"""The largest image that is decoded, and the largest that resizing may make: 67 million pixels,
800 MB as float32."""

JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"


def eagerly() -> AbstractContextManager[None]:
    """TensorFlow's functions run at once inside, also where the caller turned that off.

    A graph may be the current one in this thread, or `tf.compat.v1.disable_v2_behavior` was called.
    """
    import tensorflow as tf

    mode: AbstractContextManager[None] = tf.__internal__.eager_context.eager_mode()
    return mode


def image_function(preprocess: Preprocess) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function for `tf.data.Dataset.map`: encoded bytes (a string scalar) -> float32 [H, W, 3].

    The function raises `tf.errors.InvalidArgumentError` for bytes that can't be decoded;
    `images.problem` says in words what is wrong with them.

    Raises:
        PresetError: when the size that is cut out is larger than what is resized to.
    """
    if preprocess.resize == "shorter_side" and not _covers(preprocess):
        raise PresetError(
            f"preprocess.resize_to: {preprocess.resize_to} should be at least as large as the size "
            f"{list(preprocess.size)} that is cut out of the resized image"
        )

    def function(encoded: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        if preprocess.resize == "central_fraction":
            pixels = _decode(encoded, preprocess, lambda shape: _centre(shape, preprocess))
            image = _resize(_to_float(pixels, preprocess), tf.constant(preprocess.size))
        else:
            pixels = _decode(encoded, preprocess, None)
            resized = _resized_shape(tf.shape(pixels)[:2], preprocess)
            image = _resize(_to_float(pixels, preprocess), resized)
            offset = (resized - preprocess.size) // 2
            image = _cut(image, offset, tf.constant(preprocess.size))
        return tf.ensure_shape(_normalised(image, preprocess), (*preprocess.size, 3))

    return function


def _covers(preprocess: Preprocess) -> bool:
    return preprocess.resize_to is not None and preprocess.resize_to >= max(preprocess.size)


def _decode(
    encoded: tf.Tensor, preprocess: Preprocess, window: Callable[[tf.Tensor], Window] | None
) -> tf.Tensor:
    """The uint8 pixels of an image, or of that window of it: [height, width, 3]."""
    import tensorflow as tf

    flags = {
        "fancy_upscaling": preprocess.fancy_upscaling,
        "dct_method": preprocess.dct_method,
    }

    def jpeg() -> tf.Tensor:
        shape = _small_enough(tf.io.extract_jpeg_shape(encoded)[:2])
        with tf.control_dependencies([shape]):
            if window is None:
                return tf.io.decode_jpeg(encoded, channels=3, **flags)
            # Only without "fancy" upscaling are the pixels at the window's edge those that
            # decoding the whole image gives; then decoding less is simply faster.
            if not preprocess.fancy_upscaling:
                place = tf.concat(window(shape), 0)
                return tf.io.decode_and_crop_jpeg(encoded, place, channels=3, **flags)
            return _cut(tf.io.decode_jpeg(encoded, channels=3, **flags), *window(shape))

    def png() -> tf.Tensor:
        # Without this decode_png would take a GIF, a WebP or another stranger.
        start = tf.strings.substr(encoded, 0, len(PNG_START))
        strange = tf.debugging.Assert(tf.equal(start, PNG_START), ["neither JPEG nor PNG"])
        with tf.control_dependencies([strange]):
            header = tf.strings.substr(encoded, 16, 8)
        sides = tf.io.decode_raw(header, tf.int32, little_endian=False)
        shape = _small_enough(tf.reverse(sides, [0]))
        with tf.control_dependencies([shape]):
            pixels = tf.io.decode_png(encoded, channels=3)
        return pixels if window is None else _cut(pixels, *window(shape))

    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, len(JPEG_START)), JPEG_START)
    return tf.cond(is_jpeg, jpeg, png)


def _small_enough(shape: tf.Tensor) -> tf.Tensor:
    """`shape` as int32, once it is known to have no more than `MAX_PIXELS`."""
    import tensorflow as tf

    fits = tf.reduce_prod(tf.cast(shape, tf.int64)) <= MAX_PIXELS
    with tf.control_dependencies([tf.debugging.Assert(fits, ["too many pixels", shape])]):
        # An identity at least, so that it waits for the assertion.
        return tf.identity(tf.cast(shape, tf.int32))


def _centre(shape: tf.Tensor, preprocess: Preprocess) -> Window:
    """Offset and size of the central part, as `tf.image.central_crop` places it."""
    import tensorflow as tf

    sides = tf.cast(shape, tf.float64)
    offset = tf.cast((sides - sides * preprocess.central_fraction) / 2, tf.int32)
    return offset, shape - 2 * offset


def _resized_shape(shape: tf.Tensor, preprocess: Preprocess) -> tf.Tensor:
    """Height and width after the shorter side became `resize_to`."""
    import tensorflow as tf

    if preprocess.rounding == "down":
        sides = tf.cast(shape, tf.float64)
        exact = preprocess.resize_to * sides / tf.reduce_min(sides)
    else:
        # In single precision, as the original: a tie may fall to another side in double.
        sides = tf.cast(shape, tf.float32)
        exact = tf.round(sides * (preprocess.resize_to / tf.reduce_min(sides)))
    # A sliver of an image is small, and enormous once its shorter side is 256.
    return _small_enough(tf.cast(exact, tf.int64))


def _to_float(pixels: tf.Tensor, preprocess: Preprocess) -> tf.Tensor:
    """float32 pixels. Resizing would convert too, value by value and twice as slowly."""
    import tensorflow as tf

    image = tf.cast(pixels, tf.float32)
    return image * (1.0 / 255) if preprocess.unit_range else image


def _resize(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    # The raw op: the public name in compat.v1 prints that it is deprecated.
    return tf.raw_ops.ResizeBilinear(
        images=image[tf.newaxis], size=size, align_corners=False, half_pixel_centers=False
    )[0]


def _cut(image: tf.Tensor, offset: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.slice(image, tf.concat([offset, [0]], 0), tf.concat([size, [3]], 0))


def _normalised(image: tf.Tensor, preprocess: Preprocess) -> tf.Tensor:
    import numpy as np

    if any(preprocess.mean):
        mean = np.array(preprocess.mean, np.float32)
        # One number, or one for every value: TensorFlow repeats a row of three four times as
        # slowly as it subtracts.
        same = len(set(preprocess.mean)) == 1
        image = image - (mean[0] if same else np.broadcast_to(mean, (*preprocess.size, 3)))
    image = image if preprocess.scale == 1 else image * preprocess.scale
    return image if preprocess.channel_order == "RGB" else image[..., ::-1]
