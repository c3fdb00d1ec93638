"""ImageNet's record files: found, read, checked, and every broken one named."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from elsewhere import Elsewhere

from modelzoo_runner.data import fused, imagenet
from modelzoo_runner.data.batches import ALIGNMENT, Batch, ReadOptions
from modelzoo_runner.data.preprocess import image_function
from modelzoo_runner.data.records import index, read_records, writing
from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.values.preset import Preprocess

SMALL = Preprocess(size=(32, 32), resize="shorter_side", resize_to=40)


@pytest.fixture(autouse=True, params=["tensorflow", "fused"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to make batches; what is found, refused and said is the same."""
    if request.param == "tensorflow":
        monkeypatch.setattr(fused, "image_writer", lambda recipe: None)
    else:
        pytest.importorskip("numba")
        pytest.importorskip("simplejpeg")
        assert fused.image_writer(SMALL) is not None
        monkeypatch.setattr(imagenet, "WORTH_COMPILING", 0)


def written(path: Path, records: list[bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with writing(path) as writer:
        for record in records:
            writer.write(record)
    return path


@pytest.fixture(scope="module")
def slim(encode: Any, example: Any) -> Callable[..., bytes]:
    def slim(number: int, **changes: Any) -> bytes:
        values: dict[str, Any] = {
            "image/encoded": encode(50 + number, 45, seed=number),
            "image/class/label": number + 1,
            "image/filename": f"image_{number}.JPEG".encode(),
            "image/class/synset": b"n01440764" if number == 0 else f"n02{number:06}".encode(),
        }
        for key, value in changes.items():
            values[{"text": "image/class/text"}.get(key, key)] = value
        return example({key: value for key, value in values.items() if value is not None})

    return slim


@pytest.fixture
def folder(tmp_path: Path, slim: Any) -> Path:
    """Three shards of 5, 4 and 4 images."""
    for shard in range(3):
        records = [slim(number) for number in range(shard, 13, 3)]
        written(tmp_path / "data" / f"validation-{shard:05}-of-00003", records)
    return tmp_path / "data"


def some(location: Path | Elsewhere, **options: Any) -> Iterator[Batch]:
    given = {"batch_size": 4, "threads": 2, **options}
    return imagenet.batches(imagenet.find(location), SMALL, ReadOptions(**given))


def one_file(tmp_path: Path, *records: bytes) -> Path:
    return written(tmp_path / "one.tfrecord", list(records))


def refused(location: Path, **options: Any) -> str:
    """What is said of data that can't be used, wherever it is."""
    said = []
    for place in (location, Elsewhere(location)):
        with pytest.raises(DataError) as caught:
            list(some(place, **options))
        said.append(str(caught.value))
    assert said[0] == said[1]
    return said[0]


# Finding.


def test_shards_in_a_folder(folder: Path) -> None:
    found = imagenet.find(folder)
    assert [path.name for path in found.files] == [f"validation-0000{n}-of-00003" for n in range(3)]
    assert found.variant == "slim"
    assert found.missing == ()
    assert imagenet.count_examples(found) == 13


def test_shards_in_the_folder_validation(folder: Path) -> None:
    moved = folder.rename(folder.parent / "validation")
    assert imagenet.find(folder.parent).files == imagenet.find(moved).files


def test_a_path_as_text_with_odd_letters(folder: Path) -> None:
    odd = folder.rename(folder.parent / "a b;'é\n")
    assert len(list(some(odd))) == 4
    (folder.parent / "link").symlink_to(odd)
    assert imagenet.find(str(folder.parent / "link")).variant == "slim"


def test_a_single_file(folder: Path) -> None:
    found = imagenet.find(folder / "validation-00001-of-00003")
    assert imagenet.count_examples(found) == 4


def test_tensorflow_datasets(tmp_path: Path, encode: Any, example: Any) -> None:
    for shard in range(2):
        name = f"imagenet2012-validation.tfrecord-{shard:05}-of-00002"
        values = {"image": encode(), "label": shard * 999, "file_name": b"a.JPEG"}
        written(tmp_path / name, [example(values)])
    (tmp_path / "features.json").write_text("{}")
    found = imagenet.find(tmp_path)
    assert found.variant == "tfds"
    (batch,) = imagenet.batches(found, SMALL, ReadOptions(batch_size=8))
    assert batch.truth is not None
    assert batch.truth.tolist() == [0, 999]
    assert batch.names == ("a.JPEG", "a.JPEG")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: there is no such file or folder. Looked for val"):
        imagenet.find(tmp_path / "absent")
    with pytest.raises(
        DataError, match=r"no validation records. Looked for validation-\*-of-\* .*Found: nothing\."
    ):
        imagenet.find(tmp_path)


def test_training_shards_instead(tmp_path: Path) -> None:
    for name in ("train-00000-of-01024", "train-00001-of-01024"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"Found: 2 x train-\*-of-01024. Those are training images"):
        imagenet.find(tmp_path)


def test_raw_images_instead(tmp_path: Path) -> None:
    (tmp_path / "n01440764").mkdir()
    (tmp_path / "n01440764" / "a.JPEG").write_bytes(b"x")
    with pytest.raises(DataError, match=r"Found: n01440764. Images are turned into record files"):
        imagenet.find(tmp_path)


def test_a_missing_shard(folder: Path) -> None:
    (folder / "validation-00001-of-00003").unlink()
    with pytest.raises(DataError, match=r"2 of 3 files are there; missing: 1\. Get them, or say"):
        imagenet.find(folder)
    found = imagenet.find(folder, allow_partial=True)
    assert found.missing == (1,)
    assert sum(map(len, imagenet.batches(found, SMALL, ReadOptions(batch_size=4)))) == 9


def test_a_shard_in_both_folders(folder: Path) -> None:
    (folder / "validation").mkdir()
    name = "validation-00000-of-00003"
    (folder / "validation" / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(DataError, match="file number 0 of 3 is there twice"):
        imagenet.find(folder)


# Reading.


def test_every_image_comes_once_in_order_with_its_class(folder: Path, slim: Any) -> None:
    batches = list(some(folder))
    assert [len(batch) for batch in batches] == [4, 4, 4, 1]
    truth = np.concatenate([batch.truth for batch in batches])
    assert truth.dtype == np.int64
    # Three files in turn, one image each.
    assert truth.tolist() == list(range(13))
    names = [name for batch in batches for name in batch.names]
    assert names == [f"image_{number}.JPEG" for number in range(13)]


def test_inputs_are_what_the_recipe_gives(folder: Path, slim: Any) -> None:
    function = image_function(SMALL)
    inputs = np.concatenate([batch.inputs for batch in some(folder)])
    assert inputs.shape == (13, 32, 32, 3)
    assert inputs.dtype == np.float32
    for number, row in enumerate(inputs):
        encoded = tf.train.Example.FromString(slim(number)).features.feature["image/encoded"]
        assert (row == function(encoded.bytes_list.value[0]).numpy()).all()


def test_the_order_does_not_depend_on_threads_or_batches(folder: Path) -> None:
    for threads, batch_size in itertools.product((1, 4), (1, 3, 100)):
        batches = some(folder, threads=threads, batch_size=batch_size)
        assert np.concatenate([batch.truth for batch in batches]).tolist() == list(range(13))


def test_memory_is_handed_on_as_it_is(folder: Path) -> None:
    for batch in some(folder):
        assert batch.inputs.ctypes.data % ALIGNMENT == 0
        assert batch.inputs.flags.c_contiguous
        assert not batch.inputs.flags.owndata
        assert not batch.inputs.flags.writeable


def test_limit_and_repeat(folder: Path) -> None:
    assert [len(batch) for batch in some(folder, limit=6)] == [4, 2]
    assert sum(len(batch) for batch in some(folder, limit=100)) == 13
    with closing(some(folder, limit=6, repeat=True)) as batches:
        truths = [next(batches).truth.tolist() for _ in range(4)]
    assert truths == [[0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5], [0, 1, 2, 3]]


@pytest.mark.parametrize(("first", "limit"), [(0, 5), (1, 1), (4, 4), (7, 6), (12, 9), (13, 1)])
def test_a_range_is_what_comes_in_that_place(folder: Path, first: int, limit: int) -> None:
    whole = [name for batch in some(folder) for name in batch.names]
    found = [name for batch in some(folder, first=first, limit=limit) for name in batch.names]
    assert found == whole[first : first + limit]


def test_what_is_passed_over_is_not_read(folder: Path) -> None:
    path = imagenet.find(folder).files[2]
    data = bytearray(path.read_bytes())
    data[index(path)[1].offset + 20] ^= 1
    path.write_bytes(bytes(data))
    assert sum(len(batch) for batch in some(folder, first=6)) == 7
    assert refused(folder, first=5).startswith(f"{path}: record 1 at byte ")


def test_a_broken_record_of_a_range_is_named_as_in_its_file(folder: Path) -> None:
    path = imagenet.find(folder).files[1]
    data = bytearray(path.read_bytes())
    data[index(path)[3].offset + 20] ^= 1
    path.write_bytes(bytes(data))
    said = refused(folder, first=6)
    assert said.startswith(f"{path}: record 3 at byte {index(path)[3].offset}: ")


def test_a_function_is_compiled_only_for_many_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(fused, "image_writer", asked.append)
    monkeypatch.setattr(imagenet, "WORTH_COMPILING", 10)
    for options in ({"limit": 9}, {"first": 4}, {}, {"limit": 10}, {"first": 3, "limit": 99}):
        asked.append(options)
        list(some(folder, **options))
    want = [{"limit": 9}, {"first": 4}, {}, SMALL, {"limit": 10}, SMALL]
    assert asked == [*want, {"first": 3, "limit": 99}, SMALL]


def test_no_more_images_than_there_are(folder: Path) -> None:
    (batch,) = some(folder, batch_size=1000)
    assert len(batch) == 13


@pytest.mark.parametrize("name", ["batch_size", "threads", "limit"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_below_one_are_refused_at_once(folder: Path, name: str, value: int) -> None:
    with pytest.raises(RequestError, match=f"{name}={value}: .*at least 1"):
        some(folder, **{name: value})
    with pytest.raises(RequestError, match=r"first=-1: .*at least 0"):
        some(folder, first=-1)


def test_closing_ends_the_threads(folder: Path) -> None:
    def tasks() -> int:
        """How many threads there are; one that was waited for may be there a moment longer."""
        found = [0]
        while len(found) < 6 or len(set(found[-5:])) > 1:
            found.append(len(list(Path("/proc/self/task").iterdir())))
            time.sleep(0.02)
        return found[-1]

    list(some(folder))  # starts what TensorFlow keeps
    before = tasks()
    batches = some(folder, repeat=True, batch_size=1)
    next(batches)
    assert tasks() > before
    batches.close()
    assert tasks() == before


def test_only_a_few_batches_are_made_ahead(tmp_path: Path, slim: Any) -> None:
    # The broken record comes to light when it is near, not before the first batch.
    records = [slim(number) for number in range(200)]
    path = one_file(tmp_path, *records, slim(200, **{"image/encoded": b""}))
    batches = some(path, batch_size=2)
    assert sum(len(next(batches)) for _ in range(50)) == 100
    batches.close()


def test_where_a_graph_is_current(folder: Path) -> None:
    with tf.Graph().as_default():
        assert sum(len(batch) for batch in some(folder)) == 13


def test_a_step_can_be_fed_while_reading(folder: Path) -> None:
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, 32, 32, 3])
        total = tf.reduce_sum(images, [1, 2, 3])
    with tf.compat.v1.Session(graph=graph) as session:
        for batch in some(folder):
            assert len(session.run(total, {images: batch.inputs})) == len(batch)


def test_real_images_give_their_classes(real_shards: Path, samples: Path) -> None:
    path = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    synsets = path.read_text().split()
    found = imagenet.find(real_shards)
    assert imagenet.count_examples(found) == 500
    count = 0
    for batch in imagenet.batches(found, SMALL, ReadOptions(batch_size=64, threads=2)):
        assert batch.truth is not None
        count += len(batch)
        assert [synsets[each] for each in batch.truth] == [name[:9] for name in batch.names]
    assert count == 500


# Broken records: file, record, byte and problem.


def named(path: Path, record: int) -> str:
    return f"{path}: record {record} at byte {index(path)[record].offset}: "


def test_a_flipped_byte(folder: Path) -> None:
    path = folder / "validation-00002-of-00003"
    place = named(path, 2)
    data = bytearray(path.read_bytes())
    data[index(path)[2].offset + 500] ^= 1
    path.write_bytes(data)
    assert refused(folder) == (
        f"{place}the record's checksum is wrong. The file is damaged: get or convert it again."
    )


def test_a_truncated_file(folder: Path) -> None:
    path = folder / "validation-00001-of-00003"
    place = named(path, 3)
    path.write_bytes(path.read_bytes()[:-10])
    assert refused(folder).startswith(f"{place}the file ends in it: ")


def test_a_compressed_file(folder: Path) -> None:
    import gzip

    path = folder / "validation-00001-of-00003"
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert "is gzip-compressed" in refused(folder)


def test_a_file_that_is_gone(folder: Path) -> None:
    found = imagenet.find(folder)
    found.files[2].unlink()
    with pytest.raises(DataError, match="00002-of-00003: can't be read: No such file"):
        list(imagenet.batches(found, SMALL, ReadOptions(batch_size=4)))


@pytest.mark.parametrize(
    ("position", "batch_size"), [(0, 1), (12, 1), (1, 4), (7, 4), (0, 50), (12, 50)]
)
def test_the_broken_record_is_found_wherever_it_is(
    tmp_path: Path, slim: Any, position: int, batch_size: int
) -> None:
    records = [slim(number) for number in range(13)]
    records[position] = slim(position, **{"image/encoded": b"no image"})
    for shard in range(3):
        written(tmp_path / f"validation-{shard:05}-of-00003", records[shard::3])
    path = tmp_path / f"validation-{position % 3:05}-of-00003"
    assert refused(tmp_path, batch_size=batch_size) == (
        f"{named(path, position // 3)}image_{position}.JPEG: the image is of no known format (it "
        "begins with b'no image'); it should be JPEG or PNG."
    )


def test_the_batches_before_a_broken_record_come(tmp_path: Path, slim: Any) -> None:
    records = [slim(number) for number in range(9)]
    records[6] = slim(6, **{"image/encoded": records[6][:200]})
    batches = some(one_file(tmp_path, *records), batch_size=3)
    assert [next(batches).truth.tolist() for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError, match=r"record 6 at byte .* image_6\.JPEG"):
        next(batches)


def test_a_truncated_image(tmp_path: Path, slim: Any, encode: Any) -> None:
    half = encode(300, 200)[:3000]
    path = one_file(tmp_path, slim(0), slim(1, **{"image/encoded": half}))
    assert refused(path) == (
        f"{named(path, 1)}image_1.JPEG: the image is a JPEG of 300 x 200 that is truncated or "
        "damaged."
    )


def test_a_record_that_is_not_an_example(tmp_path: Path, slim: Any) -> None:
    path = one_file(tmp_path, slim(0), b"\xff\xff\xff")
    assert refused(path) == f"{named(path, 1)}not a tf.train.Example."
    path = one_file(tmp_path, b"\xff\xff\xff")
    assert refused(path) == f"{named(path, 0)}not a tf.train.Example."


def test_records_of_something_else(tmp_path: Path, example: Any) -> None:
    path = one_file(tmp_path, example({"tokens": [1, 2], "text": b"x"}))
    assert refused(path) == (
        f"{named(path, 0)}not an image of ImageNet: needs 'image/encoded' and 'image/class/label' "
        "or 'image' and 'label'; keys there: text, tokens."
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image/class/label": None}, "the key 'image/class/label' is missing; keys there: "
         "image/class/synset, image/encoded, image/filename"),
        ({"image/class/label": []}, "the key 'image/class/label' has no value"),
        ({"image/class/label": [1, 2]}, "the key 'image/class/label' holds 2 values, should be 1"),
        ({"image/class/label": b"1"}, "the key 'image/class/label' holds a bytes_list, should be a "
         "int64_list"),
        ({"image/class/label": 1.0}, "the key 'image/class/label' holds a float_list, should be a "
         "int64_list"),
        ({"image/encoded": 7}, "the key 'image/encoded' holds a int64_list, should be a "
         "bytes_list"),
        ({"image/encoded": [b"a", b"b"]}, "the key 'image/encoded' holds 2 values, should be 1"),
        ({"image/filename": 7}, "the key 'image/filename' holds a int64_list, should be a "
         "bytes_list"),
    ],
)  # fmt: skip
def test_a_key_that_can_not_be_used(
    tmp_path: Path, slim: Any, changes: dict[str, Any], text: str
) -> None:
    path = one_file(tmp_path, slim(0, **changes), slim(1))
    assert refused(path) == f"{named(path, 0)}{text}."


def test_a_key_that_can_not_be_used_is_named_while_reading(tmp_path: Path, slim: Any) -> None:
    path = one_file(tmp_path, slim(0), slim(1, **{"image/class/label": 1.0}), slim(2))
    assert refused(path) == (
        f"{named(path, 1)}the key 'image/class/label' holds a float_list, should be a int64_list."
    )


def test_what_is_not_needed_may_be_missing(tmp_path: Path, slim: Any) -> None:
    bare = {"image/filename": None, "image/class/synset": None}
    empty: dict[str, Any] = {"image/filename": [], "image/class/synset": []}
    (batch,) = some(one_file(tmp_path, slim(0, **bare), slim(1, **empty)))
    assert batch.truth is not None
    assert batch.truth.tolist() == [0, 1]
    assert batch.names == ("", "")


@pytest.mark.parametrize("label", [0, -1, 1001])
def test_a_label_outside_the_convention(tmp_path: Path, slim: Any, label: int) -> None:
    path = one_file(tmp_path, slim(0), slim(1), slim(2, **{"image/class/label": label}))
    assert refused(path, batch_size=2).startswith(
        f"{named(path, 2)}image_2.JPEG: label {label} is outside 1..1000, as slim data has them"
    )


def test_a_label_that_contradicts_its_synset(tmp_path: Path, slim: Any) -> None:
    path = one_file(tmp_path, slim(3), slim(5), slim(4, **{"image/class/label": 9}))
    for batch_size in (1, 3):
        text = refused(path, batch_size=batch_size)
        assert text.startswith(f"{path}: record ")
        assert "labels should rise as the synsets do when sorted" in text


def test_the_devkits_label_of_a_real_name(tmp_path: Path, slim: Any) -> None:
    bad = slim(489, **{"image/filename": b"ILSVRC2012_val_00000001.JPEG"})
    path = one_file(tmp_path, bad)
    assert refused(path).startswith(
        f"{named(path, 0)}ILSVRC2012_val_00000001.JPEG: label 490 can't be: this image has label 66"
    )


def test_the_reader_of_records_reads_what_the_pipeline_reads(folder: Path, slim: Any) -> None:
    path = imagenet.find(folder).files[0]
    assert list(read_records(path)) == [slim(number) for number in range(0, 13, 3)]
