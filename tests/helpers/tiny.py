"""Small frozen graphs and small data, made in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def classifier(
    path: Path,
    *,
    input: str = "input:0",
    output: str = "scores:0",
    size: Sequence[int] = (8, 8),
    classes: int = 1001,
    batch: int | None = None,
    work: int = 0,
) -> Path:
    """A graph whose scores depend on its input: a mean over the pixels, times a matrix, softmax.

    `work` multiplies so many 512 x 512 matrices besides, to keep the CPUs busy.
    """
    import tensorflow as tf

    tf1 = tf.compat.v1
    generator = np.random.default_rng(0)
    with tf.Graph().as_default() as graph:
        images = tf1.placeholder(tf.float32, (batch, *size, 3), name=input.partition(":")[0])
        means = tf.reduce_mean(images, axis=(1, 2))
        weights = tf.constant(generator.standard_normal((3, classes)), tf.float32)
        scores = means @ weights
        square = tf.constant(generator.standard_normal((512, 512)), tf.float32)
        product = square * tf.reduce_mean(images)
        for _ in range(work):
            product = tf.tanh(product @ square)
        tf.nn.softmax(scores + tf.reduce_mean(product), name=output.partition(":")[0])
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def detector(
    path: Path,
    preset_outputs: dict[str, str],
    *,
    input: str = "image_tensor:0",
    prepared: Sequence[int] | None = None,
) -> Path:
    """A graph that finds one person, at the same place in every image, as a detector gives it.

    It takes images as they are, or what `preprocessor` makes of them if that is of size `prepared`.
    """
    import tensorflow as tf

    tf1 = tf.compat.v1
    values: dict[str, Any] = {
        "num_detections": lambda n: tf.ones(n[None]),
        "detection_boxes": lambda n: tf.tile([[[0.1, 0.1, 0.5, 0.5]]], [n, 1, 1]),
        "detection_scores": lambda n: tf.fill([n, 1], 0.9),
        "detection_classes": lambda n: tf.ones([n, 1]),
        "detection_masks": lambda n: tf.ones([n, 1, 3, 3]),
    }
    with tf.Graph().as_default() as graph:
        dtype, size = (tf.float32, prepared) if prepared else (tf.uint8, (None, None))
        images = tf1.placeholder(dtype, (None, *size, 3), name=input.partition(":")[0])
        # The outputs hang on the input, as a real detector's do.
        nothing = tf.reduce_sum(tf.cast(images[:, :1, :1, :1], tf.float32)) * 0
        for role, name in preset_outputs.items():
            if role in values:
                tf.add(values[role](tf.shape(images)[0]), nothing, name=name.partition(":")[0])
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def preprocessor(path: Path, *, size: Sequence[int] = (6, 6)) -> Path:
    """A graph that resizes images to `size` and scales them to -1..1."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        images = tf1.placeholder(tf.uint8, (None, None, None, 3), name="image_tensor")
        resized = tf1.image.resize_bilinear(tf.cast(images, tf.float32), size)
        tf.subtract(resized * (2 / 255), 1, name="Preprocessor/sub")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def coco(folder: Path) -> tuple[Path, Path]:
    """Four images of two sizes with a person where `detector` finds one, and their annotations."""
    from PIL import Image

    (folder / "val2017").mkdir(parents=True)
    generator = np.random.default_rng(2)
    images, objects = [], []
    for number, (width, height) in enumerate([(40, 30), (20, 20), (40, 30), (20, 20)], start=1):
        file_name = f"{number:012}.jpg"
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "val2017" / file_name)
        images.append({"id": number, "file_name": file_name, "width": width, "height": height})
        box = [0.1 * width, 0.1 * height, 0.4 * width, 0.4 * height]
        person = {"category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        objects.append({"id": number, "image_id": number, **person})
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    truth = {"images": images, "annotations": objects, "categories": categories}
    annotations = folder / "instances_val2017.json"
    annotations.write_text(json.dumps(truth))
    return folder / "val2017", annotations


def shards(folder: Path, *, images: int = 12, files: int = 2, shuffled: bool = False) -> Path:
    """ImageNet-like shards of small images, each of another class, as far as there are any.

    Sorted by their labels in each file, or shuffled.
    """
    import tensorflow as tf

    folder.mkdir()
    generator = np.random.default_rng(1)
    for file in range(files):
        with tf.io.TFRecordWriter(str(folder / f"validation-{file:05}-of-{files:05}")) as writer:
            numbers = list(range(file, images, files))
            for number in generator.permutation(numbers).tolist() if shuffled else numbers:
                pixels = generator.integers(0, 256, (20, 24, 3), np.uint8)
                writer.write(_record(tf.io.encode_jpeg(pixels).numpy(), number % 1000 + 1))
    return folder


def _record(jpeg: bytes, label: int) -> bytes:
    import tensorflow as tf

    def of_bytes(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "image/encoded": of_bytes(jpeg),
        "image/filename": of_bytes(b"image_%03d.JPEG" % label),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString())
