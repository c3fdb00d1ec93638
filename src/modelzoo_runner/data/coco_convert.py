"""COCO's images and annotations -> TFRecords."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelzoo_runner.data import output
from modelzoo_runner.data.coco_find import find
from modelzoo_runner.data.coco_images import Encoded, ahead, decode
from modelzoo_runner.data.coco_records import clipped, to_record
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.records import RecordWriter
from modelzoo_runner.errors import DataError, RequestError


@dataclass(frozen=True, kw_only=True)
class CocoConversion:
    """What was written. All counts but `images` are of annotations, and all of those are kept.

    `clipped` reach over the border of their image, `empty` have no width or height, `unlisted` are
    of no listed image and so the only ones that are in no record.
    """

    files: tuple[Path, ...]
    images: int
    images_without_objects: int
    annotations: int
    crowds: int
    clipped: int
    empty: int
    unlisted: int

    def __str__(self) -> str:
        """Two lines for people."""
        return (
            f"{self.images} images, {self.images_without_objects} of them without objects, and "
            f"{self.annotations} boxes: {self.crowds} crowds, {self.clipped} over the border, "
            f"{self.empty} without area; {self.unlisted} of no listed image, left out\n"
            f"{self.files[0].parent}: {len(self.files)} files, {self.files[0].name} first"
        )


def convert_coco(
    images: Path | str,
    annotations: Path | str,
    out: Path | str,
    *,
    shards: int = 1,
    name: str = "coco_val.record",
    progress: Callable[[int, int], None] | None = None,
) -> CocoConversion:
    """Write COCO's images and annotations as TFRecords.

    Every annotated image becomes a record, in the order of the annotations, and every annotation
    is kept: scores from the records are exactly those from the JSON. Every image is decoded once to
    see that it can be; its own bytes are kept. The folder appears whole or not at all.

    Args:
        images: the folder of images, such as val2017.
        annotations: its `instances_*.json`.
        out: a folder that is not there yet, or empty.
        shards: how many files. One is called `name`, more `<name>-00000-of-00010` and so on.
        name: of the file or of the files.
        progress: called with the number of images written and of all images.

    Raises:
        RequestError: `shards` isn't between 1 and the number of images.
        DataError: an image is missing, can't be decoded or isn't of the size its annotation says;
            the annotations are broken; `out` has files in it or can't be written.
    """
    out = Path(out).expanduser()
    output.check_free(out)
    source = find(images, annotations)
    if source.kind != "images" or source.annotations is None:
        raise DataError(f"{images}: should be a folder of images, and holds records already.")
    truth = source.annotations
    total = len(truth["images"])
    if not isinstance(shards, int) or not 1 <= shards <= total:
        raise RequestError(f"shards={shards!r}: should be from 1 to {total}, the number of images")
    names = {category["id"]: category["name"] for category in truth["categories"]}
    objects: Mapping[int, list[dict[str, Any]]] = defaultdict(list)
    for each in truth["annotations"]:
        objects[each["image_id"]].append(each)
    paths = dict(zip(source.image_ids, source.files, strict=True))
    file_names = [name] if shards == 1 else [f"{name}-{k:05}-of-{shards:05}" for k in range(shards)]

    def record(image: Mapping[str, Any]) -> bytes:
        return to_record(_whole(paths[image["id"]], image), image, objects[image["id"]], names)

    threads = len(os.sched_getaffinity(0))
    with (
        output.whole_folder(out) as folder,
        closing(ahead(record, truth["images"], threads=threads, window=3 * threads)) as made,
    ):
        written = 0
        for shard, file_name in enumerate(file_names):
            with RecordWriter(folder / file_name) as writer:
                while written < total * (shard + 1) // shards:
                    writer.write(next(made))
                    written += 1
                    if progress is not None:
                        progress(written, total)
    return _report(tuple(out / each for each in file_names), truth, objects)


def _whole(path: ReadablePath, image: Mapping[str, Any]) -> bytes:
    """The bytes of an image, once they are seen to decode to the size its annotation says."""
    size = image["height"], image["width"]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    decode(Encoded(name=path.name, image_id=image["id"], where=str(path), data=data, size=size))
    return data


def _report(
    files: tuple[Path, ...], truth: Mapping[str, Any], objects: Mapping[int, list[dict[str, Any]]]
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
    x, y, across, down = box
    inside = clipped(box, image["width"], image["height"])
    return inside != (x, y, x + across, y + down)
