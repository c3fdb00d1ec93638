"""Made images and made shards for the tests of this room."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelzoo_runner.data.convert import convert_imagenet

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Encodes a made image: smooth shapes with noise, different for each seed."""

    def encode(
        width: int = 80,
        height: int = 60,
        *,
        kind: str = "JPEG",
        mode: str = "RGB",
        seed: int = 0,
        **options: Any,
    ) -> bytes:
        image = Image.fromarray(made_pixels(height, width, seed)).convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


def made_pixels(height: int, width: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 [height, width, 3]."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        128 + 100 * np.sin(x * fx + phase) * np.cos(y * fy)
        for fx, fy, phase in generator.uniform(0.02, 0.3, (3, 3))
    ]
    pixels = np.stack(waves, -1) + generator.normal(0, 8, (height, width, 3))
    return pixels.clip(0, 255).astype(np.uint8)


Example = Callable[..., bytes]


@pytest.fixture(scope="session")
def example() -> Example:
    """Serializes a tf.train.Example: bytes, whole numbers, floats or lists of them by key."""
    import tensorflow as tf

    def feature(value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        if not values:
            return tf.train.Feature()
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def example(values: dict[str, Any]) -> bytes:
        features = {key: feature(value) for key, value in values.items()}
        made = tf.train.Example(features=tf.train.Features(feature=features))
        return bytes(made.SerializeToString(deterministic=True))

    return example


@pytest.fixture(scope="session")
def real_shards(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real images, converted: 500 of them in three shards."""
    out = tmp_path_factory.mktemp("real") / "shards"
    labels = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    convert_imagenet(samples / "imagenet" / "images", labels, out, shards=3)
    return out
