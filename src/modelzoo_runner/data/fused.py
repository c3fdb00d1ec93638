"""An encoded image -> its row of a batch, in place: decoded by simplejpeg, then one pass by numba.

The values are those of `preprocess.image_function`, to the bit, in less time: this libjpeg-turbo is
newer than TensorFlow's, only rows that are kept are interpolated, and neither the image as float32
nor the row is copied. The operations on each value are the same in single precision in the same
order; LLVM doesn't fuse or reorder them unless it is told to.

Only JPEGs in the form that nearly all have are taken (`_plain_sides`). For others, for those that
libjpeg-turbo has any complaint about, and where the extra `images` isn't installed, there is
TensorFlow's function.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from modelzoo_runner.data.preprocess import JPEG_START, MAX_PIXELS, eagerly, image_function
from modelzoo_runner.values.preset import Preprocess

if TYPE_CHECKING:
    import numpy as np

    Write = Callable[[bytes, np.ndarray[Any, Any]], bool]

_SEQUENTIAL = (0xC0, 0xC1)  # start of a frame, coded by Huffman
_SCAN = 0xDA
_TABLES = frozenset((0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)))  # and application data


@cache
def image_writer(preprocess: Preprocess) -> Write | None:
    """A function that writes what an image becomes into a row, float32 [height, width, 3].

    It may be called by several threads at once, and returns false, with whatever in the row, for an
    image that is left to TensorFlow's function. `None` where that has to do all: without the extra
    `images`, or when the two don't make the same of an image. Compiling takes half a second, once.
    """
    try:
        import numba
        import simplejpeg
    except ImportError:
        return None
    if numba.config.DISABLE_JIT:
        return None
    import numpy as np

    from modelzoo_runner.data.bilinear import resizing

    resize = resizing()
    is_rgb = preprocess.channel_order == "RGB"
    mean = preprocess.mean if is_rgb else preprocess.mean[::-1]
    means = np.tile(np.array(mean, np.float32), preprocess.size[1])
    unit = np.float32(1.0 / 255 if preprocess.unit_range else 1)
    scale = np.float32(preprocess.scale)
    flags = {
        "fastdct": preprocess.dct_method == "INTEGER_FAST",
        "fastupsample": not preprocess.fancy_upscaling,
    }

    def write(encoded: bytes, row: np.ndarray[Any, Any]) -> bool:
        sides = _plain_sides(encoded)
        place = None if sides is None else _place(*sides, preprocess)
        if sides is None or place is None:
            return False
        # One byte more than the pixels: the last one is read with what would be a fourth channel.
        memory = np.empty(sides[0] * sides[1] * 3 + 1, np.uint8)
        try:
            pixels = simplejpeg.decode_jpeg(
                encoded, preprocess.channel_order, buffer=memory, **flags
            )
        except ValueError:
            return False
        if pixels.shape != (*sides, 3):
            return False
        resize(memory, sides[1], *place, unit, means, scale, row)
        return True

    return write if _agrees(write, preprocess) else None


class _Place(NamedTuple):
    """The part of the pixels that is resized, to which size, and where in that the kept part is."""

    window: tuple[int, int, int, int]  # top, left, height, width
    resized: tuple[int, int]
    offset: tuple[int, int]


def _plain_sides(encoded: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG with 8 bits, one or three channels, and all of it in one scan.

    `None` for others: versions of libjpeg-turbo fill in what a progressive image lacks in other
    ways, and TensorFlow has its own for four channels.
    """
    if not encoded.startswith(JPEG_START):
        return None
    at, sides, channels = 2, (0, 0), 0
    try:
        while True:
            start, marker, length = struct.unpack_from(">BBH", encoded, at)
            if start != 0xFF:
                return None
            if marker in _SEQUENTIAL:
                bits, *sides_found, channels = struct.unpack_from(">BHHB", encoded, at + 4)
                sides = (sides_found[0], sides_found[1])
                if bits != 8 or channels not in (1, 3):
                    return None
            elif marker == _SCAN:
                is_whole = encoded[at + 4] == channels
                return sides if is_whole and 0 < sides[0] * sides[1] <= MAX_PIXELS else None
            elif marker not in _TABLES:
                return None
            at += 2 + length
    except (struct.error, IndexError):
        return None


def _place(height: int, width: int, preprocess: Preprocess) -> _Place | None:
    """Where to read, in the arithmetic of `preprocess`; `None` if resized it were too large."""
    import numpy as np

    if preprocess.central_fraction is not None and preprocess.resize == "central_fraction":
        fraction = preprocess.central_fraction
        top, left = (int((side - side * fraction) / 2) for side in (height, width))
        window = (top, left, height - 2 * top, width - 2 * left)
        return _Place(window, preprocess.size, (0, 0))
    shorter = min(height, width)
    to = preprocess.resize_to or 0  # `image_function` has refused less than `size`
    if preprocess.rounding == "down":
        rows, columns = (int(to * side / shorter) for side in (height, width))
    else:
        ratio = np.float32(to) / np.float32(shorter)
        rows, columns = (int(np.rint(np.float32(side) * ratio)) for side in (height, width))
    if rows * columns > MAX_PIXELS:
        return None
    offset = ((rows - preprocess.size[0]) // 2, (columns - preprocess.size[1]) // 2)
    return _Place((0, 0, height, width), (rows, columns), offset)


def _agrees(write: Write, preprocess: Preprocess) -> bool:
    """Whether the function makes the same of an image as TensorFlow's, here and now.

    It may not where another TensorFlow was compiled to fuse multiplications with additions.
    """
    import numpy as np
    import simplejpeg

    pixels = np.random.default_rng(0).integers(0, 256, (67, 93, 3), np.uint8)
    row = np.empty((*preprocess.size, 3), np.float32)
    for subsampling in ("420", "444"):
        encoded = bytes(simplejpeg.encode_jpeg(pixels, 90, colorsubsampling=subsampling))
        with eagerly():
            expected = image_function(preprocess)(encoded).numpy()
        if not write(encoded, row) or (row.view(np.int32) != expected.view(np.int32)).any():
            return False
    return True
