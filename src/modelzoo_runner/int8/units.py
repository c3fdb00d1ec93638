"""What of a graph one int8 operation can do: a product and all that can be done in the same go.

A unit is a convolution or a matrix product with what follows it: bias, the sum with a shortcut,
ReLU. A carrier (pooling, concatenation) works on integers as they are. No value range is known yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
"""The operations that have an int8 form: all that is heavy in these models."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A product of its input with constant weights, and what follows it up to `output`.

    `input`, `summand` and `output` are tensors, `name` is the product's node, and `nodes` are all
    the nodes it stands for. `weights` are `[height, width, in, out]`, for a depthwise product
    `[height, width, in, 1]`, for a matrix product `[in, out]`.
    `pads` are the rows and columns of zeros around the input (top, bottom, left, right), whether
    `padding` or something else asks for them; None where SAME needs a size that isn't fixed.
    """

    name: str
    op: str
    input: str
    output: str
    nodes: tuple[str, ...]
    weights: NDArray[Any]
    bias: NDArray[Any]
    strides: tuple[int, ...] = (1, 1)
    dilations: tuple[int, ...] = (1, 1)
    padding: Literal["SAME", "VALID"] = "VALID"
    pads: tuple[int, ...] | None = ()
    summand: str | None = None
    activation: str = ""

    @property
    def channel_axis(self) -> int:
        """The axis of `weights` along which the output's channels are."""
        return 2 if self.op == "DepthwiseConv2dNative" else self.weights.ndim - 1

    @property
    def pairs_axis(self) -> int | None:
        """The axis of `weights` along which neighbouring products are added up first, if any."""
        return {"Conv2D": 2, "MatMul": 0}.get(self.op)

    @property
    def channels(self) -> int:
        """How many channels the output has."""
        return int(self.weights.shape[self.channel_axis])

    @property
    def sees_padding(self) -> bool:
        """Whether zeros around the input go into the sums."""
        return self.pads is None or any(self.pads)

    def by_channel(self, weighted: NDArray[Any]) -> NDArray[Any]:
        """The sums, by each of the output's channels, of something in the weights' shape."""
        axes = tuple(axis for axis in range(weighted.ndim) if axis != self.channel_axis)
        sums: NDArray[Any] = weighted.sum(axis=axes)
        return sums

    def then(self, node: str, **changes: Any) -> Unit:
        """This unit with one more node taken in, which puts the result out."""
        return replace(self, nodes=(*self.nodes, node), output=node, **changes)


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A node that takes integers and puts out integers of the same scale."""

    name: str
    op: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that can be int8 in a graph, keyed by the tensor it puts out.

    `left` says of each product that can't be int8 why; `positive` are tensors that are never below
    zero, by what computes them.
    """

    units: Mapping[str, Unit]
    carriers: Mapping[str, Carrier]
    left: Mapping[str, str]
    positive: frozenset[str]

    def is_int8(self, tensor: str) -> bool:
        """Whether a tensor will be there as integers; a matrix product's result isn't."""
        unit = self.units.get(tensor)
        return tensor in self.carriers or (unit is not None and unit.op != "MatMul")
