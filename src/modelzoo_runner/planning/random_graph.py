"""A preset's network with seeded random weights: built once, in float32 or int8, and cached.

The cache folder is named after the versions of what makes the graph. A child process makes the
int8 graph: calibrating runs the network, which sizes TensorFlow's thread pools, and the run after
it has to choose that itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import atomic, codec
from modelzoo_runner.values.context import QUIET, Context
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset

EXAMPLES = 4
"""Made inputs to calibrate an int8 graph with, in the model's real range. Random weights have no
accuracy to lose: what counts is that no range is far off."""

TOPOLOGIES_VERSION = 1
"""Raised with every change after which a topology has other nodes or other weights."""

QUANTIZER_VERSION = 1
"""Raised with every change after which quantizing the same graph gives another one."""


def cached(plan: Plan, preset: Preset, context: Context = QUIET) -> tuple[Path, str]:
    """The file of the preset's network with the weights of `plan.seed`, and its SHA-256.

    Raises:
        RequestError: the preset names no network.
        FetchError: it can't be cached.
        WorkerError: the child that quantizes it died.
    """
    if preset.topology is None:
        raise RequestError(
            f'weights="random": the preset {preset.name!r} names no topology to build'
        )
    if plan.precision == "int8":
        return _quantized(plan, preset.topology, context)
    return _built(plan, preset.topology, context)


def _built(plan: Plan, topology: str, context: Context) -> tuple[Path, str]:
    from modelzoo_runner.backends.tensorflow.topologies import catalog
    from modelzoo_runner.machine import environment
    from modelzoo_runner.storage import built

    def build(path: Path) -> None:
        # TensorFlow is loaded by this, and reads once what the run is to have.
        with context.phase("build"), environment.variables(plan.placement.env):
            graph_def = catalog.build(topology, seed=plan.seed)
            with atomic.writing(path) as file:
                file.write(graph_def.SerializeToString(deterministic=True))

    path = folder(f"topologies {TOPOLOGIES_VERSION}") / f"{topology}_seed{plan.seed}.pb"
    return path, built.get_or_build(path, build)


def _quantized(plan: Plan, topology: str, context: Context) -> tuple[Path, str]:
    from modelzoo_runner.execution import launch, protocol
    from modelzoo_runner.storage import built

    calibrating = dataclasses.replace(
        plan,
        data_location=None,
        annotations=None,
        batch_size=1,
        limit=EXAMPLES,
        instances=(),
        timeout=None,
    )

    def quantize(path: Path) -> None:
        fp32, sha256 = _built(plan, topology, context)
        file = dataclasses.replace(plan.graph, path=str(fp32), sha256=sha256)
        asked = dataclasses.replace(calibrating, graph=file)
        with context.phase("quantize"):
            launch.write(asked, protocol.QUANTIZE, path, context)

    # What is fed decides the ranges, and a preset of one's own may say otherwise.
    fed = codec.to_dict(calibrating)
    said = {key: fed[key] for key in ("graph", "preprocess", "input_shape", "limit")}
    made_in = folder(
        f"topologies {TOPOLOGIES_VERSION}",
        f"quantizer {QUANTIZER_VERSION}",
        json.dumps(said, sort_keys=True),
    )
    path = made_in / f"{topology}_seed{plan.seed}_int8.pb"
    return path, built.get_or_build(path, quantize)


def folder(*made_of: str) -> Path:
    """The cache folder of graphs made by these versions and this TensorFlow."""
    from modelzoo_runner.machine import facts
    from modelzoo_runner.storage import built, settings

    parts = (*made_of, f"tensorflow {facts.tensorflow_version()}")
    digest = hashlib.sha256("\n".join(parts).encode())
    return built.folder(settings.cache_folder()) / digest.hexdigest()[:16]
