"""The topologies that can be built, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from modelzoo_runner.backends.tensorflow.topologies.builder import GraphDef
from modelzoo_runner.backends.tensorflow.topologies.inception import inception
from modelzoo_runner.backends.tensorflow.topologies.mobilenet_v1 import mobilenet_v1
from modelzoo_runner.backends.tensorflow.topologies.region_detectors import region_detector
from modelzoo_runner.backends.tensorflow.topologies.resnet_v1 import resnet_v1
from modelzoo_runner.backends.tensorflow.topologies.ssd import ssd_mobilenet_v1
from modelzoo_runner.errors import RequestError, did_you_mean

_TOPOLOGIES: Mapping[str, Callable[..., GraphDef]] = {
    "faster_rcnn_resnet50": partial(region_detector, 50),
    "inception_resnet_v2": partial(inception, "InceptionResnetV2"),
    "inception_v3": partial(inception, "InceptionV3"),
    "inception_v4": partial(inception, "InceptionV4"),
    "mobilenet_v1": mobilenet_v1,
    "resnet_v1_50": partial(resnet_v1, 50),
    "resnet_v1_101": partial(resnet_v1, 101, classes=1000),
    "rfcn_resnet101": partial(region_detector, 101),
    "ssd_mobilenet_v1": ssd_mobilenet_v1,
}


def names() -> tuple[str, ...]:
    """The topologies there are, sorted."""
    return tuple(sorted(_TOPOLOGIES))


def build(topology: str, *, seed: int = 0, **parameters: Any) -> GraphDef:
    """A frozen GraphDef of that topology with weights drawn from `seed`.

    The same call gives the same graph: `SerializeToString(deterministic=True)` is the same bytes.

    Args:
        topology: one of `names()`.
        seed: an integer from 0.
        **parameters: of that topology, as its function in this package says: every topology takes
            `weights`, arrays by variable name to hold in place of random ones.

    Raises:
        RequestError: no such topology or parameter, with the near ones; a value that can't be.
    """
    if topology not in _TOPOLOGIES:
        raise RequestError(
            f"topology={topology!r}: no such topology. {did_you_mean(topology, names())}"
        )
    function = _TOPOLOGIES[topology]
    allowed = tuple(inspect.signature(function).parameters)
    for parameter in parameters:
        if parameter not in allowed:
            raise RequestError(
                f"{parameter}={parameters[parameter]!r}: {topology} has no such parameter. "
                f"{did_you_mean(parameter, allowed)}"
            )
    return function(seed=seed, **parameters)
