"""What an image becomes, step by step as the published scripts go, and images of every form.

Nothing is left out or moved: the whole image is decoded, converted, cut, resized, cut and
normalised, each by an operation of its own. Independent of the library but for the recipe's fields.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFile

from modelzoo_runner.values.preset import Preprocess


def reference(encoded: bytes, recipe: Preprocess) -> np.ndarray[Any, Any]:
    """The image as float32 [height, width, 3], on TensorFlow's oldest functions."""
    if encoded.startswith(b"\x89PNG"):
        pixels = tf.io.decode_png(encoded, channels=3)
    else:
        flags = {"fancy_upscaling": recipe.fancy_upscaling, "dct_method": recipe.dct_method}
        pixels = tf.io.decode_jpeg(encoded, channels=3, **flags)
    image = tf.cast(pixels, tf.float32)
    if recipe.unit_range:
        image = tf.multiply(image, 1.0 / 255)
    if recipe.resize == "central_fraction":
        image = tf.image.central_crop(image, recipe.central_fraction)
        image = tf.compat.v1.image.resize_bilinear(image[tf.newaxis], recipe.size)[0]
    else:
        image = tf.compat.v1.image.resize_bilinear(image[tf.newaxis], resized(image, recipe))[0]
        top, left = ((image.shape[axis] - recipe.size[axis]) // 2 for axis in (0, 1))
        image = tf.image.crop_to_bounding_box(image, top, left, *recipe.size)
    image = tf.multiply(tf.subtract(image, tf.constant(recipe.mean, tf.float32)), recipe.scale)
    return np.asarray(image.numpy()[..., :: 1 if recipe.channel_order == "RGB" else -1])


def resized(image: Any, recipe: Preprocess) -> list[int]:
    """Height and width with the shorter side at `resize_to`."""
    height, width = image.shape[:2]
    to = recipe.resize_to or 0
    if recipe.rounding == "down":
        return [int(to * height / min(height, width)), int(to * width / min(height, width))]
    scale = tf.constant(to, tf.float32) / tf.cast(min(height, width), tf.float32)
    return [int(tf.math.rint(tf.cast(side, tf.float32) * scale)) for side in (height, width)]


# Pillow takes this much for an image, which noise at quality 100 exceeds otherwise.
ImageFile.MAXBLOCK = 1 << 24

JPEG_FORMS = ("RGB", "L", "CMYK", "YCCK", "RGB as RGB")
PNG_FORMS = ("RGB", "L", "P", "1", "RGBA", "LA", "16 bits")


def drawn(rng: np.random.Generator, sides: int) -> tuple[str, bytes]:
    """A random image with sides up to so long, and what form it has."""
    height, width = (int(side) for side in rng.integers(1, sides + 1, 2))
    if max(height, width) > 40 * min(height, width):
        height = width  # resized it would be enormous
    coarse = rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.normal(0, float(rng.choice([0, 4, 40])), (height, width, 3))
    image = Image.fromarray((np.asarray(smooth) + noise).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.08:
        form = str(rng.choice(PNG_FORMS))
        return f"PNG, {form}", png(image, form)
    form = str(rng.choice(JPEG_FORMS, p=(0.7, 0.15, 0.05, 0.05, 0.05)))
    options: dict[str, Any] = {"quality": int(rng.integers(1, 101))}
    options["progressive"] = bool(rng.random() < 0.1)
    options["optimize"] = bool(rng.random() < 0.3)
    if form == "RGB":
        options["subsampling"] = str(rng.choice(["4:4:4", "4:2:2", "4:2:0"]))
    if rng.random() < 0.2:
        options["restart_marker_blocks"] = int(rng.integers(1, 40))
    encoded = jpeg(image, form, options)
    kind = "progressive" if options["progressive"] else options.get("subsampling", "")
    if rng.random() < 0.1:
        return "JPEG, damaged", damaged(encoded, rng)
    return f"JPEG, {form} {kind}".rstrip(), encoded


def jpeg(image: Any, form: str, options: Mapping[str, Any]) -> bytes:
    """A JPEG of one of `JPEG_FORMS`."""
    file = io.BytesIO()
    mode = {"YCCK": "CMYK", "RGB as RGB": "RGB"}.get(form, form)
    as_rgb = {"keep_rgb": True} if form == "RGB as RGB" else {}
    image.convert(mode).save(file, "JPEG", **options, **as_rgb)
    encoded = bytearray(file.getvalue())
    if form == "YCCK":
        encoded[encoded.index(b"Adobe") + 11] = 2
    return bytes(encoded)


def png(image: Any, form: str) -> bytes:
    """A PNG of one of `PNG_FORMS`."""
    if form == "16 bits":
        return bytes(tf.io.encode_png(np.asarray(image).astype(np.uint16) * 250).numpy())
    file = io.BytesIO()
    image.convert(form).save(file, "PNG")
    return file.getvalue()


def damaged(encoded: bytes, rng: np.random.Generator) -> bytes:
    """The image cut off, with something behind it, or with some bytes changed."""
    data = bytearray(encoded)
    how = rng.integers(4)
    if how == 0:
        return bytes(data[: int(rng.integers(1, len(data)))])
    if how == 1:
        return bytes(data) + rng.bytes(int(rng.integers(1, 9)))
    # Anywhere, or in the header, which is short.
    end = len(data) if how == 2 else min(len(data), 700)
    for place in rng.integers(2, end, int(rng.integers(1, 4))):
        data[place] = int(rng.integers(256))
    return bytes(data)
