"""How fast images become a model's input, beside plain JPEG decoding; all in one run.

    python benchmarks/input_pipeline.py [folder of JPEGs] [--rounds 7]

Counted in images per second of CPU time, so per core, and hardly moved by what else the machine
does. The contenders take turns; the median of the rounds counts, and the last column, the ratio to
simplejpeg (plain libjpeg-turbo) in the same run, is what can be compared between machines. Needs
the extras `images` and `benchmarks`. "by TensorFlow" is what there is without `images`. Without a
folder it makes its own images of 500 x 375, which are noisier than photographs, and slower to
decode.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import simplejpeg
import tensorflow as tf

from modelzoo_runner.data import fused, imagenet
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.data.pipeline import READY_BATCHES
from modelzoo_runner.data.preprocess import image_function
from modelzoo_runner.data.records import writing
from modelzoo_runner.values import preset, presets

Cost: TypeAlias = tuple[float, float]
"""CPU seconds, seconds; of one image."""

BATCH = 32
MODELS = ("resnet50", "resnet101", "mobilenet_v1", "inceptionv3", "inceptionv4")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of JPEGs")
    parser.add_argument("--images", type=int, default=300, help="use the first so many")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.folder:
        paths = sorted(arguments.folder.rglob("*.[jJ][pP]*[gG]"))[: arguments.images]
        encoded = [path.read_bytes() for path in paths]
    else:
        encoded = [made(seed) for seed in range(12 * BATCH)]
    if len(encoded) < 8 * BATCH:
        parser.error(f"{arguments.folder}: {len(encoded)} JPEGs in it, needed: {8 * BATCH}")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        report(measured(contenders(encoded, Path(folder)), arguments.rounds), encoded)


def made(seed: int) -> bytes:
    """A JPEG of 500 x 375, quality 90."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    image = cv2.resize(small, (500, 375), interpolation=cv2.INTER_CUBIC)
    noise = generator.normal(0, 6, image.shape)
    return bytes(simplejpeg.encode_jpeg((image + noise).clip(0, 255).astype(np.uint8), 90))


def contenders(encoded: list[bytes], folder: Path) -> dict[str, Callable[[], Cost]]:
    """Each goes through all images once and says what that took."""

    def decode(one: tf.Tensor) -> tf.Tensor:
        return tf.io.decode_jpeg(one, channels=3, fancy_upscaling=False, dct_method="INTEGER_FAST")

    found: dict[str, Callable[[], Cost]] = {
        "simplejpeg, decode": each(
            encoded, lambda one: simplejpeg.decode_jpeg(one, fastdct=True, fastupsample=True)
        ),
        "OpenCV, decode": each(
            encoded, lambda one: cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR)
        ),
        "TensorFlow, decode": mapped(encoded, decode),
    }
    path = written(encoded, folder)
    for name in MODELS:
        recipe = presets.find(name).preprocess
        if recipe is None:
            raise SystemExit(f"{name} has no [preprocess]")
        found[f"{name}, one image by TensorFlow"] = mapped(encoded, image_function(recipe))
        found[f"{name}, batches by TensorFlow"] = by_tensorflow(batched(path, recipe, threads=1))
        write = fused.image_writer(recipe)
        if write is not None:  # the extra is there
            row = np.empty((*recipe.size, 3), np.float32)
            found[f"{name}, one image"] = each(encoded, partial(write, row=row))
        found[f"{name}, records to batches"] = batched(path, recipe, threads=1)
    return found


class Clock:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def cost(self, images: int) -> Cost:
        """CPU seconds and seconds of one image."""
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        return cpu / images, wall / images


def each(encoded: list[bytes], function: Callable[[bytes], object]) -> Callable[[], Cost]:
    """One image after the other."""

    def run() -> Cost:
        clock = Clock()
        for one in encoded:
            function(one)
        return clock.cost(len(encoded))

    return run


def by_tensorflow(run: Callable[[], Cost]) -> Callable[[], Cost]:
    """As if the extra were not installed."""

    def without() -> Cost:
        with mock.patch.object(fused, "image_writer", return_value=None):
            return run()

    return without


def mapped(encoded: list[bytes], function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[], Cost]:
    """In tf.data, one thread, the pixels thrown away inside: the function and nothing else."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    pixels = tf.data.Dataset.from_tensor_slices(encoded).map(function)
    counted = pixels.map(lambda image: tf.shape(image)).batch(len(encoded)).with_options(options)

    def run() -> Cost:
        clock = Clock()
        for _ in counted:
            pass
        return clock.cost(len(encoded))

    return run


def written(encoded: list[bytes], folder: Path) -> Path:
    """One record file with the images."""

    def feature(value: bytes | int) -> tf.train.Feature:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    path = folder / "images.tfrecord"
    with writing(path) as writer:
        for one in encoded:
            features = {"image/encoded": feature(one), "image/class/label": feature(1)}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def batched(path: Path, recipe: preset.Preprocess, threads: int) -> Callable[[], Cost]:
    """All of it, once it runs: read, check, parse, decode, preprocess, batch, hand over."""
    found = imagenet.find(path)

    def run() -> Cost:
        batches = imagenet.batches(found, recipe, ReadOptions(batch_size=BATCH, threads=threads))
        with mock.patch.object(imagenet, "WORTH_COMPILING", 0):
            next(batches)  # opening it traces the graph, which is not counted
        time.sleep(1)  # and the batches that are made ahead are not either
        clock = Clock()
        rest = sum(map(len, batches))
        return clock.cost(rest - READY_BATCHES * BATCH)

    return run


def measured(contenders: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """The cost of each round by name; the first round doesn't count."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, run in contenders.items():
            cost = run()
            if round_number:
                costs[name].append(cost)
    return costs


def report(costs: dict[str, list[Cost]], encoded: list[bytes]) -> None:
    """A table."""
    kilobytes = statistics.mean(map(len, encoded)) / 1000
    print(f"{len(encoded)} images, {kilobytes:.0f} kB on average; median of the rounds")
    print(f"{'':40} {'img/s per core':>15} {'of simplejpeg':>14} {'img/s':>8}")
    base = None
    for name, rounds in costs.items():
        cpu, wall = (statistics.median(each) for each in zip(*rounds, strict=True))
        base = base or cpu
        print(f"{name:40} {1 / cpu:15.0f} {base / cpu:14.2f} {1 / wall:8.0f}")


if __name__ == "__main__":
    main()
