"""COCO's annotation files, and parts of what is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from modelzoo_runner.data import paths
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.errors import DataError
from modelzoo_runner.values import coco_instances
from modelzoo_runner.values.coco_instances import Annotations, Id

__all__ = ["Annotations", "joined", "read_annotations", "restricted"]


def read_annotations(path: ReadablePath | str, *, with_masks: bool = False) -> Annotations:
    """The annotations of a COCO `instances_*.json` file, with their `segmentation` if asked for.

    Raises:
        DataError: the file can't be read, is cut short, isn't about objects, or an entry lacks
            something or has the id of another; says which.
    """
    path = paths.of(path)
    content = coco_instances.read_json(path)
    return coco_instances.validated(content, str(path), with_masks=with_masks)


def restricted(annotations: Annotations, image_ids: Iterable[Id]) -> Annotations:
    """The annotations of these images only.

    Raises:
        DataError: an image isn't in the annotations.

    >>> restricted({"images": [{"id": 1}, {"id": 2}], "annotations": [], "categories": []}, [2])
    {'images': [{'id': 2}], 'annotations': [], 'categories': []}
    """
    wanted = set(image_ids)
    images = [image for image in annotations["images"] if image["id"] in wanted]
    strange = wanted - {image["id"] for image in images}
    if strange:
        listed = ", ".join(sorted(map(str, strange))[:3])
        raise DataError(
            f"{len(strange)} images are not in the annotations ({listed}): the annotations are of "
            "other images. Give those of these images."
        )
    return {
        **annotations,
        "images": images,
        "annotations": [each for each in annotations["annotations"] if each["image_id"] in wanted],
    }


def joined(parts: Sequence[Annotations]) -> Annotations:
    """The annotations of all the images of several parts.

    Categories that have another name in a later part keep the first.

    Raises:
        DataError: an image is in two parts.

    >>> part = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
    >>> joined([part, {**part, "images": [{"id": 2}]}])["images"]
    [{'id': 1}, {'id': 2}]
    """
    images = [image for part in parts for image in part["images"]]
    twice = [each for each, count in Counter(image["id"] for image in images).items() if count > 1]
    if twice:
        listed = ", ".join(map(str, twice[:3]))
        raise DataError(
            f"{len(twice)} images are there more than once ({listed}): the records hold copies. "
            "What is counted twice spoils the scores."
        )
    names: dict[Id, str] = {}
    for part in parts:
        for category in part["categories"]:
            names.setdefault(category["id"], category["name"])
    return {
        "images": images,
        "annotations": [each for part in parts for each in part["annotations"]],
        "categories": [
            {"id": each, "name": names[each]} for each in sorted(names, key=coco_instances.order)
        ],
    }
