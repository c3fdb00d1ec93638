"""Batches of a plan without data: random values or images of the shape that the graph takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelzoo_runner.backends.base import ENCODED, Step, TensorSpec, show_shape
from modelzoo_runner.data import batches as made
from modelzoo_runner.errors import RequestError
from modelzoo_runner.values.plan import Plan

if TYPE_CHECKING:
    from modelzoo_runner.data.batches import Batch, Transform

IMAGE = (480, 640)
"""Height and width of an encoded image, where nobody says: COCO's most common."""

DISTINCT = 4
"""How many different batches of encoded images are made."""

VALUE_RANGES = {"uint8": (0.0, 255.0)}
"""Of inputs whose preprocessing nobody has described; a float is taken to be in 0..1."""


def batches(
    plan: Plan, step: Step | TensorSpec, prepare: Step | None, image: tuple[int, int] | None
) -> Iterator[Batch]:
    """Batches without end, for the arguments of `base.open_source`.

    `image` is the task's usual height and width, where the graph leaves them open.

    Raises:
        RequestError: neither the graph nor the plan says the shape of an example.
    """
    takes = prepare or step
    if takes.input_dtype == ENCODED:
        return _encoded(plan)
    if plan.preprocess is not None:
        value_range = plan.preprocess.value_range
    else:
        value_range = VALUE_RANGES.get(takes.input_dtype, (0.0, 1.0))
    return made.synthetic(
        shape=(plan.batch_size, *example_shape(plan, takes, image)),
        dtype=takes.input_dtype,
        value_range=value_range,
        seed=plan.seed,
        transform=transform(prepare),
        # As many as are asked for; a benchmark has no limit, and goes over the same few.
        **({} if plan.limit is None else {"distinct": -(-plan.limit // plan.batch_size)}),
    )


def transform(prepare: Step | None) -> Transform | None:
    """What is done with each image as it is decoded."""
    return None if prepare is None else lambda image: prepare(image)[0]


def _encoded(plan: Plan) -> Iterator[Batch]:
    """Random JPEG images, of `input_shape` or else of COCO's most common size."""
    import numpy as np

    height, width = (plan.input_shape or IMAGE)[:2]
    rng = np.random.default_rng(plan.seed)
    shape = (plan.batch_size,)
    every = (made.encoded_images(shape, height, width, rng) for _ in range(DISTINCT))
    return itertools.cycle([made.Batch(each) for each in every])


def example_shape(
    plan: Plan, step: Step | TensorSpec, image: tuple[int, int] | None
) -> tuple[int, ...]:
    """The shape of one made example, without the batch; `image` as in `batches`.

    Raises:
        RequestError: neither the graph nor the plan says it.
    """
    if plan.input_shape is not None:
        wanted = (step.input_shape or (None, *plan.input_shape))[1:]
        if len(wanted) != len(plan.input_shape):
            raise RequestError(
                f"input_shape={plan.input_shape}: the graph takes examples of the shape "
                f"{show_shape(wanted)}; give all of its sizes, as input_shape=(224, 224, 3)"
            )
        return plan.input_shape
    if plan.preprocess is not None:
        return (*plan.preprocess.size, 3)
    wanted = (step.input_shape or ())[1:]
    if image is not None:
        usual = (*image, 3)
        wanted = tuple(size or default for size, default in zip(wanted, usual, strict=False))
    shape = tuple(size for size in wanted if size is not None)
    if not shape or len(shape) < len(wanted):
        raise RequestError(
            f"input_shape: the graph's input {plan.graph.input} has shape {step.input_shape}; "
            "say the shape of one example, as input_shape=(224, 224, 3)"
        )
    return shape
