"""What there is to find in COCO's records, collected as they are read."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from modelzoo_runner.data.coco_annotations import Annotations
from modelzoo_runner.data.coco_features import Features
from modelzoo_runner.data.coco_records import read_objects


class Collected:
    """The truth of the records seen so far: of the JSON file where there is one, else their own.

    `annotations` grows as records are added; a JSON file's are all there from the beginning.
    """

    def __init__(self, known: Annotations | None, label_map: Mapping[str, int]) -> None:
        self.image_ids: set[int] = set()
        self.annotations: Annotations = known or {"images": [], "annotations": [], "categories": []}
        self._known = known and {image["id"] for image in known["images"]}
        self._label_map = label_map
        self._names: dict[int, str] = {}
        self._numbers = itertools.count(1)

    def add(self, features: Features, image: Mapping[str, Any]) -> None:
        """Take in a record and the image that `read_image` found in it.

        Raises:
            DataError: its image was there before, or isn't in the JSON file; or its objects can't
                be.
        """
        if image["id"] in self.image_ids:
            raise features.error(f"image {image['id']} was in an earlier record already")
        self.image_ids.add(image["id"])
        if self._known is not None:
            if image["id"] not in self._known:
                raise features.error(
                    f"image {image['id']} is not in the annotations: they are of other images. "
                    "Give those of these images"
                )
            return
        objects, names = read_objects(features, image, self._label_map)
        found = self.annotations
        found["images"].append(image)
        found["annotations"].extend({"id": next(self._numbers), **each} for each in objects)
        self._names |= {key: name for key, name in names.items() if key not in self._names}
        found["categories"][:] = (
            {"id": each, "name": self._names[each]} for each in sorted(self._names)
        )
