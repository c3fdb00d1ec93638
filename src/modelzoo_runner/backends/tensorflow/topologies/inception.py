"""The language in which the Inception networks are written down: chains of steps, side by side.

A network is a table of blocks; a block is a tuple of branches; a branch is a list of steps. The
names are slim's, which carry the size of the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelzoo_runner.backends.tensorflow.topologies.builder import Kernel, Layers, Tensor, sides
from modelzoo_runner.backends.tensorflow.topologies.weights import variables

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Array


@dataclass(frozen=True)
class Conv:
    """A convolution with batch norm and ReLU."""

    name: str
    channels: int
    kernel: Kernel
    stride: int
    padding: Literal["SAME", "VALID"]


@dataclass(frozen=True)
class Pool:
    """A 3x3 pool."""

    name: str
    kind: Literal["MaxPool", "AvgPool"]
    stride: int
    padding: Literal["SAME", "VALID"]


@dataclass(frozen=True)
class Fork:
    """Convolutions of one input, side by side."""

    convs: tuple[Conv, ...]


Step = Conv | Pool | Fork
Branches = tuple[list[Step], ...]


def conv(
    label: str,
    channels: int,
    kernel: Kernel = 1,
    *,
    stride: int = 1,
    padding: Literal["SAME", "VALID"] = "SAME",
    name: str | None = None,
) -> Conv:
    """The convolution that slim calls `Conv2d_<label>_<height>x<width>`, unless `name` says else.

    >>> conv("0b", 224, (1, 7)).name
    'Conv2d_0b_1x7'
    """
    if name is None:
        height, width = sides(kernel)
        name = "_".join(part for part in ("Conv2d", label, f"{height}x{width}") if part)
    return Conv(name, channels, kernel, stride, padding)


def half(label: str, channels: int, kernel: Kernel = 3, *, name: str | None = None) -> Conv:
    """A convolution that halves the resolution and doesn't pad."""
    return conv(label, channels, kernel, stride=2, padding="VALID", name=name)


def half_max(label: str) -> Pool:
    """A max pool that does the same."""
    return Pool(f"MaxPool_{label}_3x3", "MaxPool", 2, "VALID")


def average() -> Pool:
    """The average pool at the start of a block's last branch."""
    return Pool("AvgPool_0a_3x3", "AvgPool", 1, "SAME")


def start(scope: str, seed: int, weights: Mapping[str, Array] | None) -> tuple[Layers, Layers]:
    """The layers of an Inception network's head and of its base: batch norms without a scale.

    Slim enters the network's scope a second time for the base; nodes show it, variables don't.
    """
    head = Layers(variables=variables(seed, weights), gamma=False).within(scope)
    return head, head.again(scope)


def mixed(layers: Layers, x: Tensor, name: str, branches: Branches) -> Tensor:
    """The branches of one block, each in a scope of its own, concatenated."""
    layers = layers.within(name)
    ends = [
        chain(layers.within(f"Branch_{index}"), x, steps) for index, steps in enumerate(branches)
    ]
    return layers.concat(ends)


def chain(layers: Layers, x: Tensor, steps: Sequence[Step]) -> Tensor:
    """One step after the other."""
    for step in steps:
        match step:
            case Conv(name, channels, kernel, stride, padding):
                x = layers.conv(x, name, channels, kernel, stride, padding)
            case Pool(name, kind, stride, padding):
                x = layers.pool(x, name, kind, 3, stride, padding)
            case Fork(convs):
                x = layers.concat([chain(layers, x, [each]) for each in convs])
    return x
