"""Encoded images: their format, what is wrong with one that can't be decoded, and its pixels."""

from __future__ import annotations

import contextlib
import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import paths
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.preprocess import JPEG_START, MAX_PIXELS, PNG_START, eagerly
from modelzoo_runner.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import tensorflow as tf

    from modelzoo_runner.data.batches import Transform

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


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """An image still to be decoded: its bytes, or the file that holds them.

    `size` is the height and width it should have, where that is known; `where` begins the messages
    about it.
    """

    name: str
    image_id: Any
    where: str
    data: bytes | ReadablePath
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """An image: `pixels` uint8 [height, width, 3], what a transform made of it, or its bytes.

    `size` is the height and width of the image itself.
    """

    name: str
    image_id: Any
    pixels: np.ndarray[Any, Any]
    size: tuple[int, int]


def decode(encoded: Encoded, transform: Transform | None = None) -> Decoded:
    """The pixels of an image, a JPEG or a PNG of whatever colours, as RGB.

    They are exactly those that PIL, and so every other COCO tool, gives.

    Raises:
        DataError: it can't be read or decoded, or hasn't the size it should have.
    """
    import tensorflow as tf

    data = _read(encoded)
    with eagerly():
        try:
            pixels = decode_rgb(data).numpy()
        except tf.errors.InvalidArgumentError:
            pixels = None
    is_image = pixels is not None and pixels.ndim == 3
    found = _expected(pixels.shape[:2] if is_image else None, encoded, data)
    if transform is not None:
        pixels = transform(pixels[None])[0]
    return Decoded(name=encoded.name, image_id=encoded.image_id, pixels=pixels, size=found)


def keep_encoded(encoded: Encoded) -> Decoded:
    """The image as it is, for a graph that decodes it; only its header is looked at.

    Raises:
        DataError: it can't be read, is no JPEG or PNG, or hasn't the size it should have.
    """
    import numpy as np

    data = _read(encoded)
    found = _expected(size(data), encoded, data)
    pixels = np.empty((), object)
    pixels[()] = data
    return Decoded(name=encoded.name, image_id=encoded.image_id, pixels=pixels, size=found)


def _read(encoded: Encoded) -> bytes:
    return encoded.data if isinstance(encoded.data, bytes) else paths.read_bytes(encoded.data)


def decode_rgb(data: Any) -> Any:
    """The pixels of a JPEG or a PNG, uint8 [height, width, 3], by TensorFlow."""
    import tensorflow as tf

    # It takes PNG too. The default method is faster by nothing that can be measured, and differs
    # by up to 23 of 255 from what others see: 0.002 of AP with small detectors.
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _expected(size: tuple[int, int] | None, encoded: Encoded, data: bytes) -> tuple[int, int]:
    """The size that was found, if there is one and it is the expected one."""
    if size is None:
        what = problem(data, decode_rgb) or "the image can't be decoded"
        raise DataError(f"{encoded.where}: {what}.")
    if encoded.size is None or size == encoded.size:
        return size
    height, width = encoded.size
    said = (
        f"the image is {size[1]} x {size[0]} pixels, its annotation says {width} x {height}: boxes "
        "would be scored against another image."
    )
    if size[::-1] == encoded.size and _is_turned(data):
        said += (
            " Its EXIF orientation asks for a rotation by 90 degrees, which the annotation counts "
            "in and detectors don't see: store the image rotated (`exiftran -ai`, or "
            "PIL.ImageOps.exif_transpose)."
        )
    raise DataError(f"{encoded.where}: {said}")


def _is_turned(encoded: bytes) -> bool:
    """Whether the EXIF data of an image says that it is to be turned by 90 degrees."""
    from PIL import ExifTags, Image

    with contextlib.suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        orientation = Image.open(io.BytesIO(encoded)).getexif().get(ExifTags.Base.Orientation)
        return orientation in (5, 6, 7, 8)
    return False


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
            with eagerly():
                height, width, _ = tf.io.extract_jpeg_shape(encoded).numpy().tolist()
        except tf.errors.InvalidArgumentError:
            return None
        return height, width
    return None


def problem(encoded: bytes, function: Callable[[tf.Tensor], tf.Tensor]) -> str | None:
    """Why an image can't be used, as the end of a sentence; `None` when `function` takes it.

    `function` is what `preprocess.image_function` made, or `decode_rgb`.
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
        with eagerly():
            function(tf.constant(encoded))
    except tf.errors.InvalidArgumentError as error:
        if "too many pixels" in error.message:
            return f"the image is {width} x {height}; with its shorter side resized it has {many}"
        return f"the image is a {found} of {width} x {height} that is truncated or damaged"
    return None
