"""Made images and made shards for the tests of this room."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

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
