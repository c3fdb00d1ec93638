"""Images without TensorFlow: to the bit what it makes of them, or left to it."""

from __future__ import annotations

import io
import itertools
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tiny
from image_reference import drawn, jpeg, png, reference
from PIL import Image

from modelzoo_runner.data import fused, imagenet, in_place
from modelzoo_runner.data.batches import ALIGNMENT, ReadOptions
from modelzoo_runner.data.preprocess import image_function
from modelzoo_runner.values import presets
from modelzoo_runner.values.preset import Preprocess

pytest.importorskip("numba")
pytest.importorskip("simplejpeg")


def published() -> list[Preprocess]:
    found = dict.fromkeys(preset.preprocess for preset in map(presets.find, presets.names()))
    return [recipe for recipe in found if recipe is not None]


def recipes() -> list[Preprocess]:
    """Those of the presets, and each of them otherwise in one thing."""
    changes: list[dict[str, Any]] = [
        {},
        {"channel_order": "BGR"},
        {"dct_method": "INTEGER_ACCURATE"},
        {"unit_range": True, "mean": (0.485, 0.456, 0.406), "scale": 1 / 0.226},
        {"size": (61, 97)},
    ]
    return [replace(each, **change) for each in published() for change in changes] + [
        replace(each, fancy_upscaling=not each.fancy_upscaling) for each in published()
    ]


def written(encoded: bytes, recipe: Preprocess) -> np.ndarray[Any, Any] | None:
    """The row, or nothing when the image is left to TensorFlow."""
    write = fused.image_writer(recipe)
    assert write is not None
    row = np.full((*recipe.size, 3), np.nan, np.float32)
    return row if write(encoded, row) else None


