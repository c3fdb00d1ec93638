"""Raw images with their classes -> record files, in TF-slim's and Intel's layout."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import images as encoded_images
from modelzoo_runner.data.labelled import LabelledImage, labelled_images
from modelzoo_runner.data.output import check_free, whole_folder
from modelzoo_runner.data.records import RecordWriter
from modelzoo_runner.errors import DataError, RequestError

if TYPE_CHECKING:
    import tensorflow as tf

IMAGES_PER_SHARD = 400
"""As the converters of old: 128 shards for the 50,000 validation images."""

MOST_SHARDS = 128


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion made.

    `left_out` is the number of images in the folder that the labels don't name.
    """

    folder: Path
    files: tuple[Path, ...]
    images: int
    classes: int
    left_out: int

    def __str__(self) -> str:
        """Two lines for people."""
        left_out = f"; {self.left_out} not in the labels, left out" if self.left_out else ""
        return (
            f"{self.images} images of {self.classes} classes{left_out}\n"
            f"{self.folder}: {len(self.files)} files, {self.files[0].name} and so on"
        )


def convert_imagenet(
    images: Path | str,
    labels: Path | str,
    out: Path | str,
    *,
    shards: int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
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
        out: a new or empty folder. It appears whole, or after a failure not at all.
        shards: how many files; by default one for every 400 images, 128 at most.
        threads: how many images are read at once; by default one for each usable CPU.
        progress: called with (images done, images in all) after each.

    Raises:
        RequestError: for a number that can't be.
        DataError: naming the image that can't be decoded, the label that can't be right, or what
            is in the way in `out`.
    """
    out = Path(out).expanduser()
    check_free(out)
    found, left_out = labelled_images(Path(images).expanduser(), Path(labels).expanduser())
    found.sort(key=_mixed)
    count = min(MOST_SHARDS, -(-len(found) // IMAGES_PER_SHARD)) if shards is None else shards
    if not isinstance(count, int) or not 1 <= count <= min(len(found), 99_999):
        raise RequestError(f"shards={shards!r}: should be 1 to {len(found)}, the number of images")
    threads = len(os.sched_getaffinity(0)) if threads is None else threads
    if not isinstance(threads, int) or threads < 1:
        raise RequestError(f"threads={threads!r}: should be 1 or more")
    names = [f"validation-{number:05}-of-{count:05}" for number in range(count)]
    with whole_folder(out) as folder, closing(_in_parallel(_record, found, threads)) as records:
        done = 0
        for number, name in enumerate(names):
            with RecordWriter(folder / name) as writer:
                while done < len(found) * (number + 1) // count:
                    writer.write(next(records))
                    done += 1
                    if progress is not None:
                        progress(done, len(found))
    classes = len({each.class_index for each in found})
    return ConversionReport(out, tuple(out / name for name in names), len(found), classes, left_out)


def _mixed(image: LabelledImage) -> bytes:
    """A place that has nothing to do with the class, and is the same everywhere."""
    return hashlib.sha256(image.path.name.encode("utf-8", "surrogateescape")).digest()


def _record(image: LabelledImage) -> bytes:
    """The serialized Example of one image, with the keys of the old converters."""
    import tensorflow as tf

    try:
        encoded = image.path.read_bytes()
    except OSError as error:
        raise DataError(f"{image.path}: can't be read: {error.strerror or error}") from error
    what = encoded_images.problem(encoded, _decode)
    size = encoded_images.size(encoded)
    if what or size is None:
        raise DataError(f"{image.path}: {what}. Replace the image, or leave it out of the labels.")
    height, width = size
    values: dict[str, bytes | int] = {
        "image/encoded": encoded,
        "image/format": (encoded_images.kind(encoded) or "").encode(),
        "image/height": height,
        "image/width": width,
        # Of the decoded image, whatever the file has.
        "image/colorspace": b"RGB",
        "image/channels": 3,
        "image/filename": image.path.name.encode("utf-8", "surrogateescape"),
        "image/class/label": image.class_index + 1,
        "image/class/synset": image.synset.encode(),
        "image/class/text": image.text.encode(),
    }
    features = tf.train.Features(feature={key: _feature(each) for key, each in values.items()})
    example = tf.train.Example(features=features)
    return bytes(example.SerializeToString(deterministic=True))


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _feature(value: bytes | int) -> Any:
    import tensorflow as tf

    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _in_parallel(
    function: Callable[[LabelledImage], bytes], items: Iterable[LabelledImage], threads: int
) -> Generator[bytes, None, None]:
    """`map` by threads, in order, a few items ahead: not all results in memory at once."""
    waiting: deque[Future[bytes]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="convert")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
