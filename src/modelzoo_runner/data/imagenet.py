"""ImageNet's validation images as record files, in each of the forms they come in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import images, interleave, labels, paths, shards
from modelzoo_runner.data.batches import Batch, ReadOptions
from modelzoo_runner.data.examples import Features
from modelzoo_runner.data.labels import LabelError, Variant
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.pipeline import INTERLEAVED_FILES, array_batches
from modelzoo_runner.data.preprocess import image_function
from modelzoo_runner.data.records import count, place, read_records
from modelzoo_runner.data.shards import Shards
from modelzoo_runner.errors import DataError
from modelzoo_runner.values.preset import Preprocess

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf

_SHARD = re.compile(r"(validation|\w+-validation\.tfrecord)-\d+-of-\d+")
_TRAINING = re.compile(r"train(-\d+-of-|\.tfrecord-)")
_LOOKED_AT = 10_000  # names, to say what a wrong folder is: it may be the root of a large disk

WANTED = (
    "validation-*-of-* (TF-slim's and Intel's converters, and ours), "
    "imagenet2012-validation.tfrecord-*-of-* (TensorFlow Datasets), there or in a folder "
    "'validation' in it; or a single record file"
)


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


@dataclass(frozen=True, kw_only=True)
class ImageNetShards(Shards):
    """The record files of a data set, in order.

    `variant` is whose keys and labels the records have: "slim" or "tfds" (TensorFlow Datasets).
    """

    variant: Variant


def find(location: ReadablePath | str, *, allow_partial: bool = False) -> ImageNetShards:
    """The validation records at a location: a folder of shards, or one record file.

    Args:
        location: a folder (with the shards in it or in its folder `validation`) or a file.
        allow_partial: accept that shards are missing, and say which in the result.

    Raises:
        DataError: saying what was looked for and what was found: no such folder, no shards,
            training shards, a shard missing or there twice, shards of several sets, or a first
            record that isn't one of ImageNet's.
    """
    found = find_files(location, allow_partial=allow_partial)
    return ImageNetShards(found.files, found.missing, variant=_variant(found.files[0]))


def find_files(location: ReadablePath | str, *, allow_partial: bool = False) -> Shards:
    """The files that `find` finds, without a look into them.

    Raises:
        DataError: as `find`, but for what is in the first record.
    """
    location = paths.of(location)
    if location.is_file():
        return Shards((location,))
    if not location.is_dir():
        raise DataError(f"{location}: there is no such file or folder. Looked for {WANTED}.")
    folders = (location, location / "validation")
    files = [path for folder in folders for path in _shards_in(folder)]
    if not files:
        raise _nothing_found(location)
    return shards.in_order(files, allow_partial=allow_partial)


def count_examples(imagenet: Shards) -> int:
    """The number of images, counted from the record files' framing without reading the images.

    Raises:
        DataError: for a file that is truncated or isn't a record file.
    """
    return sum(count(path) for path in imagenet.files)


def files_of(imagenet: Shards, limit: int | None = None) -> tuple[ReadablePath, ...]:
    """The files that hold the first `limit` examples, or all.

    Raises:
        DataError: as `count_examples`.
    """
    counts = [count(path) for path in imagenet.files]
    if limit is None or limit >= sum(counts):
        return imagenet.files
    left = dict(interleave.resume(counts, limit, cycle=INTERLEAVED_FILES))
    return tuple(path for place, path in enumerate(imagenet.files) if left.get(place, 1))


def batches(
    imagenet: ImageNetShards, preprocess: Preprocess | None, options: ReadOptions
) -> Generator[Batch, None, None]:
    """Batches of preprocessed images, always in the same order; the last may be shorter.

    `inputs` are float32 [n, height, width, 3], read-only and aligned as TensorFlow likes them, or
    without `preprocess` the encoded images, bytes [n];
    `truth` is the class index 0..999 of each, int64 [n]; `names` are the images' file names.
    The next batches are made while one is used. `close()` on the iterator ends its threads. See
    `pipeline.array_batches` for when to open it.

    Raises:
        DataError: while iterating: naming file, record, byte, image and problem.
    """
    keys = KEYS[imagenet.variant]
    function = _as_it_is if preprocess is None else image_function(preprocess)
    arrays = array_batches(
        imagenet.files,
        _parse(keys, function),
        lambda record, where: _check(Features(record, where), keys, function),
        options,
    )
    return _checked(arrays, imagenet)


def _checked(
    arrays: Generator[dict[str, Any], None, None], imagenet: ImageNetShards
) -> Generator[Batch, None, None]:
    """The batches, with their labels held against the convention and the synsets."""
    known = labels.ENDS
    with closing(arrays):
        for each in arrays:
            names = tuple(name.decode("utf-8", "replace") for name in each["filename"])
            stored = (synset.decode("utf-8", "replace") for synset in each["synset"])
            synsets = [s or labels.synset_in(n) for s, n in zip(stored, names, strict=True)]
            try:
                truth = labels.label_rule(
                    imagenet.variant, each["label"], synsets=synsets, names=names, known=known
                )
            except LabelError as error:
                file, record = each["file"][error.position], each["record"][error.position]
                what = f"{names[error.position] or 'the image'}: {error}."
                raise DataError(f"{place(imagenet.files[file], int(record))}: {what}") from None
            known = labels.learned(truth, synsets, known)
            yield Batch(each["image"], truth, names)


def _parse(
    keys: Keys, function: Callable[[tf.Tensor], tf.Tensor]
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
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


def _as_it_is(encoded: tf.Tensor) -> tf.Tensor:
    return encoded


def _check(
    features: Features, keys: Keys, function: Callable[[tf.Tensor], tf.Tensor] | None
) -> None:
    """Raises what is wrong with a record; of its image only with `function`."""
    encoded = features.encoded(keys.encoded)
    features.value(keys.label, "int64")
    name, *_ = [features.optional(each, "bytes") for each in (keys.filename, keys.synset) if each]
    what = None if function is None else images.problem(encoded, function)
    if what:
        raise features.error(f"{name}: {what}" if name else what)


def _variant(path: ReadablePath) -> Variant:
    """Whose records these are, by the keys of the first."""
    with closing(read_records(path)) as records:
        features = Features(next(records), partial(place, path, 0))
    for variant, keys in KEYS.items():
        if keys.encoded in features:
            _check(features, keys, None)
            return variant
    wanted = " or ".join(f"{keys.encoded!r} and {keys.label!r}" for keys in KEYS.values())
    there = ", ".join(features) or "none"
    raise features.error(f"not an image of ImageNet: needs {wanted}; keys there: {there}")


def _shards_in(folder: ReadablePath) -> list[ReadablePath]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _SHARD.fullmatch(path.name))


def _nothing_found(location: ReadablePath) -> DataError:
    text = f"{location}: no validation records. Looked for {WANTED}. Found: "
    text += shards.listing(location) + "."
    near = list(
        itertools.islice(itertools.chain(location.glob("*"), location.glob("*/*")), _LOOKED_AT)
    )
    if any(_TRAINING.search(path.name) for path in near):
        text += " Those are training images, whose accuracy says little: give the validation set."
    elif any(path.suffix.lower() in (".jpeg", ".jpg") for path in near):
        text += " Images are turned into record files by convert_imagenet()."
    return DataError(text)
