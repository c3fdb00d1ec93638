"""COCO, from wherever it is to batches of images and to what there is to find in them.

The ground truth is a plain COCO dict. It comes from the JSON file where there is one, for other
converters left out the boxes that reach over the border; else from the records themselves.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial

from modelzoo_runner.data import coco_images, records
from modelzoo_runner.data.batches import Batch, Transform
from modelzoo_runner.data.coco_annotations import Annotations, joined, restricted
from modelzoo_runner.data.coco_collected import Collected
from modelzoo_runner.data.coco_features import Features
from modelzoo_runner.data.coco_find import CocoSource, find
from modelzoo_runner.data.coco_images import Encoded
from modelzoo_runner.data.coco_records import read_image
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import DataError, RequestError

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
    "restricted",
]

HELD = 8
"""How many batches' worth of images may wait for others of their size."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The truth of a batch: which images it holds.

    `ids` are COCO's numbers, `sizes` the height and width in pixels that boxes are shares of (of
    the padded image, where it was padded).
    """

    ids: tuple[int, ...]
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
        before = itertools.accumulate((records.count(file) for file in needed), initial=0)
        needed = tuple(file for file, passed in zip(needed, before, strict=False) if passed < limit)
    return needed if source.annotations_file is None else (*needed, source.annotations_file)


def ground_truth(source: CocoSource, *, first: int = 0, limit: int | None = None) -> Annotations:
    """What there is to find in the images of a source, or in `limit` of them from `first` on.

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
        found.add(features, read_image(features)[1])
    return restricted(found.annotations, found.image_ids)


def collected(source: CocoSource) -> Collected:
    """What to collect the ground truth of records in, while they are read."""
    return Collected(source.annotations, source.label_map)


def batches(
    source: CocoSource,
    *,
    batch_size: int = 1,
    first: int = 0,
    limit: int | None = None,
    threads: int = 1,
    repeat: bool = False,
    pad: bool = False,
    transform: Transform | None = None,
    truth: Collected | None = None,
) -> Generator[Batch]:
    """The images of a source, each exactly once, as uint8 [n, height, width, 3] in RGB.

    A batch holds images of one size: an image waits for others of its size, within bounds, so
    batches may be shorter than asked for and images out of order. With a batch size of 1, or
    `pad`, images come in order. Images are decoded ahead in threads. `truth` is an `Images`.
    Close the iterator when it isn't read to its end.

    Args:
        source: what `find` found.
        batch_size: from 1.
        first: leave out so many images at the beginning; they are passed over, not read.
        limit: only so many images of the source.
        threads: for decoding.
        repeat: start again at the end, and never end.
        pad: batches of unequal images, with black at the right and the bottom up to the largest.
            What a detector finds may change with it: many resize what they get.
        transform: from one image, uint8 [1, height, width, 3], to what the graph takes; for graphs
            whose preprocessing is a graph of its own. Called in the threads.
        truth: collect the ground truth of the records in it, for sources that are read once only.

    Raises:
        RequestError: `batch_size`, `limit` or `threads` isn't positive.
        DataError: at the image that can't be read or decoded, or hasn't its annotation's size.
    """
    for name, value in (("batch_size", batch_size), ("limit", limit), ("threads", threads)):
        if value is not None and value < 1:
            raise RequestError(f"{name}={value}: should be from 1")
    if first < 0:
        raise RequestError(f"first={first}: should be from 0")
    return _batches(source, batch_size, first, limit, threads, repeat, pad, transform, truth)


def _batches(
    source: CocoSource,
    batch_size: int,
    first: int,
    limit: int | None,
    threads: int,
    repeat: bool,
    pad: bool,
    transform: Transform | None,
    truth: Collected | None,
) -> Generator[Batch]:
    rounds = itertools.repeat(None) if repeat else (None,)
    encoded = itertools.chain.from_iterable(
        itertools.islice(_encoded(source, first, truth), limit) for _ in rounds
    )
    decode = partial(coco_images.decode, transform=transform)
    decoded = coco_images.ahead(decode, encoded, threads=threads, window=batch_size + threads)
    with contextlib.closing(decoded):
        for group in coco_images.grouped(
            decoded,
            lambda image: None if pad else image.pixels.shape,
            size=batch_size,
            held=HELD * batch_size,
        ):
            inputs = coco_images.stacked(group)
            sizes = [each.size for each in group]
            if pad and transform is None:
                sizes = [inputs.shape[1:3]] * len(group)
            yield Batch(
                inputs,
                Images(ids=tuple(each.image_id for each in group), sizes=tuple(sizes)),
                tuple(each.name for each in group),
            )


def _encoded(source: CocoSource, first: int, truth: Collected | None) -> Iterator[Encoded]:
    if source.kind == "records":
        for features in _features(source, first):
            data, image = read_image(features)
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
    sizes = {image["id"]: (image["height"], image["width"]) for image in known}
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
        passed = min(first, records.count(file)) if first else 0
        first -= passed
        for number, record in enumerate(records.read_records(file, first=passed), start=passed):
            yield Features(record, f"{file}: record {number}")
