from __future__ import annotations

import io
import struct
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from coco_made import encoded
from hypothesis import given
from PIL import Image

from modelzoo_runner.data.batches import ahead, grouped
from modelzoo_runner.data.images import Encoded, decode
from modelzoo_runner.errors import DataError


def picture(data: bytes | Path, **other: Any) -> Encoded:
    return Encoded(name="dog.jpg", image_id=7, where="val2017/dog.jpg", data=data, **other)


def pil(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        ("RGB", "JPEG"),
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("RGB", "PNG"),
        ("L", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
    ],
)
@pytest.mark.parametrize("size", [(64, 40), (1, 1), (3, 17)])
def test_pixels_are_those_that_pil_gives(mode: str, form: str, size: tuple[int, int]) -> None:
    data = encoded(*size, mode=mode, form=form)
    found = decode(picture(data, size=size[::-1]))
    assert (found.name, found.image_id, found.size) == ("dog.jpg", 7, size[::-1])
    assert found.pixels.dtype == np.uint8
    np.testing.assert_array_equal(found.pixels, pil(data))


def test_pixels_of_real_images_are_those_that_pil_gives(samples: Path) -> None:
    for path in sorted((samples / "coco" / "val2017_mini" / "images").iterdir())[::16]:
        np.testing.assert_array_equal(decode(picture(path)).pixels, pil(path.read_bytes()))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the image is empty (0 bytes)"),
        (encoded(64, 40)[:900], "the image is a JPEG of 64 x 40 that is truncated or damaged"),
        (encoded(64, 40)[:4], "the image is a JPEG whose header can't be read"),
        (
            encoded(64, 40, form="PNG")[:400],
            "the image is a PNG of 64 x 40 that is truncated or damaged",
        ),
        (b"hello there", "the image is of no known format (it begins with b'hello th'); it should"),
        (encoded(form="WEBP"), "the image is WebP; it should be JPEG or PNG"),
        (encoded(form="BMP"), "the image is BMP; it should be JPEG or PNG"),
    ],
)
def test_an_image_that_cannot_be_decoded_is_named(data: bytes, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        decode(picture(data))
    assert str(caught.value).startswith(f"val2017/dog.jpg: {problem}")


def test_an_image_without_end_in_pixels_is_refused_without_its_memory() -> None:
    data = bytearray(encoded(8, 8))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 30_000, 30_000)
    with pytest.raises(DataError, match=r"dog\.jpg: the image is 30000 x 30000, more than 67 mill"):
        decode(picture(bytes(data)))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dog\.jpg: can't be read: No such file or dir"):
        decode(picture(tmp_path / "dog.jpg"))


def test_an_image_of_another_size_than_its_annotation_says_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        decode(picture(encoded(64, 40), size=(480, 640)))
    assert str(caught.value) == (
        "val2017/dog.jpg: the image is 64 x 40 pixels, its annotation says 640 x 480: boxes would "
        "be scored against another image."
    )


def test_a_transform_makes_what_the_graph_takes_and_the_size_stays_the_images() -> None:
    found = decode(
        picture(encoded(64, 40)), lambda image: image[:, :3, :3].astype(np.float32) / 255
    )
    assert (found.pixels.shape, found.pixels.dtype, found.size) == ((3, 3, 3), np.float32, (40, 64))


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 5), st.integers(1, 20))
def test_grouping_gives_every_item_once(keys: list[int], size: int, held: int) -> None:
    items = list(enumerate(keys))
    taken = 0

    def given_out() -> Any:
        nonlocal taken
        for item in items:
            taken += 1
            yield item

    groups, seen = [], 0
    for group in grouped(given_out(), lambda item: item[1], size=size, held=held):
        groups.append(group)
        seen += len(group)
        assert taken - seen < held
    assert sorted(item for group in groups for item in group) == items
    assert all(len({key for _, key in group}) == 1 for group in groups)
    assert all(1 <= len(group) <= size for group in groups)
    assert all(group == sorted(group) for group in groups)
    if held >= size * len(set(keys)):
        # Enough may wait for each key to fill its groups.
        short = Counter(group[0][1] for group in groups if len(group) < size)
        assert all(count == 1 for count in short.values())
    if size == 1:
        assert [item for (item,) in groups] == items


def test_work_goes_on_ahead_in_order_and_within_its_window() -> None:
    begun: list[int] = []
    go = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        go.wait(30)
        return item * item

    taken: list[int] = []

    def items() -> Any:
        for item in range(50):
            taken.append(item)
            yield item

    made = ahead(work, items(), threads=2, window=4)
    go.set()
    assert next(made) == 0
    assert len(taken) == 4
    assert list(made) == [item * item for item in range(1, 50)]


def test_work_stops_when_it_is_closed() -> None:
    begun: list[int] = []
    made = ahead(lambda item: begun.append(item), iter(range(1000)), threads=1, window=3)
    next(made)
    made.close()
    assert len(begun) <= 3
    assert not [each for each in threading.enumerate() if each.name.startswith("decode")]


def test_an_error_comes_at_its_place() -> None:
    made = ahead(lambda item: 1 // item, [1, 1, 0, 1], threads=2, window=4)
    assert [next(made), next(made)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(made)
