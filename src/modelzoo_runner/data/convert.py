"""Raw images and their labels or annotations -> record files."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelzoo_runner.data import images as encoded_images
from modelzoo_runner.data import output
from modelzoo_runner.data.batches import Item, ahead
from modelzoo_runner.data.coco_find import find
from modelzoo_runner.data.coco_records import clipped, to_record
from modelzoo_runner.data.examples import serialized
from modelzoo_runner.data.images import Encoded, decode
from modelzoo_runner.data.labelled import LabelledImage, labelled_images
from modelzoo_runner.data.paths import read_bytes
from modelzoo_runner.data.records import writing
from modelzoo_runner.errors import DataError, RequestError, visible
from modelzoo_runner.values import bars, remote, validate
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.progress import Told
from modelzoo_runner.values.remote import RemotePath

IMAGES_PER_SHARD = 400
"""As the converters of old: 128 shards for the 50,000 validation images."""

MOST_SHARDS = 128


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion made.

    `left_out` is the number of images in the folder that the labels don't name.
    """

    folder: Path | RemotePath
    files: tuple[Path | RemotePath, ...]
    images: int
    classes: int
    left_out: int

    def __str__(self) -> str:
        """Two lines for people."""
        left_out = f"; {self.left_out} not in the labels, left out" if self.left_out else ""
        return visible(
            f"{self.images} images of {self.classes} classes{left_out}\n"
            f"{self.folder}: {len(self.files)} files, {self.files[0].name} and so on"
        )


@dataclass(frozen=True, kw_only=True)
class CocoConversion:
    """What was written. All counts but `images` are of annotations, and all of those are kept.

    `clipped` reach over the border of their image, `empty` have no width or height, `unlisted` are
    of no listed image and so the only ones that are in no record.
    """

    files: tuple[Path | RemotePath, ...]
    images: int
    images_without_objects: int
    annotations: int
    crowds: int
    clipped: int
    empty: int
    unlisted: int

    def __str__(self) -> str:
        """Two lines for people."""
        return visible(
            f"{self.images} images, {self.images_without_objects} of them without objects, and "
            f"{self.annotations} boxes: {self.crowds} crowds, {self.clipped} over the border, "
            f"{self.empty} without area; {self.unlisted} of no listed image, left out\n"
            f"{self.files[0].parent}: {len(self.files)} files, {self.files[0].name} first"
        )


