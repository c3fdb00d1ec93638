from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from coco_made import annotation, encoded, example, old_example
from hypothesis import given

from modelzoo_runner.data.coco_records import clipped, read_image, read_objects, to_record
from modelzoo_runner.data.examples import Features
from modelzoo_runner.errors import DataError
from modelzoo_runner.values.coco_categories import IDS, NAMES

IMAGE = {"id": 7, "file_name": "000000000007.jpg", "width": 8, "height": 6}


def objects(record: bytes, label_map: Any = IDS) -> tuple[list[dict[str, Any]], dict[int, str]]:
    features = Features(record, "val.record: record 3")
    return read_objects(features, read_image(features)[1], label_map)


numbers = st.floats(-1e4, 1e4)
annotations = st.builds(
    lambda number, category, box, area, crowd: annotation(
        number, 7, category, bbox=box, area=area, iscrowd=crowd
    ),
    st.integers(1, 10**13),
    st.sampled_from(sorted(NAMES)),
    st.lists(numbers, min_size=4, max_size=4),
    st.floats(0, 1e6),
    st.integers(0, 1),
)


@given(st.lists(annotations, max_size=5))
def test_a_record_gives_back_exactly_what_went_in(written: list[dict[str, Any]]) -> None:
    picture = encoded()
    features = Features(to_record(picture, IMAGE, written, NAMES), "here")
    assert read_image(features) == (picture, IMAGE)
    found, names = read_objects(features, IMAGE, {})
    assert found == written
    assert names == {each["category_id"]: NAMES[each["category_id"]] for each in written}


def test_the_features_are_those_that_other_readers_know() -> None:
    import tensorflow as tf

    inside = annotation(5, 7, 18, bbox=[2, 3, 4, 1.5], area=5.5)
    outside = annotation(6, 7, 1, bbox=[-2, 3, 40, 1.5], area=5.5, iscrowd=1)
    record = to_record(encoded(), IMAGE, [inside, outside], NAMES)
    lists = tf.io.parse_single_example(
        record,
        {
            "image/encoded": tf.io.FixedLenFeature([], tf.string),
            "image/format": tf.io.FixedLenFeature([], tf.string),
            "image/filename": tf.io.FixedLenFeature([], tf.string),
            "image/source_id": tf.io.FixedLenFeature([], tf.string),
            "image/key/sha256": tf.io.FixedLenFeature([], tf.string),
            "image/height": tf.io.FixedLenFeature([], tf.int64),
            "image/width": tf.io.FixedLenFeature([], tf.int64),
            "image/object/class/text": tf.io.VarLenFeature(tf.string),
            "image/object/class/label": tf.io.VarLenFeature(tf.int64),
            "image/object/is_crowd": tf.io.VarLenFeature(tf.int64),
            "image/object/area": tf.io.VarLenFeature(tf.float32),
            **{
                f"image/object/bbox/{side}": tf.io.VarLenFeature(tf.float32)
                for side in ("xmin", "xmax", "ymin", "ymax")
            },
        },
    )
    found = {
        key: (value.values if isinstance(value, tf.SparseTensor) else value).numpy()
        for key, value in lists.items()
    }
    assert found["image/encoded"] == encoded()
    assert found["image/format"] == b"jpeg"
    assert found["image/filename"] == b"000000000007.jpg"
    assert found["image/source_id"] == b"7"
    assert len(found["image/key/sha256"]) == 64
    assert (found["image/height"], found["image/width"]) == (6, 8)
    assert found["image/object/class/text"].tolist() == [b"dog", b"person"]
    assert found["image/object/class/label"].tolist() == [18, 1]
    assert found["image/object/is_crowd"].tolist() == [0, 1]
    assert found["image/object/area"].tolist() == [5.5, 5.5]
    assert found["image/object/bbox/xmin"].tolist() == [0.25, 0]
    assert found["image/object/bbox/xmax"].tolist() == [0.75, 1]
    assert found["image/object/bbox/ymin"].tolist() == [0.5, 0.5]
    assert found["image/object/bbox/ymax"].tolist() == [0.75, 0.75]


def test_an_image_without_objects_has_empty_lists() -> None:
    import tensorflow as tf

    record = to_record(encoded(), IMAGE, [], NAMES)
    features = tf.train.Example.FromString(record).features.feature
    assert features["image/object/bbox/xmin"].WhichOneof("kind") == "float_list"
    assert objects(record) == ([], {})
    bare = example(height=6, width=8, source_id="7", encoded=encoded())
    assert objects(bare) == ([], {})


