"""A random batch for an input that is known only by its type and shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from modelzoo_runner.data.batches import encoded_images
from modelzoo_runner.errors import GraphError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    Array: TypeAlias = np.ndarray[Any, Any]

BATCH = 2
SIDE = 96
"""Height and width of images whose size isn't fixed."""


def random_batch(tensor: tf.Tensor, name: str) -> Array:
    """Values that the tensor takes: text inputs get JPEG images, and truth values are False.

    Raises:
        GraphError: its type can't be made.
    """
    import numpy as np

    sizes = (None, None, None, 3) if tensor.shape.rank is None else tensor.shape.as_list()
    shape = tuple(size or (SIDE if place else BATCH) for place, size in enumerate(sizes))
    rng = np.random.default_rng(0)
    dtype = tensor.dtype
    if dtype.name == "string":
        return encoded_images(shape, SIDE, SIDE, rng)
    if dtype.is_bool:
        return np.zeros(shape, bool)
    if dtype.name == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    if dtype.is_integer:
        return rng.integers(0, 2, shape).astype(dtype.as_numpy_dtype)
    if dtype.is_floating:
        return rng.uniform(0, 1, shape).astype(dtype.as_numpy_dtype)
    raise GraphError(f"input {name!r} is of type {dtype.name}, which can't be fed here")