@bars.shown
def convert_imagenet(
    images: Path | str,
    labels: Path | str,
    out: Path | str,
    *,
    shards: int | None = None,
    threads: int | None = None,
    progress: Told = None,
) -> ConversionReport:
    """Record files `validation-*-of-*` made from a folder of images.

    The images' own bytes are kept: nothing is encoded again, so accuracy is that of the originals.
    (The old converters re-encode CMYK JPEGs and PNGs; here both are decoded rightly when read.)
    Every image is decoded once to see that it can be. The order mixes the classes and, like every
    byte written, depends on the images and labels alone: the first n images are a fair sample.

    Args:
        images: a folder: folders named by synset with the images in them, or images, whose names
            begin with their synset or are in a list.
        labels: a text file: the 1000 synsets, or '<file name> <label>' lines; see
            `labelled.labelled_images`.
        out: a new or empty folder, here or in a store. It appears whole, or after a failure not at
            all.
        shards: how many files; by default one for every 400 images, 128 at most.
        threads: how many images are read at once; by default one for each usable CPU.
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.

    Raises:
        RequestError: for a number that can't be.
        DataError: naming the image that can't be decoded, the label that can't be right, or what
            is in the way in `out`.
    """
    context = Context(progress=progress)
    folder = remote.path(out)
    output.check_free(folder)
    found, left_out = labelled_images(Path(images).expanduser(), Path(labels).expanduser())
    found.sort(key=_mixed)
    if shards is None:
        shards = min(MOST_SHARDS, -(-len(found) // IMAGES_PER_SHARD))
    _check_shards(shards, min(len(found), 99_999))
    names = [f"validation-{number:05}-of-{shards:05}" for number in range(shards)]
    _write(_record, found, folder, names, threads, context)
    classes = len({each.class_index for each in found})
    return ConversionReport(
        folder, tuple(folder / name for name in names), len(found), classes, left_out
    )


@bars.shown
def convert_coco(
    images: Path | str,
    annotations: Path | str,
    out: Path | str,
    *,
    shards: int = 1,
    name: str = "coco_val.record",
    progress: Told = None,
) -> CocoConversion:
    """Write COCO's images and annotations as TFRecords.

    Every annotated image becomes a record, in the order of the annotations, and every annotation
    is kept: scores from the records are exactly those from the JSON. Every image is decoded once to
    see that it can be; its own bytes are kept. The folder appears whole or not at all.

    Args:
        images: the folder of images, such as val2017.
        annotations: its `instances_*.json`.
        out: a folder that is not there yet, or empty; here, or in a store.
        shards: how many files. One is called `name`, more `<name>-00000-of-00010` and so on.
        name: of the file or of the files.
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.

    Raises:
        RequestError: `shards` isn't between 1 and the number of images.
        DataError: an image is missing, can't be decoded or isn't of the size its annotation says;
            the annotations are broken; `out` has files in it or can't be written.
    """
    context = Context(progress=progress)
    folder = remote.path(out)
    output.check_free(folder)
    source = find(images, annotations)
    if source.kind != "images" or source.annotations is None:
        raise DataError(f"{images}: should be a folder of images, and holds records already.")
    truth = source.annotations
    _check_shards(shards, len(truth["images"]))
    names = {category["id"]: category["name"] for category in truth["categories"]}
    odd = [each for each in names if isinstance(each, str) or not -(2**63) <= each < 2**63]
    if odd:
        raise DataError(
            f"{annotations}: category id {odd[0]!r}: records hold whole numbers below 2^63 only"
        )
    objects: Mapping[int, list[dict[str, Any]]] = defaultdict(list)
    for each in truth["annotations"]:
        objects[each["image_id"]].append(each)
    paths = dict(zip(source.image_ids, source.files, strict=True))

    def record(image: Mapping[str, Any]) -> bytes:
        number, path = image["id"], paths[image["id"]]
        size = (image["height"], image["width"]) if "height" in image else None
        data = read_bytes(path)
        encoded = Encoded(name=path.name, image_id=number, where=str(path), data=data, size=size)
        height, width = decode(encoded).size
        return to_record(data, {**image, "height": height, "width": width}, objects[number], names)

    files = [name] if shards == 1 else [f"{name}-{k:05}-of-{shards:05}" for k in range(shards)]
    _write(record, truth["images"], folder, files, None, context)
    return _report(tuple(folder / each for each in files), truth, objects)


def _check_shards(shards: int, images: int) -> None:
    if not 1 <= validate.count("shards", shards) <= images:
        raise RequestError(f"shards={shards!r}: should be from 1 to {images}, the number of images")


def _write(
    record: Callable[[Item], bytes],
    items: Sequence[Item],
    out: Path | RemotePath,
    names: Sequence[str],
    threads: int | None,
    context: Context,
) -> None:
    """The records of `items`, in order and evenly, as files of those names in the folder `out`."""
    threads = validate.optional_count("threads", threads) or len(os.sched_getaffinity(0))
    total, done = len(items), 0
    with (
        output.whole_folder(out) as folder,
        closing(ahead(record, items, threads=threads, window=3 * threads)) as records,
    ):
        for number, name in enumerate(names, start=1):
            with writing(folder / name) as writer:
                while done < total * number // len(names):
                    writer.write(next(records))
                    done += 1
                    context.tell("images", done, total)


def _mixed(image: LabelledImage) -> bytes:
    """A place that has nothing to do with the class, and is the same everywhere."""
    return hashlib.sha256(image.path.name.encode("utf-8", "surrogateescape")).digest()


def _record(image: LabelledImage) -> bytes:
    """The serialized Example of one image, with the keys of the old converters."""
    encoded = read_bytes(image.path)
    what = encoded_images.problem(encoded, encoded_images.decode_rgb)
    size = encoded_images.size(encoded)
    if what or size is None:
        raise DataError(f"{image.path}: {what}. Replace the image, or leave it out of the labels.")
    return serialized(
        {
            "bytes": {
                "image/encoded": [encoded],
                "image/format": [(encoded_images.kind(encoded) or "").encode()],
                # Of the decoded image, whatever the file has.
                "image/colorspace": [b"RGB"],
                "image/filename": [image.path.name.encode("utf-8", "surrogateescape")],
                "image/class/synset": [image.synset.encode()],
                "image/class/text": [image.text.encode()],
            },
            "int64": {
                "image/height": [size[0]],
                "image/width": [size[1]],
                "image/channels": [3],
                "image/class/label": [image.class_index + 1],
            },
        }
    )


def _report(
    files: tuple[Path | RemotePath, ...],
    truth: Mapping[str, Any],
    objects: Mapping[int, list[dict[str, Any]]],
) -> CocoConversion:
    kept = [(image, each) for image in truth["images"] for each in objects[image["id"]]]
    return CocoConversion(
        files=files,
        images=len(truth["images"]),
        images_without_objects=sum(not objects[image["id"]] for image in truth["images"]),
        annotations=len(kept),
        crowds=sum(each["iscrowd"] != 0 for _, each in kept),
        clipped=sum(_is_clipped(each["bbox"], image) for image, each in kept),
        empty=sum(min(each["bbox"][2:]) <= 0 for _, each in kept),
        unlisted=len(truth["annotations"]) - len(kept),
    )


def _is_clipped(box: list[float], image: Mapping[str, Any]) -> bool:
    if "height" not in image:
        return False
    x, y, across, down = box
    inside = clipped(box, image["width"], image["height"])
    return inside != (x, y, x + across, y + down)
