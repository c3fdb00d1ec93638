"""Mistakes planted on real graphs and images are named, and right set-ups give no finding.

Run with -s to see the table.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelzoo_runner import Diagnosis, Preset, accuracy, convert_imagenet, doctor, models
from modelzoo_runner.data.records import read_records, writing
from modelzoo_runner.errors import DataError

HERE: dict[str, Any] = {"num_inter_threads": 1}
FULL, SMALL = "mobilenet_v1_1.0_224_frozen.pb", "mobilenet_v1_0.25_224_frozen.pb"
INT8 = "mobilenet_v1_1.0_224_int8_inc.pb"
SSD = "ssd_mobilenet_v1_0.75_coco_frozen_inference_graph.pb"

pytestmark = pytest.mark.usefixtures("same_pools")


@pytest.fixture(scope="session")
def shards(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("doctor") / "shards"
    synsets = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    convert_imagenet(samples / "imagenet" / "images", synsets, out, shards=4)
    return out


@pytest.fixture(scope="session")
def table() -> Iterator[list[tuple[str, str, bool]]]:
    """(planted or right, what, whether it came out so), printed at the end."""
    rows: list[tuple[str, str, bool]] = []
    yield rows
    planted = [ok for kind, _, ok in rows if kind == "planted"]
    alarms = [not ok for kind, _, ok in rows if kind == "right"]
    print(
        "\n" + "\n".join(f"{kind:8} {what:30} {'ok' if ok else 'WRONG'}" for kind, what, ok in rows)
    )
    print(
        f"planted found {sum(planted)} / {len(planted)}, false alarms {sum(alarms)} / {len(alarms)}"
    )


def preset(**changed: Any) -> Preset:
    own = models()["mobilenet_v1"]
    assert own.preprocess is not None
    return dataclasses.replace(own, preprocess=dataclasses.replace(own.preprocess, **changed))


def classify(samples: Path, data: Path, graph: str | Path = FULL, **asked: Any) -> Diagnosis:
    path = samples / "graphs" / graph
    outputs = {"outputs": {"scores": "predictions:0"}} if SMALL in str(graph) else {}
    model = asked.pop("model", "mobilenet_v1")
    return doctor(model, weights=path, data_location=data, **outputs, **HERE, **asked)


def detect(samples: Path, graph: str = SSD, **asked: Any) -> Diagnosis:
    coco = samples / "coco" / "val2017_mini"
    given: dict[str, Any] = {
        "data_location": coco / "images",
        "annotations": coco / "instances_val2017_mini.json",
        "images": 64,
    }
    return doctor("ssd-mobilenet", weights=samples / "graphs" / graph, **HERE, **{**given, **asked})


def rewritten(shards: Path, out: Path, change: Callable[[int, Any], None]) -> Path:
    """The records with each example changed, and without what would tell its true label."""
    import tensorflow as tf

    out.mkdir()
    number = itertools.count()
    for path in sorted(shards.iterdir()):
        with writing(out / path.name) as to:
            for record in read_records(path):
                example = tf.train.Example.FromString(record)
                features = example.features.feature
                place = next(number)
                features["image/filename"].bytes_list.value[:] = [b"%d.jpg" % place]
                features["image/class/synset"].bytes_list.value[:] = [b""]
                change(place, features)
                to.write(example.SerializeToString())
    return out


def scaled(graph: Path, out: Path, op: str, factor: float) -> Path:
    """The graph with the input of each node of that kind multiplied by a number."""
    import tensorflow as tf

    found = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
    (node,) = [each for each in found.node if each.op == op]
    number = found.node.add(name="factor", op="Const")
    number.attr["dtype"].type = tf.float32.as_datatype_enum
    number.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(factor, tf.float32))
    times = found.node.add(name="times", op="Mul", input=[node.input[0], "factor"])
    times.attr["T"].type = tf.float32.as_datatype_enum
    node.input[0] = "times"
    out.write_bytes(found.SerializeToString())
    return out


def label(features: Any) -> Any:
    return features["image/class/label"].int64_list.value


def named(found: Diagnosis, name: str, what: str, table: list[tuple[str, str, bool]]) -> None:
    ok = name in {each.name for each in found.findings}
    table.append(("planted", what, ok))
    assert ok, str(found)


SLOW = pytest.mark.slow
"""One mistake and one right set-up of each kind are looked at each time, the others when asked."""


@pytest.mark.parametrize(
    ("what", "name", "asked"),
    [
        ("offset -1 asked", "label_offset", {"label_offset": -1}),
        pytest.param(
            "range 0..255",
            "preprocess",
            {"model": {"unit_range": False, "mean": (0.0,) * 3, "scale": 1.0}},
            marks=SLOW,
        ),
        pytest.param(
            *("mean of another color", "preprocess", {"model": {"mean": (1.0, 0.0, 1.0)}}),
            marks=SLOW,
        ),
        pytest.param(*("BGR", "channel_order", {"model": {"channel_order": "BGR"}}), marks=SLOW),
        pytest.param("central 0.3", "crop", {"model": {"central_fraction": 0.3}}, marks=SLOW),
    ],
)
def test_wrong_arguments(
    samples: Path, shards: Path, table: Any, what: str, name: str, asked: dict[str, Any]
) -> None:
    given = {**asked, **({"model": preset(**asked["model"])} if "model" in asked else {})}
    named(classify(samples, shards, SMALL, **given), name, what, table)


@pytest.mark.parametrize("shift", [pytest.param(-1, marks=SLOW), 1])
def test_labels_off_by_one(
    samples: Path, shards: Path, table: Any, tmp_path: Path, shift: int
) -> None:
    def change(_: int, features: Any) -> None:
        label(features)[0] = min(1000, max(1, label(features)[0] + shift))

    data = rewritten(shards, tmp_path / "data", change)
    found = classify(samples, data, SMALL)
    named(found, "label_offset", f"labels {shift:+d}", table)
    assert f"label_offset={-shift}" in str(found)


@SLOW
def test_shuffled_labels(samples: Path, shards: Path, table: Any, tmp_path: Path) -> None:
    def change(_: int, features: Any) -> None:
        label(features)[0] = (label(features)[0] * 387 + 211) % 1000 + 1

    data = rewritten(shards, tmp_path / "data", change)
    named(classify(samples, data, SMALL), "labels", "shuffled labels", table)


def test_duplicates(samples: Path, shards: Path, table: Any, tmp_path: Path) -> None:
    kept: list[bytes] = []

    def change(place: int, features: Any) -> None:
        encoded = features["image/encoded"].bytes_list.value
        kept.append(encoded[0])
        if place % 100 == 99:
            encoded[0] = kept[0]

    data = rewritten(shards, tmp_path / "data", change)
    found = classify(samples, data, SMALL)
    named(found, "duplicates", "duplicates", table)
    assert "5 of 500 images" in str(found)


@pytest.mark.parametrize(
    ("name", "op", "factor"),
    [
        ("constant", "Softmax", 0.0),
        pytest.param("saturated", "Softmax", 1e6, marks=SLOW),
        pytest.param("not_finite", "Softmax", float("nan"), marks=SLOW),
    ],
)
def test_broken_graphs(
    samples: Path, shards: Path, table: Any, tmp_path: Path, name: str, op: str, factor: float
) -> None:
    graph = scaled(samples / "graphs" / SMALL, tmp_path / SMALL, op, factor)
    named(classify(samples, shards, graph), name, f"{name} graph", table)


@SLOW
def test_an_untrained_graph(samples: Path, shards: Path, table: Any) -> None:
    found = doctor("mobilenet_v1", weights="random", data_location=shards, **HERE)
    named(found, "chance", "random weights", table)


@pytest.mark.parametrize(
    ("what", "name", "asked"),
    [
        ("pixel boxes", "box_format", {"box_format": "pixel_yxyx"}),
        pytest.param("xyxy boxes", "box_format", {"box_format": "normalized_xyxy"}, marks=SLOW),
        pytest.param("classes shifted by one", "label_map", {"label_offset": 1}, marks=SLOW),
    ],
)
def test_detectors(samples: Path, table: Any, what: str, name: str, asked: Any) -> None:
    named(detect(samples, **asked), name, what, table)


@SLOW
def test_duplicates_of_a_detector(samples: Path, table: Any, tmp_path: Path) -> None:
    folder = samples / "coco" / "val2017_mini" / "images"
    data = Path(shutil.copytree(folder, tmp_path / "images"))
    from PIL import Image

    by_size: dict[Any, list[Path]] = {}
    for path in sorted(data.iterdir())[:64]:
        with Image.open(path) as image:
            by_size.setdefault(image.size, []).append(path)
    first, second = next(each for each in by_size.values() if len(each) > 1)[:2]
    shutil.copyfile(first, second)
    named(detect(samples, data_location=data), "duplicates", "duplicates (COCO)", table)


@pytest.mark.parametrize(
    "graph", [*(pytest.param(each, marks=SLOW) for each in (FULL, INT8)), SMALL]
)
def test_right_classifiers(samples: Path, shards: Path, table: Any, graph: str) -> None:
    precision = "int8" if graph == INT8 else "fp32"
    found = classify(samples, shards, graph, precision=precision)
    table.append(("right", graph, not found.findings))
    assert not found.findings, str(found)


@pytest.mark.parametrize(
    "graph",
    [
        SSD,
        pytest.param("ssdlite_mobilenet_v2_coco_frozen_inference_graph.pb", marks=SLOW),
        pytest.param("ssd_mobilenet_v1_0.75_coco_int8_inc.pb", marks=SLOW),
    ],
)
def test_right_detectors(samples: Path, table: Any, graph: str) -> None:
    precision = "int8" if "int8" in graph else "fp32"
    found = detect(samples, graph, precision=precision)
    table.append(("right", graph, not found.findings))
    assert not found.findings, str(found)


def test_before_a_run(samples: Path, shards: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "weights": samples / "graphs" / SMALL,
        "outputs": {"scores": "predictions:0"},
        "data_location": shards,
        "limit": 100,
        **HERE,
    }
    with pytest.raises(DataError, match="label_offset=0"):
        accuracy("mobilenet_v1", doctor=True, label_offset=-1, **asked)
    result = accuracy("mobilenet_v1", doctor=True, **asked)
    assert result.examples == 100
    assert not any("preprocess" in said or "label" in said for said in result.warnings)


def test_in_a_child_and_back_from_a_file(samples: Path, shards: Path, tmp_path: Path) -> None:
    found = classify(samples, shards, SMALL, isolation="child", label_offset=-1, images=40)
    assert Diagnosis.load(found.save(tmp_path / "found.json")) == found
    assert "label_offset=0" in found._repr_html_()
