"""Where COCO's images and annotations are, from whatever part of them a user names.

Data comes as TFRecords (one file or shards) or as a folder of images, with an `instances_*.json`
beside either.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelzoo_runner.data import match, paths, shards
from modelzoo_runner.data.coco_annotations import Annotations, read_annotations
from modelzoo_runner.data.match import is_image
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.shards import Shards
from modelzoo_runner.errors import DataError, did_you_mean
from modelzoo_runner.values.coco_categories import IDS
from modelzoo_runner.values.coco_instances import Id

WANTED = (
    "a COCO TFRecord (coco_val.record, coco_val.record-00000-of-00010 or "
    "val-00000-of-00010.tfrecord), the folder that holds one, or a folder of images such as val2017"
)

_SHARD = re.compile(r"-\d{5}-of-\d{5}(\.\w+)?$")
_RECORD_SUFFIXES = (".record", ".tfrecord", ".tfrecords")
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class CocoSource:
    """Images, and what is known of the objects in them.

    Attributes:
        kind: what `files` are: record files, or the images themselves.
        files: in the order of the data.
        image_ids: the id of each image; of records, which know it themselves, empty.
        annotations: what the JSON file beside them says, `None` when there is none.
        annotations_file: that file.
        label_map: category name -> id, for records that give only names.
        warnings: what is doubtful about the data.
    """

    kind: Literal["records", "images"]
    files: tuple[ReadablePath, ...]
    image_ids: tuple[Id, ...] = ()
    annotations: Annotations | None = None
    annotations_file: ReadablePath | None = None
    label_map: Mapping[str, int]
    warnings: tuple[str, ...] = ()

    @functools.cached_property
    def known(self) -> Mapping[Id, Id]:
        """The ids of the JSON's images by file name, and by themselves."""
        images = () if self.annotations is None else self.annotations["images"]
        names = {image["file_name"]: image["id"] for image in images if "file_name" in image}
        return names | {image["id"]: image["id"] for image in images}


def find(
    location: ReadablePath | str,
    annotations: ReadablePath | str | None = None,
    *,
    label_map: Mapping[str, int] | None = None,
    allow_partial: bool = False,
) -> CocoSource:
    """The COCO data at a location.

    Args:
        location: a record file (one shard of a set stands for the set), a folder of images, or the
            folder that holds either.
        annotations: an `instances_*.json`; by default the one beside the data, if there is one.
        label_map: category name -> id, for records of categories that aren't COCO's.
        allow_partial: go on, with a warning, though shards or annotated images are missing.

    Raises:
        DataError: there is no such data: says what was looked for and what was found; or more
            than one could be meant; or a part is missing or broken.
    """
    location = paths.of(location)
    seen: dict[str, Annotations] = {}

    def read(path: ReadablePath) -> Annotations:
        # In a bucket, to read a file is to fetch it.
        if str(path) not in seen:
            seen[str(path)] = read_annotations(path)
        return seen[str(path)]

    named = _instances(paths.of(annotations)) if annotations else None
    truth = read(named) if named else None
    if location.is_dir():
        place = location if _is_root(location, truth, read) else _in_folder(location)
    elif location.is_file():
        place = location
    else:
        parent = location.parent
        around = [each.name for each in parent.iterdir()] if parent.is_dir() else []
        hint = did_you_mean(location.name, around, otherwise=f"{parent} holds") if around else ""
        raise DataError(f"{location}: no such file or folder. Needed: {WANTED}. {hint}".rstrip())
    if named is None and (named := _beside(place if place.is_dir() else place.parent, place.name)):
        truth = read(named)
    image_ids: tuple[Id, ...] = ()
    if place.is_dir():
        files, image_ids, warnings = _images(place, truth, allow_partial)
    else:
        found = _records(place, allow_partial)
        files, warnings = found.files, found.warnings
    return CocoSource(
        kind="images" if place.is_dir() else "records",
        files=files,
        image_ids=image_ids,
        annotations=truth,
        annotations_file=named,
        label_map=IDS if label_map is None else label_map,
        warnings=warnings + _of_no_image(truth),
    )


def _is_root(
    folder: ReadablePath,
    truth: Annotations | None,
    read: Callable[[ReadablePath], Annotations],
) -> bool:
    """Whether the annotations, or those in the folder, are of images in folders inside it."""
    if truth is None:
        inside = [place for place in (folder, folder / "annotations") if place.is_dir()]
        found = sorted(path for place in inside for path in place.glob("instances_*.json"))
        if len(found) != 1 or _record_sets(folder) or _has_images(folder):
            return False
        truth = read(found[0])
    names = [match.parts(image.get("file_name", "")) for image in truth["images"][:100]]
    return any(len(each) > 1 and match.below(folder, each).is_file() for each in names)


def _in_folder(folder: ReadablePath) -> ReadablePath:
    """The record file or the folder of images that a folder holds or is."""
    if records := _record_sets(folder):
        return _the_one(records, folder, "record files")
    if _has_images(folder):
        return folder
    below = [each for each in paths.listing(folder) if each.is_dir()]
    if below := [each for each in below if _record_sets(each) or _has_images(each)]:
        return _in_folder(_the_one(below, folder, "folders with data"))
    raise DataError(
        f"{folder}: no COCO data in it. Needed: {WANTED}. Found: {shards.listing(folder)}."
    )


