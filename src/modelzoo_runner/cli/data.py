"""The commands for data and detections: `convert` and `score`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from cyclopts import App

import modelzoo_runner
from modelzoo_runner.cli import options, output

convert = App(name="convert", help="Convert a folder of images to TFRecords.")


@convert.command
@options.like(modelzoo_runner.convert_imagenet)
def imagenet(
    images: options.File,
    labels: options.File,
    out: options.File,
    /,
    *,
    to: output.Output = output.PLAIN,
    **given: Any,
) -> None:
    """Convert ImageNet's images, with their labels."""
    _convert(functools.partial(modelzoo_runner.convert_imagenet, images, labels, out, **given), to)


@convert.command
@options.like(modelzoo_runner.convert_coco)
def coco(
    images: options.File,
    annotations: options.File,
    out: options.File,
    /,
    *,
    to: output.Output = output.PLAIN,
    **given: Any,
) -> None:
    """Convert COCO's images, with their annotations."""
    _convert(functools.partial(modelzoo_runner.convert_coco, images, annotations, out, **given), to)


def _convert(function: Callable[..., object], to: output.Output) -> None:
    output.show(function(progress=to.progress), to)


@options.like(modelzoo_runner.score_detections)
def score(
    detections: options.File,
    annotations: options.File,
    /,
    *,
    to: output.Output = output.PLAIN,
    **given: Any,
) -> None:
    """Score saved detections without running anything."""
    output.show(modelzoo_runner.score_detections(detections, annotations, **given), to)
