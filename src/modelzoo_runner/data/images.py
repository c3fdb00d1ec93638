"""What an encoded image is, and what is wrong with one that can't be decoded, in words."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from modelzoo_runner.data.preprocess import JPEG_START, MAX_PIXELS, PNG_START

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

_STARTS = {
    JPEG_START: "JPEG",
    PNG_START: "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP": "JPEG 2000",
}


def kind(encoded: bytes) -> str | None:
    """The name of an image's format by its first bytes, `None` when they are nothing known."""
    return next((name for start, name in _STARTS.items() if encoded.startswith(start)), None)


def size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width in pixels from the header of a JPEG or a PNG; `None` when it has none."""
    import tensorflow as tf

    if kind(encoded) == "PNG" and len(encoded) >= 24:
        width, height = struct.unpack(">II", encoded[16:24])
        return height, width
    if kind(encoded) == "JPEG":
        try:
            height, width, _ = tf.io.extract_jpeg_shape(encoded).numpy().tolist()
        except tf.errors.InvalidArgumentError:
            return None
        return height, width
    return None


def problem(encoded: bytes, function: Callable[[tf.Tensor], tf.Tensor]) -> str | None:
    """Why an image can't be used, as the end of a sentence; `None` when `function` takes it.

    `function` is what `preprocess.image_function` made, or `tf.io.decode_image`.
    """
    import tensorflow as tf

    if not encoded:
        return "the image is empty (0 bytes)"
    found = kind(encoded)
    if found not in ("JPEG", "PNG"):
        what = found or f"of no known format (it begins with {encoded[:8]!r})"
        return f"the image is {what}; it should be JPEG or PNG"
    sides = size(encoded)
    if sides is None or 0 in sides:
        return f"the image is a {found} whose header can't be read"
    height, width = sides
    many = f"more than {MAX_PIXELS / 1e6:.0f} million pixels"
    if height * width > MAX_PIXELS:
        return f"the image is {width} x {height}, {many}"
    try:
        function(tf.constant(encoded))
    except tf.errors.InvalidArgumentError as error:
        if "too many pixels" in error.message:
            return f"the image is {width} x {height}; with its shorter side resized it has {many}"
        return f"the image is a {found} of {width} x {height} that is truncated or damaged"
    return None
