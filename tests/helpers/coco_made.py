"""Small COCO data, made on the spot."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [
    {"id": 1, "name": "person"},
    {"id": 18, "name": "dog"},
    {"id": 13, "name": "stop sign"},
]


def encoded(
    width: int = 8, height: int = 6, *, mode: str = "RGB", form: str = "JPEG", seed: int = 0
) -> bytes:
    """An encoded image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form)
    return file.getvalue()


def annotation(number: int, image_id: int, category_id: int = 1, **other: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [1.1, 2.2, 3.3, 1.7],
        "area": 4.56,
        "iscrowd": 0,
        **other,
    }


def instances(sizes: list[tuple[int, int]], *annotations: dict[str, Any]) -> dict[str, Any]:
    """Annotations for images 1, 2, ... of these widths and heights."""
    return {
        "info": {"description": "made"},
        "images": [
            {"id": number, "file_name": f"{number:012}.jpg", "width": width, "height": height}
            for number, (width, height) in enumerate(sizes, start=1)
        ],
        "annotations": list(annotations),
        "categories": CATEGORIES,
    }


def write_images(folder: Path, truth: dict[str, Any]) -> Path:
    """The images of these annotations, in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in truth["images"]:
        data = encoded(image["width"], image["height"], seed=image["id"])
        (folder / image["file_name"]).write_bytes(data)
    return folder


def write_json(path: Path, truth: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(truth))
    return path


def example(**features: Any) -> bytes:
    """A record as the older converter wrote them: two underscores stand for a slash."""
    import tensorflow as tf

    made = tf.train.Example()
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        feature = made.features.feature["image/" + name.replace("__", "/")]
        if isinstance(values[0], str | bytes):
            feature.bytes_list.value.extend(
                each.encode() if isinstance(each, str) else each for each in values
            )
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return bytes(made.SerializeToString())


def old_example(number: int = 7, **other: Any) -> bytes:
    """A record of one dog, with its name and no label, as the converter of 2018 wrote it."""
    features: dict[str, Any] = {
        "height": 6,
        "width": 8,
        "filename": f"{number:012}.jpg",
        "source_id": str(number),
        "encoded": encoded(),
        "format": "jpeg",
        "object__bbox__xmin": [0.25],
        "object__bbox__xmax": [0.75],
        "object__bbox__ymin": [0.5],
        "object__bbox__ymax": [1.0],
        "object__class__text": ["dog"],
        "object__is_crowd": [0],
        "object__area": [9.5],
    }
    return example(**{key: value for key, value in {**features, **other}.items() if value != []})


def add(
    collector: Any, image_id: Any, boxes: Any, scores: Any, classes: Any, size: Any, masks: Any = ()
) -> None:
    """Give a `Collector` what a graph found in one image."""
    found: dict[str, Any] = {
        "num_detections": np.array([len(boxes)]),
        "detection_boxes": np.array([boxes]),
        "detection_scores": np.array([scores]),
        "detection_classes": np.array([classes]),
    }
    if len(masks):
        found["detection_masks"] = np.array([masks])
    collector.add_batch([image_id], [size], found)


def reference(
    detections: list[dict[str, Any]], truth: dict[str, Any], iou_type: str = "bbox"
) -> np.ndarray:
    """The 12 numbers as pycocotools has them, and the AP of each category after them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        expected = COCO()
        # It writes into what it is given.
        expected.dataset = json.loads(json.dumps(truth))
        expected.createIndex()
        if detections:
            found = expected.loadRes(json.loads(json.dumps(detections)))
        else:  # its loadRes can't take an empty list
            found = COCO()
            found.dataset = {**expected.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(expected, found, iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    per_category = [
        column[column > -1].mean() if (column > -1).any() else -1.0
        for column in np.moveaxis(precision, 2, 0)
    ]
    return np.array([*evaluation.stats, *per_category])
