"""ImageNet's validation images as record files, in each of the forms they come in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from modelzoo_runner.data import fused, in_place, labels, paths, shards
from modelzoo_runner.data.batches import Batch, ReadOptions
from modelzoo_runner.data.examples import Features, text
from modelzoo_runner.data.imagenet_records import KEYS, check, filler, parser
from modelzoo_runner.data.labels import LabelError, Variant
from modelzoo_runner.data.paths import ReadablePath
from modelzoo_runner.data.pipeline import array_batches, tensorflow_opens, where_to_start
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

WORTH_COMPILING = 3000
"""Images; a second of compiling, and a third of a millisecond saved with each."""

WANTED = (
    "validation-*-of-* (TF-slim's and Intel's converters, and ours), "
    "imagenet2012-validation.tfrecord-*-of-* (TensorFlow Datasets), there or in a folder "
    "'validation' in it; or a single record file"
)


@dataclass(frozen=True, kw_only=True)
class ImageNetShards(Shards):
    """The record files of a data set, in order.

    `variant` is whose keys and labels the records have: "slim" or "tfds" (TensorFlow Datasets).
    """

    variant: Variant


def find(
    location: ReadablePath | str, *, allow_partial: bool = False, first: int = 0
) -> ImageNetShards:
    """The validation records at a location: a folder of shards, or one record file.

    Args:
        location: a folder (with the shards in it or in its folder `validation`) or a file.
        allow_partial: accept that shards are missing, and say which in the result.
        first: the number of the example that will be read first. Its file is looked into.

    Raises:
        DataError: saying what was looked for and what was found: no such folder, no shards,
            training shards, a shard missing or there twice, shards of several sets, or a record
            that isn't one of ImageNet's.
    """
    found = find_files(location, allow_partial=allow_partial)
    read = files_of(found, first, 1) if first else found.files
    # Beyond the end there is none, which `tasks.base.part_of` says.
    variant = _variant((read or found.files)[0])
    return ImageNetShards(found.files, found.missing, variant=variant)


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


def files_of(
    imagenet: Shards, first: int = 0, limit: int | None = None
) -> tuple[ReadablePath, ...]:
    """The files that are read for `limit` examples from number `first` on, by default for all.

    Raises:
        DataError: as `count_examples`.
    """
    if not first and limit is None:
        return imagenet.files
    starts = where_to_start(imagenet.files, ReadOptions(first=first, limit=limit))
    return tuple(imagenet.files[file] for file in sorted(file for file, _ in starts))


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
    # Before the first batch, so that a preset that can't be is refused at once.
    function = None if preprocess is None else image_function(preprocess)
    return _checked(_arrays(imagenet, preprocess, function, options), imagenet)


def _arrays(
    imagenet: ImageNetShards,
    preprocess: Preprocess | None,
    function: Callable[[tf.Tensor], tf.Tensor] | None,
    options: ReadOptions,
) -> Generator[dict[str, Any], None, None]:
    """The batches as they are in the files, made in the fastest way there is here."""
    keys = KEYS[imagenet.variant]
    if preprocess is not None and function is not None and _is_long(imagenet, options):
        write = fused.image_writer(preprocess)
        if write is not None:
            fill = filler(keys, imagenet.files, write, function)
            shape = (*preprocess.size, 3)
            yield from in_place.array_batches(imagenet.files, fill, shape, options)
            return
    chosen = function or _as_it_is
    yield from array_batches(
        imagenet.files,
        parser(keys, chosen),
        lambda record, where: check(Features(record, where), keys, chosen),
        options,
    )


def _is_long(imagenet: ImageNetShards, options: ReadOptions) -> bool:
    """Whether so many images are to be read that compiling a function for them pays."""
    if options.limit is not None and options.limit < WORTH_COMPILING:
        return False
    # To count the records of a file that TensorFlow can't open, all of it is read.
    known = [count(path) for path in filter(tensorflow_opens, imagenet.files)]
    return len(known) < len(imagenet.files) or sum(known) - options.first >= WORTH_COMPILING


def _as_it_is(encoded: tf.Tensor) -> tf.Tensor:
    return encoded


def _checked(
    arrays: Generator[dict[str, Any], None, None], imagenet: ImageNetShards
) -> Generator[Batch, None, None]:
    """The batches, with their labels held against the convention and the synsets."""
    known = labels.ENDS
    with closing(arrays):
        for each in arrays:
            names = tuple(map(text, each["filename"]))
            stored = map(text, each["synset"])
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


def _variant(path: ReadablePath) -> Variant:
    """Whose records these are, by the keys of the first."""
    with closing(read_records(path)) as records:
        features = Features(next(records), partial(place, path, 0))
    for variant, keys in KEYS.items():
        if keys.encoded in features:
            check(features, keys, None)
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
