"""Encoded sample images from across a data set, and duplicate images."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import images, labels, records
from modelzoo_runner.data.examples import Features
from modelzoo_runner.data.imagenet import ImageNetShards, count_examples
from modelzoo_runner.data.imagenet_records import KEYS
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.preprocess import eagerly, image_function
from modelzoo_runner.errors import DataError
from modelzoo_runner.values.preset import Preprocess

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Labelled images: `truth` is the class index 0..999 of each, int64 [n]."""

    encoded: tuple[bytes, ...]
    truth: np.ndarray[Any, Any]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One image of a data set: its name, what it is labelled as, and the hash of its bytes."""

    name: str
    label: Any
    digest: bytes


def spread(imagenet: ImageNetShards, count: int) -> Samples:
    """At most `count` images at equal distances: a data set may be sorted by its labels.

    Raises:
        DataError: a record is broken, or a label can't be right.
    """
    total = count_examples(imagenet)
    count = min(count, total)
    left = [number * total // count for number in range(count)]
    found: list[Features] = []
    for path in imagenet.files:
        size = records.count(path)
        if own := [place for place in left if place < size]:
            found += _features(path, own)
        left = [place - size for place in left if place >= size]
    return _labelled(imagenet, found)


def first(imagenet: ImageNetShards, count: int) -> Samples:
    """The first `count` images: of a bucket, others would have to be counted from its beginning.

    Raises:
        DataError: as `spread`.
    """
    every = itertools.chain.from_iterable(map(_features, imagenet.files))
    return _labelled(imagenet, list(itertools.islice(every, count)))


def labelled(imagenet: ImageNetShards) -> Iterator[Labelled]:
    """All images of a data set, in the order of its files.

    Raises:
        DataError: while iterating: a record is broken.
    """
    keys = KEYS[imagenet.variant]
    for features in itertools.chain.from_iterable(map(_features, imagenet.files)):
        yield Labelled(
            name=features.optional(keys.filename, "bytes") or features.where,
            label=features.value(keys.label, "int64"),
            digest=digest(features.encoded(keys.encoded)),
        )


def digest(data: bytes) -> bytes:
    """A hash of an image's bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


def twins(found: Iterable[Labelled]) -> list[list[Labelled]]:
    """The groups of images that have the same bytes."""
    groups: dict[bytes, list[Labelled]] = {}
    for each in found:
        groups.setdefault(each.digest, []).append(each)
    return [group for group in groups.values() if len(group) > 1]


def prepared(samples: Samples, recipe: Preprocess, *, threads: int) -> np.ndarray[Any, Any]:
    """The images as a recipe makes them, float32 [n, height, width, 3].

    Raises:
        DataError: an image can't be decoded.
    """
    import numpy as np
    import tensorflow as tf

    function = image_function(recipe)

    def one(named: tuple[str, bytes]) -> Any:
        name, data = named
        try:
            with eagerly():
                return function(tf.constant(data)).numpy()
        except tf.errors.InvalidArgumentError:
            said = images.problem(data, function) or "the image can't be decoded"
            raise DataError(f"{name}: {said}.") from None

    with ThreadPoolExecutor(threads) as pool:
        made = pool.map(one, zip(samples.names, samples.encoded, strict=True))
        return np.stack(list(made))


def _features(path: ReadablePath, only: Sequence[int] | None = None) -> Iterator[Features]:
    """The records of a file, or those of these numbers, which rise."""
    with closing(records.read_records(path, only=only and frozenset(only))) as found:
        for number, record in zip(only or itertools.count(), found, strict=False):
            yield Features(record, f"{path}: record {number}")


def _labelled(imagenet: ImageNetShards, found: list[Features]) -> Samples:
    keys = KEYS[imagenet.variant]
    names = [each.optional(keys.filename, "bytes") or "" for each in found]
    stored = [keys.synset and each.optional(keys.synset, "bytes") for each in found]
    synsets = [s or labels.synset_in(name) for s, name in zip(stored, names, strict=True)]
    given = [each.value(keys.label, "int64") for each in found]
    try:
        truth = labels.label_rule(imagenet.variant, given, synsets=synsets, names=names)
    except labels.LabelError as error:
        raise DataError(f"{found[error.position].where}: {error}.") from None
    return Samples(
        encoded=tuple(each.encoded(keys.encoded) for each in found),
        truth=truth,
        names=tuple(name or each.where for name, each in zip(names, found, strict=True)),
    )