def test_an_old_record_has_names_only() -> None:
    found, names = objects(old_example())
    assert found == [
        {"image_id": 7, "category_id": 18, "bbox": [2, 3, 4, 3], "area": 9.5, "iscrowd": 0}
    ]
    assert names == {18: "dog"}
    found, names = objects(old_example(), {"dog": 2})
    assert (found[0]["category_id"], names) == (2, {2: "dog"})


def test_a_label_goes_before_a_name() -> None:
    found, names = objects(old_example(object__class__label=[3]))
    assert (found[0]["category_id"], names) == (3, {3: "dog"})
    found, names = objects(old_example(object__class__label=[3], object__class__text=[]))
    assert (found[0]["category_id"], names) == (3, {3: "car"})


def test_without_area_and_crowd_flag_they_follow_from_the_box() -> None:
    found, _ = objects(old_example(object__area=[], object__is_crowd=[]))
    assert (found[0]["area"], found[0]["iscrowd"]) == (12, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"source_id": [], "filename": []},
            "neither 'image/source_id' nor 'image/filename' says which image it is",
        ),
        ({"source_id": 7}, "the key 'image/source_id' holds a int64_list, should be a bytes_list"),
        ({"source_id": ["7", "8"]}, "the key 'image/source_id' holds 2 values, should be 1"),
        ({"width": 0}, "the image is 0 x 6 pixels"),
        ({"encoded": []}, "the key 'image/encoded' is missing; keys there: image/filename, "),
        (
            {"object__bbox__xmin": [0.1, 0.2]},
            "the lists of the boxes' sides differ in length: 1 ymin, 2 xmin, 1 ymax, 1 xmax",
        ),
        (
            {"object__class__text": ["dog", "cat"]},
            "the key 'image/object/class/text' holds 2 values for 1 boxes",
        ),
        ({"object__area": [1.0, 2.0]}, "the key 'image/object/area' holds 2 values for 1 boxes"),
        (
            {"object__bbox__xmin": [float("nan")]},
            "the box or area of object 0 isn't finite: [nan, 3",
        ),
        (
            {"object__class__text": []},
            "neither 'image/object/class/label' nor 'image/object/class/text' says what is in the "
            "boxes",
        ),
        (
            {"object__class__text": ["dogs"]},
            "'image/object/class/text' has 'dogs', which isn't in the label map. Did you mean",
        ),
        (
            {"object__annotation": ['{"id": 3}']},
            "'image/object/annotation' has '{\"id\": 3}': not an annotation as JSON",
        ),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        objects(old_example(**change))
    assert str(caught.value).startswith(f"val.record: record 3: {message}")


@pytest.mark.parametrize("record", [b"\xff\xff\xff", json.dumps(IMAGE).encode()])
def test_what_is_no_example_is_named(record: bytes) -> None:
    with pytest.raises(DataError) as caught:
        objects(record)
    assert str(caught.value) == ("val.record: record 3: not a tf.train.Example.")


def test_a_record_of_something_else_shows_what_it_has() -> None:
    with pytest.raises(DataError, match="'image/width' is missing; keys there: image/class/label"):
        objects(example(class__label=3, source_id="7"))
    with pytest.raises(DataError, match="neither 'image/source_id' nor"):
        objects(b"")


@pytest.mark.parametrize(
    ("source", "name", "found"),
    [
        ("7", "a.jpg", 7),
        ("000000000007", "a.jpg", 7),
        (str(2**64), "a.jpg", 2**64),
        ("cam1/a.jpg", "x.jpg", "cam1/a.jpg"),
        ("", "a.jpg", "a.jpg"),
    ],
)
def test_an_image_id_may_be_any_text(source: str, name: str, found: Any) -> None:
    features = Features(old_example(source_id=source, filename=name), "here")
    assert read_image(features)[1]["id"] == found


def test_an_image_that_the_json_knows_by_name_gets_its_id() -> None:
    features = Features(old_example(source_id="", filename="a.jpg"), "here")
    assert read_image(features, {"a.jpg": 5, 5: 5})[1]["id"] == 5


@given(st.lists(numbers, min_size=4, max_size=4))
def test_clipped_boxes_are_inside_and_inside_boxes_stay(box: list[float]) -> None:
    left, top, right, bottom = clipped(box, 640, 480)
    assert all(0 <= edge <= 640 for edge in (left, right))
    assert all(0 <= edge <= 480 for edge in (top, bottom))
    if (left, top) == (box[0], box[1]):
        assert right in (box[0] + box[2], 0, 640)
        assert bottom in (box[1] + box[3], 0, 480)
