"""COCO data -> batches of images, and their ground truth.

The ground truth is a plain COCO dict. It comes from the JSON file where there is one, for other
converters left out the boxes that reach over the border; else from the records themselves.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import records
from modelzoo_runner.data.batches import Batch, ReadOptions, Transform, ahead, grouped
from modelzoo_runner.data.coco_annotations import Annotations, joined, restricted
from modelzoo_runner.data.coco_find import CocoSource, find
from modelzoo_runner.data.coco_records import Collected, read_image
from modelzoo_runner.data.examples import Features
from modelzoo_runner.data.images import Decoded, Encoded, decode, keep_encoded
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import DataError
from modelzoo_runner.values.coco_instances import Id

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CocoSource",
    "Images",
    "batches",
    "collected",
    "count",
    "files_of",
    "find",
    "ground_truth",
    "joined",
    "record_files",
    "restricted",
]

EVERYTHING = ReadOptions()

HELD = 8
"""How many batches' worth of images may wait for others of their size."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Which images a batch holds: their `ids`, and their `sizes`, height and width in pixels."""

    ids: tuple[Id, ...]
    sizes: tuple[tuple[int, int], ...]


def count(source: CocoSource) -> int:
    """The number of images there are.

    Raises:
        DataError: a record file is broken.
    """
    if source.kind == "images":
        return len(source.files)
    return sum(records.count(file) for file in source.files)


def files_of(source: CocoSource, limit: int | None = None) -> tuple[ReadablePath, ...]:
    """The files that hold the first `limit` images, or all, and their annotations.

    Raises:
        DataError: a record file is broken.
    """
    needed = source.files
    if limit is not None and source.kind == "images":
        needed = needed[:limit]
    elif limit is not None:
        needed = record_files(source, 0, limit)
    return needed if source.annotations_file is None else (*needed, source.annotations_file)


def record_files(source: CocoSource, start: int, stop: int | None) -> tuple[ReadablePath, ...]:
    """The record files with the images from number `start` up to `stop`, by default the last.

    Raises:
        DataError: a record file is broken.
    """
    if not start and stop is None:
        return source.files
    ends = itertools.accumulate(map(records.count, source.files), initial=0)
    spans = zip(source.files, itertools.pairwise(ends), strict=True)
    return tuple(
        file for file, (first, end) in spans if end > start and (stop is None or first < stop)
    )


def ground_truth(source: CocoSource, *, first: int = 0, limit: int | None = None) -> Annotations:
    """The ground truth of the images of a source, or in `limit` of them from `first` on.

    Raises:
        DataError: there are no annotations; a record is broken or says what can't be; two records
            are of the same image.
    """
    if source.kind == "images":
        if source.annotations is None:
            folder = source.files[0].parent
            raise DataError(
                f"{folder}: no instances_*.json in it, in its annotations, or in those places "
                "of the folder above: without it there is nothing to score against. Put "
                f"instances_{folder.name}.json there, or give annotations=."
            )
        stop = None if limit is None else first + limit
        return restricted(source.annotations, source.image_ids[first:stop])
    found = collected(source)
    for features in itertools.islice(_features(source, first), limit):
        found.add(features, read_image(features, source.known)[1])
    return restricted(found.annotations, found.image_ids)


def collected(source: CocoSource) -> Collected:
    """Collects the ground truth of records while they are read."""
    return Collected(source.annotations, source.label_map)


def with_sizes(truth: Annotations, sizes: Mapping[Id, tuple[int, int]]) -> Annotations:
    """The ground truth of those images alone, with their heights and widths."""
    truth = restricted(truth, sizes)
    images = [
        {**image, "height": sizes[image["id"]][0], "width": sizes[image["id"]][1]}
        for image in truth["images"]
    ]
    return {**truth, "images": images}


def batches(
    source: CocoSource,
    options: ReadOptions = EVERYTHING,
    *,
    transform: Transform | None = None,
    truth: Collected | None = None,
    decoded: bool = True,
) -> Generator[Batch]:
    """The images of a source, each exactly once, as uint8 [n, height, width, 3] in RGB.

    A batch holds images of one size: an image waits for others of its size, within bounds, so
    batches may be shorter than asked for and images out of order. With a batch size of 1 images
    come in order. Images are decoded ahead in threads. A batch's `truth` is an `Images`.
    Close the iterator when it isn't read to its end.

    Args:
        source: what `find` found.
        options: which images; by default all, one by one.
        transform: from one image, uint8 [1, height, width, 3], to what the graph takes; for graphs
            whose preprocessing is a graph of its own. Called in the threads.
        truth: collect the ground truth of the records in it, for sources that are read once only.
        decoded: false gives the encoded images, bytes [n], of any sizes together.

    Raises:
        DataError: at the image that can't be read or decoded, or hasn't its annotation's size.
    """
    rounds = itertools.repeat(None) if options.repeat else (None,)
    encoded = itertools.chain.from_iterable(
        itertools.islice(_encoded(source, options.first, truth), options.limit) for _ in rounds
    )
    images = ahead(
        partial(decode, transform=transform) if decoded else keep_encoded,
        encoded,
        threads=options.threads,
        window=options.batch_size + options.threads,
    )
    size = options.batch_size
    with contextlib.closing(images):
        for group in grouped(images, lambda image: image.pixels.shape, size=size, held=HELD * size):
            ids, sizes, names = zip(*((e.image_id, e.size, e.name) for e in group), strict=True)
            yield Batch(_stacked(group), Images(ids=ids, sizes=sizes), names)


def _stacked(group: list[Decoded]) -> np.ndarray[Any, Any]:
    import numpy as np

    # A view where there is one image: its memory is TensorFlow's, aligned already.
    return group[0].pixels[None] if len(group) == 1 else np.stack([each.pixels for each in group])


def _encoded(source: CocoSource, first: int, truth: Collected | None) -> Iterator[Encoded]:
    if source.kind == "records":
        for features in _features(source, first):
            data, image = read_image(features, source.known)
            if truth is not None:
                truth.add(features, image)
            yield Encoded(
                name=image["file_name"],
                image_id=image["id"],
                where=features.where,
                data=data,
                size=(image["height"], image["width"]),
            )
        return
    known = source.annotations["images"] if source.annotations is not None else ()
    sizes = {image["id"]: (image["height"], image["width"]) for image in known if "height" in image}
    for path, image_id in list(zip(source.files, source.image_ids, strict=True))[first:]:
        yield Encoded(
            name=path.name,
            image_id=image_id,
            where=str(path),
            data=path,
            size=sizes.get(image_id),
        )


def _features(source: CocoSource, first: int) -> Iterator[Features]:
    for file in source.files:
        if first and first >= records.count(file):
            first -= records.count(file)
            continue
        passed, first = first, 0
        for number, record in enumerate(records.read_records(file, first=passed), start=passed):
            yield Features(record, f"{file}: record {number}")