def same(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> bool:
    assert ours.dtype == theirs.dtype == np.float32
    return bool(np.array_equal(ours.view(np.int32), theirs.view(np.int32)))


CROP = Preprocess(size=(224, 224), resize="shorter_side", resize_to=256)


def test_there_are_recipes_of_each_kind() -> None:
    assert {each.resize for each in published()} == {"shorter_side", "central_fraction"}
    assert {each.fancy_upscaling for each in published()} == {True, False}
    assert {each.rounding for each in published()} == {"down", "nearest"}


def test_real_images_to_the_bit(samples: Path) -> None:
    paths = sorted((samples / "imagenet" / "images").iterdir())[::4]
    every = itertools.cycle(recipes())
    for path, recipe in zip(paths, every, strict=False):
        encoded = path.read_bytes()
        row = written(encoded, recipe)
        assert row is not None, path.name
        assert same(row, reference(encoded, recipe)), path.name


def compared(seed: int, count: int, sides: int) -> Counter[tuple[str, str]]:
    """How many images of each form were made in each way; both ways are held to the reference."""
    rng = np.random.default_rng(seed)
    every = recipes()
    string = tf.TensorSpec([], tf.string)
    functions = {
        each: tf.function(image_function(each), input_signature=[string]) for each in every
    }
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(count):
        form, encoded = drawn(rng, sides)
        recipe = every[int(rng.integers(len(every)))]
        about = f"number {number} of seed {seed}: {form}, {recipe}"
        row = written(encoded, recipe)
        try:
            by_graph = functions[recipe](tf.constant(encoded)).numpy()
        except tf.errors.InvalidArgumentError:
            assert row is None, about
            counts[form, "refused"] += 1
            continue
        if form != "JPEG, damaged":  # of which the reference decodes more
            assert same(by_graph, reference(encoded, recipe)), about
        assert row is None or same(row, by_graph), about
        counts[form, "left" if row is None else "same"] += 1
    return counts


def test_random_images_to_the_bit() -> None:
    counts = compared(0, 150, 400)
    ways = Counter(way for _, way in counts.elements())
    assert ways["same"] > 90
    assert ways["left"] > 10
    assert ways["refused"] > 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_thousand_random_images_to_the_bit(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = compared(seed, 1000, 1200)
    with capsys.disabled():
        print(f"\nseed {seed}")
        for (form, way), count in sorted(counts.items()):
            print(f"{form:32} {way:8} {count:6}")
    assert sum(counts.values()) == 1000


# What is left to TensorFlow.


def image(width: int = 90, height: int = 70) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("form", ["RGB", "L", "RGB as RGB"])
def test_plain_images_are_taken(form: str) -> None:
    encoded = jpeg(image(), form, {"restart_marker_blocks": 3})
    assert written(encoded, CROP) is not None


@pytest.mark.parametrize("form", ["CMYK", "YCCK"])
def test_four_channels_are_left(form: str) -> None:
    assert written(jpeg(image(), form, {}), CROP) is None


def test_progressive_images_are_left() -> None:
    assert written(jpeg(image(), "RGB", {"progressive": True}), CROP) is None


def test_other_formats_are_left() -> None:
    gif = io.BytesIO()
    image().save(gif, "GIF")
    for encoded in (png(image(), "RGB"), gif.getvalue(), b"", b"\xff\xd8\xff", b"no image"):
        assert written(encoded, CROP) is None


def test_whatever_the_decoder_complains_about_is_left() -> None:
    encoded = jpeg(image(), "RGB", {})
    assert written(encoded[:-200], CROP) is None
    assert written(encoded[:-2], CROP) is None
    for end in range(2, 700):
        assert written(encoded[:end], CROP) is None


def test_what_is_too_large_is_left() -> None:
    encoded = bytearray(jpeg(image(), "RGB", {}))
    frame = encoded.index(b"\xff\xc0")
    encoded[frame + 5 : frame + 9] = b"\x75\x30\x75\x30"  # 30,000 x 30,000
    assert written(bytes(encoded), CROP) is None
    # Small, and with its shorter side at 256 it has 67 million pixels.
    assert written(jpeg(image(2000, 1), "L", {}), CROP) is None


def test_nothing_is_written_beside_the_row() -> None:
    write = fused.image_writer(CROP)
    assert write is not None
    rows = np.full((3, *CROP.size, 3), np.nan, np.float32)
    assert write(jpeg(image(), "RGB", {}), rows[1])
    assert np.isnan(rows[[0, 2]]).all()
    assert not np.isnan(rows[1]).any()


def test_where_the_two_do_not_agree_tensorflow_makes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(CROP, size=(31, 33))  # one that nothing else has asked for
    monkeypatch.setattr(
        fused, "image_function", lambda each: lambda encoded: image_function(each)(encoded) * 1.0001
    )
    assert fused.image_writer(recipe) is None


def test_without_the_packages_tensorflow_makes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    assert fused.image_writer(replace(CROP, size=(32, 33))) is None


# Whole batches.


def test_memory_is_used_again_only_when_nobody_holds_any_of_it() -> None:
    memory = in_place._Memory((4, 2, 2, 3), kept=3)
    rows = memory.rows(4)
    address = rows.ctypes.data
    one = rows[1]
    del rows
    assert memory.rows(4).ctypes.data != address
    del one
    again = memory.rows(3)
    assert again.ctypes.data == address
    assert again.shape == (3, 2, 2, 3)
    assert again.ctypes.data % ALIGNMENT == 0


def batches(shards: Path, recipe: Preprocess, **options: Any) -> Iterator[imagenet.Batch]:
    return imagenet.batches(imagenet.find(shards), recipe, ReadOptions(**options))


@pytest.mark.parametrize("options", [{"batch_size": 32, "threads": 2}, {"threads": 3}])
def test_batches_are_those_of_tensorflow(
    real_shards: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    recipe = presets.find("mobilenet_v1").preprocess
    assert recipe is not None
    monkeypatch.setattr(imagenet, "WORTH_COMPILING", 0)
    ours = list(batches(real_shards, recipe, first=20, limit=100, **options))
    monkeypatch.setattr(fused, "image_writer", lambda recipe: None)
    theirs = batches(real_shards, recipe, first=20, limit=100, **options)
    for one, other in zip(ours, theirs, strict=True):
        assert same(one.inputs, other.inputs)
        assert one.names == other.names
        assert one.truth is not None
        assert one.truth.tolist() == other.truth.tolist()


def test_rows_are_filled_by_threads_that_yield_to_others(tmp_path: Path) -> None:
    shards = tiny.shards(tmp_path / "shards", images=8, files=2)
    found: list[int] = []

    def fill(record: Any, row: np.ndarray[Any, Any]) -> dict[str, Any]:
        row[...] = 1
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return {"label": 0}

    files = imagenet.find(shards).files
    options = ReadOptions(batch_size=4, threads=2)
    assert len(list(in_place.array_batches(files, fill, (2, 2, 3), options))) == 2
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert found == [min(own + in_place.NICER, 19)] * 8
