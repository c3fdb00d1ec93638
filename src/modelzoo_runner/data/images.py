"""Encoded images: their format, what is wrong with one that can't be decoded, and its pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
            pixels = _decode(data).numpy()
        except tf.errors.InvalidArgumentError:
            pixels = None
    if pixels is None or pixels.ndim != 3:
        what = problem(data, _decode) or "the image can't be decoded"
        raise DataError(f"{encoded.where}: {what}.")
    size = pixels.shape[:2]
    if encoded.size not in (None, size):
        raise DataError(f"{encoded.where}: {_other_size(size, encoded.size, data)}")
    if transform is not None:
        pixels = transform(pixels[None])[0]
    return Decoded(name=encoded.name, image_id=encoded.image_id, pixels=pixels, size=size)


def keep_encoded(encoded: Encoded) -> Decoded:
    """The image as it is, for a graph that decodes it; only its header is looked at.

    Raises:
        DataError: it can't be read, is no JPEG or PNG, or hasn't the size it should have.
    """
    import numpy as np

    data = _read(encoded)
    found = size(data)
    if found is None:
        what = problem(data, _decode) or "the image's header can't be read"
        raise DataError(f"{encoded.where}: {what}.")
    if encoded.size not in (None, found):
        raise DataError(f"{encoded.where}: {_other_size(found, encoded.size, data)}")
    pixels = np.empty((), object)
    pixels[()] = data
    return Decoded(name=encoded.name, image_id=encoded.image_id, pixels=pixels, size=found)


def _read(encoded: Encoded) -> bytes:
    try:
        return encoded.data if isinstance(encoded.data, bytes) else encoded.data.read_bytes()
    except OSError as error:
        raise DataError(f"{encoded.where}: can't be read: {error.strerror or error}") from None


def _decode(data: Any) -> Any:
    import tensorflow as tf

    # It takes PNG too. The default method is faster by nothing that can be measured, and differs
    # by up to 23 of 255 from what others see: 0.002 of AP with small detectors.
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _other_size(size: tuple[int, int], annotated: tuple[int, int], data: bytes) -> str:
    said = (
        f"the image is {size[1]} x {size[0]} pixels, its annotation says {annotated[1]} x "
        f"{annotated[0]}: boxes would be scored against another image."
    )
    if size[::-1] == annotated and orientation(data) in (5, 6, 7, 8):
        said += (
            " Its EXIF orientation asks for a rotation by 90 degrees, which the annotation counts "
            "in and detectors don't see: store the image rotated (`exiftran -ai`, or "
            "PIL.ImageOps.exif_transpose)."
        )
    return said


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


def orientation(encoded: bytes) -> int:
    """How the EXIF data of a JPEG says it is to be turned, 1 to 8; 1, as it is, without any.

    The tag 274 of the first directory: Exif 2.32, 4.6.5.
    """
    start = encoded.find(b"Exif\0\0", 0, 4096) + 6
    order = {b"II": "<", b"MM": ">"}.get(encoded[start : start + 2])
    if start < 6 or order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", encoded, start + 4)
        (count,) = struct.unpack_from(f"{order}H", encoded, start + offset)
        for entry in range(count):
            place = start + offset + 2 + 12 * entry
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", encoded, place)
            if tag == 274:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


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
        with eagerly():
            function(tf.constant(encoded))
    except tf.errors.InvalidArgumentError as error:
        if "too many pixels" in error.message:
            return f"the image is {width} x {height}; with its shorter side resized it has {many}"
        return f"the image is a {found} of {width} x {height} that is truncated or damaged"
    return None