def _the_one(candidates: list[ReadablePath], folder: ReadablePath, what: str) -> ReadablePath:
    """The only candidate, or the only one for validation."""
    chosen = candidates
    if len(candidates) > 1:
        chosen = [each for each in candidates if _split(each.name) == "val"]
    if len(chosen) != 1:
        listed = ", ".join(each.name for each in candidates)
        raise DataError(f"{folder}: several {what} could be meant: {listed}. Name one of them.")
    return chosen[0]


def _record_sets(folder: ReadablePath) -> list[ReadablePath]:
    """One file of each set of records, by name; what is empty is a converter's by-product."""
    sets: dict[str, ReadablePath] = {}
    for path in paths.listing(folder):
        if _is_record(path) and path.stat().st_size:
            sets.setdefault(shards.set_name(path), path)
    return list(sets.values())


def _is_record(path: ReadablePath) -> bool:
    is_shard = _SHARD.search(path.name) is not None
    return (is_shard or path.suffix in _RECORD_SUFFIXES) and path.is_file()


def _records(path: ReadablePath, allow_partial: bool) -> Shards:
    """The files of the set that a record file is of."""
    if _SHARD.search(path.name):
        name = shards.set_name(path)
        own = [each for each in paths.listing(path.parent) if shards.set_name(each) == name]
        return shards.in_order(own, allow_partial=allow_partial)
    if not _is_record(path):
        raise DataError(
            f"{path}: not the name of a COCO TFRecord. Needed: {WANTED}. A file of annotations "
            "goes into annotations=, beside the data."
        )
    return Shards((path,))


def _has_images(folder: ReadablePath) -> bool:
    return any(is_image(each.name) for each in folder.iterdir())


def _images(
    folder: ReadablePath, truth: Annotations | None, allow_partial: bool
) -> tuple[tuple[ReadablePath, ...], tuple[Id, ...], tuple[str, ...]]:
    """The annotated images, or all of the folder; their ids; and what is doubtful about them."""
    if truth is None:
        files = [each for each in paths.listing(folder) if is_image(each.name)]
        numbered = all(each.stem.isdecimal() for each in files)
        ids = (int(each.stem) if numbered else place for place, each in enumerate(files, start=1))
        return tuple(files), tuple(ids), ()
    unnamed = [image["id"] for image in truth["images"] if "file_name" not in image]
    if unnamed:
        raise DataError(f"annotations: image {unnamed[0]} has no file_name, so its file is unknown")
    entries = [image["file_name"] for image in truth["images"]]
    found, problems = match.in_folder(folder, entries)
    chosen = tuple(found[place] for place in sorted(found))
    image_ids = tuple(truth["images"][place]["id"] for place in sorted(found))
    if not problems:
        return chosen, image_ids, ()
    listed = "; ".join(f"{entries[place]}: {why}" for place, why in list(problems.items())[:3])
    said = f"{folder}: {len(problems)} of {len(entries)} annotated images are missing ({listed})"
    if not allow_partial or not found:
        raise DataError(
            f"{said}. Get them or other annotations, or allow_partial=True to go on without them."
        )
    return chosen, image_ids, (said,)


def _of_no_image(truth: Annotations | None) -> tuple[str, ...]:
    """What to say of annotations whose image isn't listed: they are lost with what isn't run."""
    if truth is None:
        return ()
    listed = {image["id"] for image in truth["images"]}
    count = sum(each["image_id"] not in listed for each in truth["annotations"])
    said = f"{count} annotations of images that aren't listed: ignored, as COCO does"
    return (said,) if count else ()


def _instances(path: ReadablePath) -> ReadablePath:
    """The annotations file that a user named, or that is in the folder they named."""
    if not path.is_dir():
        return path
    found = sorted(path.glob("instances_*.json"))
    if not found:
        raise DataError(f"{path}: no instances_*.json in this folder.")
    return _the_one(found, path, "annotation files")


def _beside(folder: ReadablePath, name: str) -> ReadablePath | None:
    """The annotations file beside the data of that name, if there is one."""
    split = _split(name)
    for place in (folder, folder / "annotations", folder.parent, folder.parent / "annotations"):
        found = sorted(place.glob("instances_*.json"))
        # Validation images with the annotations of the training set would be worse than none.
        fitting = [each for each in found if split in (None, _split(each.name))]
        exact = [each for each in fitting if each.stem == f"instances_{name}"]
        if fitting:
            return exact[0] if exact else _the_one(fitting, place, "annotation files")
    return None


def annotations_above(folder: Path) -> tuple[Path, ...]:
    """The annotation files that data in a folder may belong to, and that are not in it."""
    above = folder.parent
    places = () if above == folder else (above, above / "annotations")
    return tuple(found for place in places for found in sorted(place.glob("instances_*.json")))


def _split(name: str) -> str | None:
    return next((split for split in _SPLITS if split in name.lower()), None)
