"""Where the weights of a topology come from: drawn from a seed, or given by name.

Random weights are there for measuring, so they have to behave: activations of order one through a
hundred layers, no denormals, no saturated softmax, and scores that depend on the image. That is He
initialization (He et al. 2015, arXiv:1502.01852) with one change: each kernel's mean is taken out.
What comes from a ReLU is positive; a kernel with a mean of its own passes that common part on, and
after fifty layers nothing else is left: every image gets the same scores.
Each array depends on (seed, its name) alone, so the order of building the layers doesn't matter.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from modelzoo_runner.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Variables = Callable[[str, tuple[int, ...], float], Array]
    """(name, shape, gain) -> float32 array; the variable's kind is the last part of its name."""

GAMMA = (0.8, 1.2)
VARIANCE = (0.75, 1.25)
OFFSET_STD = 0.1
"""Batch norms are drawn around the neutral one: uniform scale and variance, normal offsets."""
RELU_STD = math.sqrt((1 - 1 / math.pi) / 2)
"""The standard deviation of a standard normal variable's ReLU, which kernels expect as input."""


def variables(seed: int, given: Mapping[str, Array] | None = None) -> Variables:
    """A function that gives each variable its values: from `given` if there is one, else drawn.

    Args:
        seed: any integer from 0; the same seed gives the same bytes.
        given: float arrays by variable name, as in a slim checkpoint
            (`resnet_v1_50/conv1/weights`). It must have every variable that the topology asks for.

    Raises:
        RequestError: for a negative seed; later, when a variable is asked for that `given` hasn't,
            or has in another shape.
    """
    if not isinstance(seed, int) or seed < 0:
        raise RequestError(f"seed={seed!r}: a seed is an integer from 0")
    if given is None:
        return lambda name, shape, gain: draw(seed, name, shape, gain)
    return lambda name, shape, _gain: _look_up(given, name, shape)


def draw(seed: int, name: str, shape: tuple[int, ...], gain: float = 1.0) -> Array:
    """Float32 values for the variable `name`; `gain` scales a kernel's standard deviation.

    >>> draw(0, "conv1/weights", (3, 3, 64, 64)).std().round(3)
    np.float32(0.07)
    """
    import numpy as np

    key = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest()
    random = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    match name.rpartition("/")[2]:
        case "weights":
            return _kernel(random, shape, tuple(range(len(shape) - 1)), gain)
        case "depthwise_weights":
            return _kernel(random, shape, (0, 1), gain)
        case "gamma":
            return random.uniform(*GAMMA, shape).astype(np.float32)
        case "moving_variance":
            return random.uniform(*VARIANCE, shape).astype(np.float32)
        case _:
            return random.standard_normal(shape, dtype=np.float32) * np.float32(OFFSET_STD)


def _kernel(
    random: np.random.Generator, shape: tuple[int, ...], inputs: tuple[int, ...], gain: float
) -> Array:
    """Normal values with a mean of zero over `inputs`, the axes an output sums over."""
    import numpy as np

    kernel = random.standard_normal(shape, dtype=np.float32)
    count = math.prod(shape[axis] for axis in inputs)
    if count > 1:
        kernel -= kernel.mean(axis=inputs, keepdims=True, dtype=np.float64).astype(np.float32)
    # Without its mean a kernel has one degree of freedom less.
    return kernel * np.float32(gain * math.sqrt(_PRESERVING / max(count - 1, 1)))


def _look_up(given: Mapping[str, Array], name: str, shape: tuple[int, ...]) -> Array:
    import numpy as np

    if name not in given:
        raise RequestError(f"weights: no array named {name!r}. {did_you_mean(name, given)}")
    array = np.asarray(given[name], dtype=np.float32)
    if array.shape != shape:
        raise RequestError(
            f"weights[{name!r}]: its shape is {array.shape}; this topology needs {shape}"
        )
    return array


def _preserving() -> float:
    """fan_in * variance of a kernel that keeps activations at the same size from layer to layer.

    A ReLU leaves `RELU_STD`² of the variance (a kernel with a mean would see E[x²] = 1/2 instead,
    hence He's 2). Of the batch norm `(y - m) * g / sqrt(v) + b` the factor E[g²] * E[1/v] and the
    offsets' variances are taken out again.
    """
    low, high = GAMMA
    gamma_squared = (high**3 - low**3) / (3 * (high - low))
    low, high = VARIANCE
    inverse_variance = math.log(high / low) / (high - low)
    variance = (1 - OFFSET_STD**2) / (gamma_squared * inverse_variance) - OFFSET_STD**2
    return variance / RELU_STD**2


_PRESERVING = _preserving()
