"""Layers with their weights, added to the default TensorFlow graph under slim's node names.

A layer here is what a frozen training export holds: each weight a Const behind an Identity `read`,
then the convolution, the batch norm and the activation as nodes of their own. Nothing is folded:
that is the work of the load-time optimization.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelzoo_runner.errors import RequestError

if TYPE_CHECKING:
    from modelzoo_runner.backends.tensorflow.topologies.weights import Variables

Tensor = Any
Graph = Any
GraphDef = Any
Kernel = int | tuple[int, int]
Padding = Literal["SAME", "VALID", "SYMMETRIC"]
"""`SYMMETRIC` pads with zeros by the kernel's half on each side, whatever the input's size."""
Norm = Literal["batch", "bias", "none"]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Adds layers to the default graph, all with the same conventions.

    `scope` and `node_scope` come before the names of variables and of nodes: slim enters the scope
    of a network's base twice, so its nodes carry the first part of the name twice.
    `gamma` says whether batch norms have a scale of their own; `activation` is the op after them.
    """

    variables: Variables
    scope: str = ""
    node_scope: str = ""
    epsilon: float = 0.001
    gamma: bool = True
    activation: str = "Relu"

    def within(self, scope: str) -> Layers:
        """The same one scope deeper."""
        return dataclasses.replace(
            self, scope=f"{self.scope}{scope}/", node_scope=f"{self.node_scope}{scope}/"
        )

    def again(self, scope: str) -> Layers:
        """The same with the nodes one scope deeper and the variables where they are."""
        return dataclasses.replace(self, node_scope=f"{self.node_scope}{scope}/")

    def variable(self, name: str, shape: tuple[int, ...], gain: float = 1.0) -> Tensor:
        """A frozen variable: a Const and the Identity through which it is read."""
        import tensorflow as tf

        name = self.scope + name
        held = tf.constant(self.variables(name, shape, gain), name=name)
        return tf.raw_ops.Identity(input=held, name=f"{name}/read")

    def conv(
        self,
        x: Tensor,
        name: str,
        channels: int,
        kernel: Kernel = 1,
        stride: int = 1,
        padding: Padding = "SAME",
        *,
        norm: Norm = "batch",
        activate: bool = True,
        gain: float = 1.0,
    ) -> Tensor:
        """A convolution, then `norm`, then the activation unless `activate` is false."""
        import tensorflow as tf

        height, width = sides(kernel)
        if padding == "SYMMETRIC":
            x, padding = self.pad(x, (height, width), parent(name)), "VALID"
        weights = self.variable(f"{name}/weights", (height, width, x.shape[-1], channels), gain)
        x = tf.raw_ops.Conv2D(
            input=x,
            filter=weights,
            strides=[1, stride, stride, 1],
            padding=padding,
            name=f"{self.node_scope}{name}/Conv2D",
        )
        return self.finish(x, name, norm, activate=activate)

    def depthwise(
        self, x: Tensor, name: str, kernel: Kernel = 3, stride: int = 1, *, gain: float = 1.0
    ) -> Tensor:
        """One kernel for each channel, batch norm, activation; SAME padding."""
        import tensorflow as tf

        shape = (*sides(kernel), x.shape[-1], 1)
        x = tf.raw_ops.DepthwiseConv2dNative(
            input=x,
            filter=self.variable(f"{name}/depthwise_weights", shape, gain),
            strides=[1, stride, stride, 1],
            padding="SAME",
            name=f"{self.node_scope}{name}/depthwise",
        )
        return self.finish(x, name, "batch", activate=True)

    def dense(self, x: Tensor, name: str, units: int, *, gain: float = 1.0) -> Tensor:
        """A matrix product and its bias: [n, inputs] to [n, units]."""
        import tensorflow as tf

        weights = self.variable(f"{name}/weights", (x.shape[-1], units), gain)
        x = tf.raw_ops.MatMul(a=x, b=weights, name=f"{self.node_scope}{name}/MatMul")
        return self.bias(x, name)

    def finish(self, x: Tensor, name: str, norm: Norm, *, activate: bool) -> Tensor:
        """What follows a convolution or a matrix product."""
        if norm == "batch":
            x = self.batch_norm(x, f"{name}/BatchNorm")
        elif norm == "bias":
            x = self.bias(x, name)
        return self.activate(x, name) if activate else x

    def batch_norm(self, x: Tensor, name: str) -> Tensor:
        """A batch norm with frozen statistics."""
        import numpy as np
        import tensorflow as tf

        shape = (x.shape[-1],)
        ones = np.ones(shape, np.float32)
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.variable(f"{name}/gamma", shape)
            if self.gamma
            else tf.constant(ones, name=f"{self.node_scope}{name}/Const"),
            offset=self.variable(f"{name}/beta", shape),
            mean=self.variable(f"{name}/moving_mean", shape),
            variance=self.variable(f"{name}/moving_variance", shape),
            epsilon=self.epsilon,
            is_training=False,
            name=f"{self.node_scope}{name}/FusedBatchNormV3",
        ).y

    def bias(self, x: Tensor, name: str) -> Tensor:
        """Adds the variable `name`/biases."""
        import tensorflow as tf

        biases = self.variable(f"{name}/biases", (x.shape[-1],))
        return tf.raw_ops.BiasAdd(value=x, bias=biases, name=f"{self.node_scope}{name}/BiasAdd")

    def activate(self, x: Tensor, name: str) -> Tensor:
        """The activation of these conventions."""
        import tensorflow as tf

        operation = getattr(tf.raw_ops, self.activation)
        return operation(features=x, name=f"{self.node_scope}{name}/{self.activation}")

    def pad(self, x: Tensor, kernel: Kernel, name: str = "") -> Tensor:
        """Zeros around height and width, as many as a kernel of this size reaches over."""
        import numpy as np
        import tensorflow as tf

        around = [((side - 1) // 2, side // 2) for side in sides(kernel)]
        paddings = np.array([(0, 0), *around, (0, 0)], np.int32)
        name = f"{self.node_scope}{name}Pad"
        return tf.raw_ops.Pad(
            input=x, paddings=tf.constant(paddings, name=f"{name}/paddings"), name=name
        )

    def pool(
        self,
        x: Tensor,
        name: str,
        kind: Literal["MaxPool", "AvgPool"],
        kernel: Kernel,
        stride: int,
        padding: Literal["SAME", "VALID"],
    ) -> Tensor:
        """The maximum or the mean over windows; padding counts in neither."""
        import tensorflow as tf

        height, width = sides(kernel)
        argument = {"MaxPool": "input", "AvgPool": "value"}[kind]
        return getattr(tf.raw_ops, kind)(
            **{argument: x},
            ksize=[1, height, width, 1],
            strides=[1, stride, stride, 1],
            padding=padding,
            name=f"{self.node_scope}{name}/{kind}",
        )

    def concat(self, parts: list[Tensor], name: str = "concat") -> Tensor:
        """The parts side by side in the channels."""
        import tensorflow as tf

        name = self.node_scope + name
        axis = tf.constant(3, name=f"{name}/axis")
        return tf.raw_ops.ConcatV2(values=parts, axis=axis, name=name)


def sides(kernel: Kernel) -> tuple[int, int]:
    """Height and width of a kernel."""
    return (kernel, kernel) if isinstance(kernel, int) else kernel


def parent(name: str) -> str:
    """The scope a name is in, with its slash; empty for none."""
    return "".join(name.rpartition("/")[:2])


def positive(**numbers: int) -> None:
    """Checks that each is 1 or more.

    Raises:
        RequestError: naming the first that isn't.
    """
    for name, number in numbers.items():
        if number < 1:
            raise RequestError(f"{name}={number}: it has to be at least 1")
