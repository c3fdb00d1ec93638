"""The commands for data and detections: `convert` and `score`."""

from __future__ import annotations

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
    found = modelzoo_runner.convert_imagenet(images, labels, out, progress=to.progress, **given)
    output.show(found, to)


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
    found = modelzoo_runner.convert_coco(images, annotations, out, progress=to.progress, **given)
    output.show(found, to)


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
