"""One record of ImageNet's: what it is called in each variant, and how it becomes an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import images
from modelzoo_runner.data.examples import Features
from modelzoo_runner.data.interleave import Record
from modelzoo_runner.data.labels import Variant
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.preprocess import eagerly
from modelzoo_runner.data.records import place

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    Function = Callable[[tf.Tensor], tf.Tensor]
    Write = Callable[[bytes, np.ndarray[Any, Any]], bool]


@dataclass(frozen=True)
class Keys:
    """How one variant calls what is needed; `synset` may be missing from the records."""

    encoded: str
    label: str
    filename: str
    synset: str | None


KEYS: Mapping[Variant, Keys] = {
    "slim": Keys("image/encoded", "image/class/label", "image/filename", "image/class/synset"),
    "tfds": Keys("image", "label", "file_name", None),
}


def parser(keys: Keys, function: Function) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A TensorFlow function of one record, with `function` for its image."""

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        features = {
            keys.encoded: tf.io.FixedLenFeature([], tf.string),
            keys.label: tf.io.FixedLenFeature([], tf.int64),
            keys.filename: tf.io.FixedLenFeature([], tf.string, ""),
        }
        if keys.synset is not None:
            features[keys.synset] = tf.io.FixedLenFeature([], tf.string, "")
        parsed = tf.io.parse_single_example(record, features)
        return {
            "image": function(parsed[keys.encoded]),
            "label": parsed[keys.label],
            "filename": parsed[keys.filename],
            "synset": tf.constant("") if keys.synset is None else parsed[keys.synset],
        }

    return parse


def filler(
    keys: Keys, files: Sequence[ReadablePath], write: Write, function: Function
) -> Callable[[Record, np.ndarray[Any, Any]], dict[str, Any]]:
    """A function that writes the image of a record into a row, and returns what else is in it.

    Images that `write` leaves are made by `function`. Raises a `DataError` that says what is wrong
    with a record.
    """

    def fill(record: Record, row: np.ndarray[Any, Any]) -> dict[str, Any]:
        features = Features(record.data, partial(place, files[record.file], record.number))
        encoded = features.encoded(keys.encoded)
        found = {
            "label": features.value(keys.label, "int64"),
            "filename": features.optional(keys.filename, "bytes") or "",
            "synset": (keys.synset and features.optional(keys.synset, "bytes")) or "",
        }
        if not write(encoded, row):
            row[...] = _made(encoded, function, lambda: check(features, keys, function))
        return found

    return fill


def check(features: Features, keys: Keys, function: Function | None) -> None:
    """Raises what is wrong with a record; of its image only with `function`."""
    encoded = features.encoded(keys.encoded)
    features.value(keys.label, "int64")
    name, *_ = [features.optional(each, "bytes") for each in (keys.filename, keys.synset) if each]
    what = None if function is None else images.problem(encoded, function)
    if what:
        raise features.error(f"{name}: {what}" if name else what)


def _made(encoded: bytes, function: Function, explain: Callable[[], None]) -> Any:
    import tensorflow as tf

    try:
        with eagerly():
            return function(tf.constant(encoded)).numpy()
    except tf.errors.InvalidArgumentError:
        explain()
        raise
