"""Raw images to record files, and which image is of which class."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from modelzoo_runner.data import imagenet
from modelzoo_runner.data.batches import ReadOptions
from modelzoo_runner.data.convert import ConversionReport, convert_imagenet
from modelzoo_runner.data.labelled import labelled_images
from modelzoo_runner.data.records import read_records
from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.values.preset import Preprocess

SYNSETS = ["n01440764", *(f"n02{number:06}" for number in range(998)), "n15075141"]
SMALL = Preprocess(size=(32, 32), resize="shorter_side", resize_to=40)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def synsets(tmp_path: Path) -> Path:
    return text(tmp_path / "synsets.txt", "\n".join(SYNSETS) + "\n")


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


@pytest.fixture
def flat(tmp_path: Path, encode: Any) -> Path:
    """Ten images named by their synset; one of them is a PNG."""
    return images(tmp_path, encode, lambda number: f"{SYNSETS[number * 111]}_{number}.JPEG")


@pytest.fixture
def unnamed(tmp_path: Path, encode: Any) -> Path:
    """The same images with names that say nothing."""
    return images(tmp_path, encode, lambda number: f"image_{number}.JPEG")


def images(tmp_path: Path, encode: Any, name: Callable[[int], str]) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(10):
        kind = "PNG" if number == 3 else "JPEG"
        encoded = encode(40 + number, 50, seed=number, kind=kind)
        (folder / name(number)).write_bytes(encoded)
    return folder


def examples(report: ConversionReport) -> list[Any]:
    records = [record for path in report.files for record in read_records(path)]
    return [tf.train.Example.FromString(record).features.feature for record in records]


def value(features: Any, key: str) -> Any:
    feature = features[key]
    (found,) = getattr(feature, feature.WhichOneof("kind")).value
    return found.decode() if isinstance(found, bytes) and key != "image/encoded" else found


# What is written.


def test_every_key_of_the_old_converters(flat: Path, tmp_path: Path) -> None:
    words = text(
        tmp_path / "words.txt", "".join(f"{each} word of {each}, too\n" for each in SYNSETS)
    )
    report = convert_imagenet(flat, words, tmp_path / "out", shards=3)
    assert report == ConversionReport(tmp_path / "out", report.files, 10, 10, 0)
    assert [path.name for path in report.files] == [
        f"validation-0000{n}-of-00003" for n in range(3)
    ]
    assert names(tmp_path / "out") == [path.name for path in report.files]
    found = {value(features, "image/filename"): features for features in examples(report)}
    assert sorted(found) == names(flat)
    for name, features in found.items():
        synset, number = re.fullmatch(r"(n\d+)_(\d)\.JPEG", name).groups()  # type: ignore[union-attr]
        assert {key: value(features, key) for key in features if key != "image/encoded"} == {
            "image/class/label": int(number) * 111 + 1,
            "image/class/synset": synset,
            "image/class/text": f"word of {synset}, too",
            "image/filename": name,
            "image/format": "PNG" if number == "3" else "JPEG",
            "image/height": 50,
            "image/width": 40 + int(number),
            "image/channels": 3,
            "image/colorspace": "RGB",
        }
        assert value(features, "image/encoded") == (flat / name).read_bytes()


def test_what_is_written_is_found_and_read(flat: Path, synsets: Path, tmp_path: Path) -> None:
    report = convert_imagenet(str(flat), str(synsets), str(tmp_path / "out"))
    found = imagenet.find(tmp_path / "out")
    assert imagenet.count_examples(found) == report.images == 10
    batches = list(imagenet.batches(found, SMALL, ReadOptions(batch_size=4, threads=2)))
    truth: dict[str, int] = {}
    for batch in batches:
        assert batch.truth is not None
        truth |= dict(zip(batch.names, batch.truth.tolist(), strict=True))
    assert truth == {f"{SYNSETS[n * 111]}_{n}.JPEG": n * 111 for n in range(10)}


def test_the_same_bytes_whatever_the_threads(flat: Path, synsets: Path, tmp_path: Path) -> None:
    one = convert_imagenet(flat, synsets, tmp_path / "one", shards=2, threads=1)
    many = convert_imagenet(flat, synsets, tmp_path / "many", shards=2, threads=7)
    for path, other in zip(one.files, many.files, strict=True):
        assert path.read_bytes() == other.read_bytes()


def test_the_classes_are_mixed(flat: Path, synsets: Path, tmp_path: Path) -> None:
    report = convert_imagenet(flat, synsets, tmp_path / "out")
    order = [value(features, "image/class/label") for features in examples(report)]
    assert order != sorted(order)


@pytest.mark.parametrize("shards", [1, 3, 7, 10])
def test_images_are_spread_evenly(flat: Path, synsets: Path, tmp_path: Path, shards: int) -> None:
    report = convert_imagenet(flat, synsets, tmp_path / "out", shards=shards)
    sizes = [len(list(read_records(path))) for path in report.files]
    assert len(sizes) == shards
    assert sum(sizes) == 10
    assert max(sizes) - min(sizes) <= 1


def test_progress_is_told_image_by_image(flat: Path, synsets: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    convert_imagenet(
        flat, synsets, tmp_path / "out", progress=lambda _, done, total: told.append((done, total))
    )
    assert told == [(done, 10) for done in range(1, 11)]


def test_the_report_for_people(flat: Path, synsets: Path, tmp_path: Path) -> None:
    report = convert_imagenet(flat, synsets, tmp_path / "out")
    assert str(report) == (
        f"10 images of 10 classes\n{tmp_path / 'out'}: 1 files, validation-00000-of-00001 and so on"
    )


def test_cmyk_keeps_its_bytes(flat: Path, synsets: Path, tmp_path: Path, encode: Any) -> None:
    encoded = encode(60, 50, mode="CMYK")
    (flat / f"{SYNSETS[5]}_cmyk.JPEG").write_bytes(encoded)
    report = convert_imagenet(flat, synsets, tmp_path / "out")
    assert encoded in [value(features, "image/encoded") for features in examples(report)]


# Whole or not at all.


def test_a_folder_with_files_is_refused_first(flat: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images: the output folder has files in it already"):
        convert_imagenet(flat, tmp_path / "absent", flat)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_after_a_failure(
    flat: Path, synsets: Path, tmp_path: Path, failure: type[BaseException]
) -> None:
    def fail(_: str, done: int, total: int | None) -> None:
        if done == 6:
            raise failure

    before = names(tmp_path)
    with pytest.raises(failure):
        convert_imagenet(flat, synsets, tmp_path / "out", shards=4, progress=fail)
    assert names(tmp_path) == before
    assert not [each for each in threading.enumerate() if each.name.startswith("decode")]


def test_a_broken_image_is_named_and_nothing_left(
    flat: Path, synsets: Path, tmp_path: Path, encode: Any
) -> None:
    broken = flat / f"{SYNSETS[7]}_broken.JPEG"
    broken.write_bytes(encode(300, 200)[:2000])
    before = names(tmp_path)
    with pytest.raises(DataError) as caught:
        convert_imagenet(flat, synsets, tmp_path / "out")
    assert str(caught.value) == (
        f"{broken}: the image is a JPEG of 300 x 200 that is truncated or damaged. Replace the "
        "image, or leave it out of the labels."
    )
    assert names(tmp_path) == before


def test_an_image_that_can_not_be_read(flat: Path, synsets: Path, tmp_path: Path) -> None:
    # A file that is there and gives an error even to root.
    (flat / f"{SYNSETS[5]}_bad.JPEG").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"_bad\.JPEG: can't be read: Input/output error"):
        convert_imagenet(flat, synsets, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "number"),
    [*(("shards", each) for each in (-1, 0, 11, "2")), *(("threads", each) for each in (0, "2"))],
)
def test_a_number_of_shards_or_threads_that_can_not_be(
    flat: Path, synsets: Path, tmp_path: Path, name: str, number: Any
) -> None:
    with pytest.raises(RequestError, match=f"{name}={number!r}: "):
        convert_imagenet(flat, synsets, tmp_path / "out", **{name: number})


# Which image is of which class.


def classes(folder: Path, labels: Path) -> dict[str, int]:
    found, left_out = labelled_images(folder, labels)
    assert left_out == 0
    return {each.path.name: each.class_index for each in found}


def refused(folder: Path, labels: Path) -> str:
    with pytest.raises(DataError) as caught:
        labelled_images(folder, labels)
    return str(caught.value)


UNNAMED = {f"image_{number}.JPEG": number * 111 for number in range(10)}


def listed(tmp_path: Path, line: Callable[[str, int], str]) -> Path:
    return text(tmp_path / "list.txt", "".join(line(*pair) + "\n" for pair in UNNAMED.items()))


def test_folders_named_by_synset(unnamed: Path, synsets: Path) -> None:
    for name, index in UNNAMED.items():
        (unnamed / SYNSETS[index]).mkdir()
        (unnamed / name).rename(unnamed / SYNSETS[index] / name)
    (unnamed / "readme.txt").touch()
    (unnamed / "._hidden.JPEG").touch()
    assert classes(unnamed, synsets) == UNNAMED


def test_the_order_of_the_synsets_file_does_not_matter(flat: Path, tmp_path: Path) -> None:
    shuffled = text(tmp_path / "s.txt", "\n".join(SYNSETS[::-1]))
    assert sorted(classes(flat, shuffled).values()) == sorted(UNNAMED.values())


@pytest.mark.parametrize(
    "line",
    [
        lambda name, index: f"{name} {index}",
        lambda name, index: f"{name},{index}",
        lambda name, index: f"val/{name}\t{index}",
        lambda name, index: f"  {name}   {index}  \n",
    ],
    ids=["Caffe", "commas", "folders and tabs", "spaces"],
)
def test_a_list_of_numbers(unnamed: Path, tmp_path: Path, line: Callable[[str, int], str]) -> None:
    assert classes(unnamed, listed(tmp_path, line)) == UNNAMED


def test_a_list_may_leave_images_out(unnamed: Path, tmp_path: Path) -> None:
    found, left_out = labelled_images(unnamed, text(tmp_path / "l", "image_1.JPEG 5\n"))
    assert [each.class_index for each in found] == [5]
    assert left_out == 9


def a_thousand(tmp_path: Path, encode: Any) -> Path:
    folder = tmp_path / "thousand"
    folder.mkdir()
    for number in range(1001):
        (folder / f"image_{number:04}.JPEG").touch()
    return folder


def test_a_list_of_synsets(tmp_path: Path, encode: Any) -> None:
    folder = a_thousand(tmp_path, encode)
    lines = [f"image_{number:04}.JPEG {SYNSETS[-number]}" for number in range(1000)]
    found, left_out = labelled_images(folder, text(tmp_path / "l", "\n".join(lines)))
    assert [each.class_index for each in found] == [-number % 1000 for number in range(1000)]
    assert left_out == 1


def test_the_synset_of_each_image_by_number(tmp_path: Path, encode: Any) -> None:
    folder = a_thousand(tmp_path, encode)
    lines = [SYNSETS[0], *reversed(SYNSETS)]
    found = classes(folder, text(tmp_path / "l", "\n".join(lines)))
    assert found == {
        f"image_{number:04}.JPEG": SYNSETS.index(synset) for number, synset in enumerate(lines)
    }


def test_numbers_alone_are_the_devkits(unnamed: Path, tmp_path: Path) -> None:
    labels = text(tmp_path / "ILSVRC2012_validation_ground_truth.txt", "490\n361\n171\n")
    assert refused(unnamed, labels) == (
        f"{labels}: numbers without file names, as the ILSVRC devkit's validation_ground_truth.txt "
        "has them. The devkit numbers the classes in an order of its own, which no published model "
        "uses, so accuracy would be near zero. Give a list '<file name> <label>' with labels "
        "0..999 in the order of the sorted synsets (Caffe's val.txt), or with synsets."
    )


def test_the_devkits_numbers_beside_file_names(unnamed: Path, tmp_path: Path) -> None:
    name = "ILSVRC2012_val_00000001.JPEG"
    (unnamed / "image_0.JPEG").rename(unnamed / name)
    labels = tmp_path / "list.txt"
    assert labelled_images(unnamed, text(labels, f"{name} 65"))[0][0].class_index == 65
    assert refused(unnamed, text(labels, f"{name} 490")).startswith(
        f"{labels}: {name}: label 490 can't be: this image has label 65 when classes are counted "
        "from 0"
    )
    # Counted from 1.
    assert "label 66 can't be" in refused(unnamed, text(labels, f"{name} 66"))


def test_numbers_that_contradict_the_synset_in_the_name(flat: Path, tmp_path: Path) -> None:
    lines = [f"{path.name} {900 - number}" for number, path in enumerate(sorted(flat.iterdir()))]
    said = refused(flat, text(tmp_path / "l", "\n".join(lines)))
    assert "labels should rise as the synsets do when sorted" in said


def test_a_number_outside(unnamed: Path, tmp_path: Path) -> None:
    labels = text(tmp_path / "l", "image_1.JPEG 1000")
    assert refused(unnamed, labels).startswith(
        f"{labels}: image_1.JPEG: label 1000 is outside 0..999"
    )


def test_lists_that_can_not_be_used(unnamed: Path, tmp_path: Path) -> None:
    def said(content: str) -> str:
        return refused(unnamed, text(tmp_path / "l", content))

    assert ": nothing in it. Needed: the 1000 synsets, one a line" in said(" \n")
    assert ": line 2: 'what is this'. Needed: the 1000 synsets" in said(
        "image_1.JPEG 7\nwhat is this\n"
    )
    assert ": line 3: image_1.JPEG: it is listed before" in said(
        "image_1.JPEG 7\nimage_2.JPEG 7\nimage_1.JPEG 8\n"
    )
    assert "some labels are numbers and some synsets. Use one kind." in said(
        f"image_1.JPEG 7\nimage_2.JPEG {SYNSETS[7]}\n"
    )
    assert ": 4 of 5 listed images aren't in " in said(
        "image_1.JPEG 7\na.JPEG 1\nb.JPEG 1\nc.JPEG 1\n../../d.JPEG 1\n"
    )
    assert said("image_1.JPEG 7\na.JPEG 1\n").endswith(
        f"aren't in {unnamed}: a.JPEG (there is no such file)"
    )
    assert ": 1 different synsets in 1 lines, should be 1000: a class index is" in said(
        f"image_1.JPEG {SYNSETS[7]}\n"
    )


def test_synsets_that_can_not_be_used(flat: Path, unnamed_copy: Path, tmp_path: Path) -> None:
    labels = text(tmp_path / "l", "\n".join(SYNSETS[:-1]))
    assert ": 999 different synsets in 999 lines, should be 1000" in refused(flat, labels)
    labels = text(tmp_path / "l", "\n".join(SYNSETS))
    said = refused(unnamed_copy, labels)
    assert said.startswith(f"{unnamed_copy / 'image_0.JPEG'}: its class can't be told: neither its")
    (flat / "n09999999_x.JPEG").touch()
    assert "synset n09999999 isn't one of the 1000 of ILSVRC 2012" in refused(flat, labels)


@pytest.fixture
def unnamed_copy(flat: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "unnamed"
    folder.mkdir()
    shutil.copy(next(flat.iterdir()), folder / "image_0.JPEG")
    return folder


def test_places_that_can_not_be_used(flat: Path, synsets: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "absent", synsets).endswith("there is no such folder of images.")
    (tmp_path / "none").mkdir()
    assert refused(tmp_path / "none", synsets).endswith(
        "none: no images in it (looked for *.jpeg, *.jpg, *.png)."
    )
    assert "absent: can't be read: No such file" in refused(flat, tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "binary: not a text file. Needed: " in refused(flat, tmp_path / "binary")


def test_a_name_that_is_not_text(unnamed: Path, tmp_path: Path) -> None:
    if sys.getfilesystemencoding() != "utf-8":
        pytest.skip("the system's file names aren't UTF-8")
    odd = os.fsencode(unnamed) + b"/n01440764_\xff.JPEG"
    os.rename(os.fsencode(unnamed / "image_0.JPEG"), odd)  # noqa: PTH104
    for path in unnamed.glob("image_*"):
        path.unlink()
    report = convert_imagenet(unnamed, text(tmp_path / "s", "\n".join(SYNSETS)), tmp_path / "out")
    assert report.images == 1
    (batch,) = imagenet.batches(imagenet.find(report.folder), SMALL, ReadOptions(batch_size=4))
    assert batch.names == ("n01440764_\ufffd.JPEG",)
