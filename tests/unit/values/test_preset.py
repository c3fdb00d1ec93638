"""Reading a preset file, and the words for what is wrong in one."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import PresetError, UnknownModel
from modelzoo_runner.values import codec, preset, presets

CLASSIFIER = """
task = "classification"
label_offset = 0

[graph.fp32]
files = [{ url = "https://example.org/tiny.tar.gz", member = "*/tiny.pb" }]
input = "input:0"
outputs = { scores = "predict:0" }
published = { top1 = 0.5 }

[preprocess]
size = [8, 8]
resize = "shorter_side"
resize_to = 10

[run.fp32.throughput]
batch_size = 4

[threads.fp32]
inter_threads = 2

[env.fp32]
KMP_BLOCKTIME = "1"
"""

DETECTOR = """
task = "detection"

[graph.int8]
input = "image_tensor:0"

[graph.int8.outputs]
num_detections = "n:0"
detection_boxes = "b:0"
detection_scores = "s:0"
detection_classes = "c:0"
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_reads_what_the_file_says(written: Any) -> None:
    found = presets.read(written(CLASSIFIER))

    assert found == preset.Preset(
        name="tiny",
        task="classification",
        label_offset=0,
        graph={
            "fp32": preset.Graph(
                files=(
                    preset.RemoteFile(url="https://example.org/tiny.tar.gz", member="*/tiny.pb"),
                ),
                input="input:0",
                outputs={"scores": "predict:0"},
                published={"top1": 0.5},
            )
        },
        preprocess=preset.Preprocess(size=(8, 8), resize="shorter_side", resize_to=10),
        run={"fp32": {"throughput": preset.Run(batch_size=4)}},
        threads={"fp32": preset.Threads(inter_threads=2)},
        env={"fp32": {"KMP_BLOCKTIME": "1"}},
    )
    assert found.precisions == ("fp32",)


def test_reads_a_path_given_as_text(written: Any) -> None:
    assert presets.read(str(written(DETECTOR))).name == "tiny"


def test_a_detector_needs_no_preprocessing(written: Any) -> None:
    assert presets.read(written(DETECTOR)).preprocess is None


def test_a_graph_of_its_own_can_prepare_a_detectors_images(written: Any) -> None:
    table = """
[graph.int8.preprocess_graph]
files = [{ url = "https://example.org/small.pb" }]
input = "image_tensor:0"
output = "Preprocessor/sub:0"
"""
    assert presets.read(written(DETECTOR + table)).graph["int8"].preprocess_graph == (
        preset.PreprocessGraph(
            files=(preset.RemoteFile(url="https://example.org/small.pb"),),
            input="image_tensor:0",
            output="Preprocessor/sub:0",
        )
    )
    path = written(CLASSIFIER + table.replace("int8", "fp32"))
    with pytest.raises(PresetError) as caught:
        presets.read(path)
    assert str(caught.value) == (
        f"{path}: table [graph.fp32.preprocess_graph]: only for detectors; how a classifier's "
        "images are prepared is said in [preprocess]"
    )


def test_a_file_can_give_the_model_another_name(written: Any) -> None:
    assert presets.read(written('name = "other"\n' + DETECTOR)).name == "other"


@pytest.mark.parametrize("name", presets.names())
def test_what_was_read_survives_json(name: str) -> None:
    found = presets.find(name)

    assert codec.from_dict(codec.to_dict(found), preset.Preset) == found


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("resnet_50", "Did you mean 'resnet50' or 'resnet101'?"),
        ("ssd_mobilenet", "Did you mean 'ssd-mobilenet' or 'mobilenet_v1'?"),
        ("ResNet50", "Did you mean 'resnet50' or 'resnet101'?"),
        (
            "bert",
            "Models: faster_rcnn, inception_resnet_v2, inceptionv3, inceptionv4, mobilenet_v1, "
            "resnet101, resnet50, rfcn, ssd-mobilenet",
        ),
    ],
)
def test_an_unknown_model_is_answered_with_near_names(name: str, answer: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        presets.find(name)

    said = str(caught.value)
    assert f"model={name!r}" in said and ".keras" in said and answer in said


@pytest.mark.parametrize("name", ["../presets/resnet50", "resnet50.toml", "", "resnet50\n"])
def test_a_name_is_not_a_path(name: str) -> None:
    with pytest.raises(UnknownModel):
        presets.find(name)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        # A key that nobody knows.
        (
            "resize_to = 10",
            "resize_too = 10",
            "table [preprocess]: unknown key 'resize_too'; the nearest valid key is 'resize_to'",
        ),
        (
            "input = ",
            'inputs = ""\ninput = ',
            "table [graph.fp32]: unknown key 'inputs'; the nearest valid key is 'input'",
        ),
        (
            "label_offset = 0",
            "label_offset = 0\nlabels_offset = 0",
            "the top table: unknown key 'labels_offset'; the nearest valid key is 'label_offset'",
        ),
        (
            "batch_size = 4",
            "batch_size = 4\nxyz = 1",
            "table [run.fp32.throughput]: unknown key 'xyz'; valid keys: batch_size, "
            "warmup_steps, steps",
        ),
        (
            "inter_threads = 2",
            "inter_thread = 2",
            "table [threads.fp32]: unknown key 'inter_thread'; the nearest valid key is "
            "'inter_threads'",
        ),
        (
            'member = "*/tiny.pb"',
            'members = "*/tiny.pb"',
            "table [graph.fp32.files[0]]: unknown key 'members'; the nearest valid key is 'member'",
        ),
        # A key that has to be there.
        ('task = "classification"', "", "task: the key is missing"),
        ('input = "input:0"', "", "graph.fp32.input: the key is missing"),
        ("batch_size = 4", "", "run.fp32.throughput.batch_size: the key is missing"),
        ("size = [8, 8]", "", "preprocess.size: the key is missing"),
        # A value of another type.
        (
            '"classification"',
            '"classify"',
            "task: 'classify' should be one of classification, detection",
        ),
        (
            "batch_size = 4",
            'batch_size = "4"',
            "run.fp32.throughput.batch_size: '4' should be a whole number",
        ),
        ("size = [8, 8]", "size = [8]", "preprocess.size: [8] should be a list of 2 values"),
        ("size = [8, 8]", "size = 8", "preprocess.size: 8 should be a list"),
        (
            '"shorter_side"',
            '"shorter"',
            "preprocess.resize: 'shorter' should be one of shorter_side, central_fraction",
        ),
        (
            "resize_to = 10",
            'resize_to = 10\nrounding = "up"',
            "preprocess.rounding: 'up' should be one of down, nearest",
        ),
        ('KMP_BLOCKTIME = "1"', "KMP_BLOCKTIME = 1", "env.fp32.KMP_BLOCKTIME: 1 should be text"),
        ("{ top1 = 0.5 }", "0.5", "graph.fp32.published: 0.5 should be a table"),
        ("top1 = 0.5", 'top1 = "50 %"', "graph.fp32.published.top1: '50 %' should be a number"),
        # Contradictions.
        (
            "{ scores = ",
            "{ predictions = ",
            "graph.fp32.outputs: a classification model needs the roles scores; missing: scores",
        ),
        ("[run.fp32.", "[run.int8.", "table [run.int8]: there is no [graph.int8]"),
        ("[threads.fp32]", "[threads.fp16]", "table [threads.fp16]: there is no [graph.fp16]"),
        ("[env.fp32]", "[env.int8]", "table [env.int8]: there is no [graph.int8]"),
        (
            "[run.fp32.throughput]",
            "[run.fp32.speed]",
            "table [run.fp32.speed]: a goal is throughput, latency or accuracy",
        ),
        (
            "batch_size = 4",
            "batch_size = 0",
            "run.fp32.throughput.batch_size: 0 should be at least 1",
        ),
        (
            "batch_size = 4",
            "batch_size = 4\nsteps = 0",
            "run.fp32.throughput.steps: 0 should be at least 1",
        ),
        (
            "batch_size = 4",
            "batch_size = 4\nwarmup_steps = -1",
            "run.fp32.throughput.warmup_steps: -1 should be at least 0",
        ),
        (
            "resize_to = 10",
            "",
            'preprocess.resize_to: the key is missing; resize = "shorter_side" needs it',
        ),
        (
            '"shorter_side"',
            '"central_fraction"',
            'preprocess.central_fraction: the key is missing; resize = "central_fraction" needs it',
        ),
        (
            "resize_to = 10",
            "resize_to = 10\ncentral_fraction = 87.5",
            "preprocess.central_fraction: 87.5 should be in (0, 1]",
        ),
        (
            "size = [8, 8]",
            "size = [8, 0]",
            "preprocess.size: 0 should be at least 1",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_table_and_key(
    written: Any, old: str, new: str, problem: str
) -> None:
    assert old in CLASSIFIER
    path = written(CLASSIFIER.replace(old, new, 1))

    with pytest.raises(PresetError) as caught:
        presets.read(path)

    assert str(caught.value) == f"{path}: {problem}"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("KMP_BLOCKTIME", name, f"not {name!r}; give it as env=")
        for name in (
            "LD_PRELOAD",
            "LD_AUDIT",
            "PATH",
            "PYTHONPATH",
            "OMP_TOOL_LIBRARIES",
            "TF_PLUGGABLE_DEVICE_LIBRARY_PATH",
            "TF_XLA_FLAGS",
            "TF_DUMP_GRAPH_PREFIX",
        )
    ]
    + [
        ("KMP_BLOCKTIME", '"A=B"', "not 'A=B'"),
        ("KMP_BLOCKTIME", '"OMP_A=B"', "not 'OMP_A=B'"),
        ("KMP_BLOCKTIME", '""', "not ''"),
        ('KMP_BLOCKTIME = "1"', 'KMP_BLOCKTIME = "/x.so"', "env.fp32.KMP_BLOCKTIME: '/x.so'"),
        ('KMP_BLOCKTIME = "1"', 'KMP_BLOCKTIME = "\\u0000"', r"env.fp32.KMP_BLOCKTIME: '\x00'"),
        ("inter_threads = 2", "inter_threads = 100000", "inter_threads: 100000 should be at most"),
        ("inter_threads = 2", "inter_threads = -1", "inter_threads: -1 should be at least 1"),
        ("batch_size = 4", f"batch_size = {10**30}", "batch_size: 1000000000"),
        ("batch_size = 4", f"batch_size = {'9' * 5000}", "can't be read as TOML: "),
        ("batch_size = 4", f"batch_size = {'[' * 100_000}", "can't be read as TOML: "),
        ("batch_size = 4", f"batch_size = 0x{'f' * 5000}", "a number of more than 4,300 digits"),
        ("size = [8, 8]", "size = [8, 100000]", "preprocess.size: 100000 should be at most"),
        ("resize_to = 10", "resize_to = 100000", "resize_to: 100000 should be at most"),
        ("resize_to = 10", "resize_to = 10\nscale = nan", "should be finite numbers"),
        ("resize_to = 10", "resize_to = 10\nmean = [0, 0, inf]", "should be finite numbers"),
        ("label_offset = 0", f"label_offset = {2**70}", "label_offset: 1180591620717411303424"),
        ("label_offset = 0", 'name = "../x"', "name: '../x' should be a plain name"),
        ("label_offset = 0", 'name = ""', "name: '' should be a plain name"),
        ("label_offset = 0", 'topology = "../x"', "topology: '../x' should be a plain name"),
        ("[graph.fp32]", '[graph."../x"]', "should be a plain name"),
        ('"input:0"', r'"input\u001b:0"', r"'input\x1b:0' should be the name of a tensor"),
        ("top1 = 0.5", "top1 = 74.3", "published.top1: 74.3 should be a fraction"),
        ("top1 = 0.5", "top1 = nan", "published.top1: nan should be a fraction"),
    ],
)
def test_a_preset_is_data(written: Any, old: str, new: str, key: str) -> None:
    assert old in CLASSIFIER
    path = written(CLASSIFIER.replace(old, new, 1))
    with pytest.raises(PresetError) as caught:
        presets.read(path)
    assert str(caught.value).startswith(f"{path}: ") and key in str(caught.value)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ({"url": "http://example.org/m.pb"}, "'http://example.org/m.pb' should be https://"),
        ({"url": "http://127.0.0.1.example.org/m.pb"}, "should be https://"),
        ({"url": "file:///etc/passwd"}, "should be https://"),
        ({"url": "ftp://example.org/m.pb"}, "should be https://"),
        ({"url": "https:/example.org/m.pb"}, "should be https://"),
        ({"url": "https://example.org/\x1b[2J"}, "should be https://"),
        ({"url": ""}, "'' should be https://"),
        ({"url": "gs://b/m.pb", "sha256": "abc"}, "sha256 = 'abc' should be 64"),
        ({"url": "gs://b/m.pb", "size": -1}, "size: -1 should be at least 0"),
        ({"url": "gs://b/m.pb", "size": 10**30}, "size: 1000000000"),
        ({"url": "gs://b/m.tar", "member": "\n"}, "should be https://"),
    ],
)
def test_where_a_preset_may_have_its_graphs(file: dict[str, Any], key: str) -> None:
    found = presets.find("resnet50")
    for url in ("gs://b/m.pb", "mine/m.pb", "http://127.0.0.1:80/m.pb"):
        assert presets.check(with_file(found, url=url), "it")
    assert presets.check(with_file(found, url="http://example.org/", sha256="0" * 64), "it")
    with pytest.raises(PresetError, match=r"^it: graph\.fp32\.files: ") as caught:
        presets.check(with_file(found, **file), "it")
    assert key in str(caught.value)


def with_file(found: preset.Preset, **file: Any) -> preset.Preset:
    graph = dataclasses.replace(found.graph["fp32"], files=(preset.RemoteFile(**file),))
    return dataclasses.replace(found, graph={**found.graph, "fp32": graph})


def test_a_preset_that_is_no_file_or_too_large(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (1 << 21))
    os.mkfifo(tmp_path / "pipe.toml")
    for path, key in (
        (large, "more than 1,048,576 bytes"),
        (Path("/dev/zero"), "it is a device"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe.toml", "task: the key is missing"),  # nobody writes: it is empty
    ):
        with pytest.raises(PresetError, match=key):
            presets.read(path)


def test_a_classifier_needs_its_preprocessing(written: Any) -> None:
    path = written(CLASSIFIER[: CLASSIFIER.index("[preprocess]")])

    with pytest.raises(PresetError) as caught:
        presets.read(path)

    assert str(caught.value) == f"{path}: table [preprocess]: a classification model needs it"


def test_a_preset_without_a_graph(written: Any) -> None:
    path = written('task = "detection"\n[graph]\n')

    with pytest.raises(PresetError) as caught:
        presets.read(path)

    assert str(caught.value) == (
        f"{path}: table [graph]: needs at least one precision, as in [graph.fp32]"
    )


def test_a_detector_needs_all_four_outputs(written: Any) -> None:
    path = written(DETECTOR.replace('num_detections = "n:0"\n', "").replace("_boxes", "_rects"))

    with pytest.raises(PresetError) as caught:
        presets.read(path)

    assert str(caught.value) == (
        f"{path}: graph.int8.outputs: a detection model needs the roles num_detections, "
        "detection_boxes, detection_scores, detection_classes; missing: num_detections, "
        "detection_boxes"
    )


def test_every_problem_is_told_with_the_file(written: Any) -> None:
    path = written(CLASSIFIER.replace("batch_size = 4", "batch_sise = 4"))

    with pytest.raises(PresetError) as caught:
        presets.read(path)

    assert str(caught.value).splitlines() == [
        f"{path}: table [run.fp32.throughput]: unknown key 'batch_sise'; the nearest valid key is "
        "'batch_size'",
        f"{path}: run.fp32.throughput.batch_size: the key is missing",
    ]


def test_what_is_not_toml(written: Any) -> None:
    path = written("task = classification")

    with pytest.raises(PresetError) as caught:
        presets.read(path)

    assert str(caught.value) == (
        f"{path}: can't be read as TOML: Invalid value (at line 1, column 8)"
    )


def test_what_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(PresetError, match=r"graph\.pb: can't be read as TOML: 'utf-8' codec"):
        presets.read(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "absent.toml"

    with pytest.raises(PresetError, match=r"absent\.toml: can't be read as TOML: .*No such file"):
        presets.read(path)


@given(
    st.recursive(
        st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda child: st.lists(child) | st.dictionaries(st.text(), child),
        max_leaves=4,
    ),
    st.sampled_from(["task", "graph", "preprocess", "run", "threads", "env", "other"]),
)
def test_any_other_value_is_an_error_with_words(value: Any, key: str) -> None:
    record = {"name": "tiny", **tomllib.loads(CLASSIFIER)}
    if record.get(key) == value:
        return
    try:
        found = codec.from_dict({**record, key: value}, preset.Preset)
    except codec.CodecError as error:
        assert all(": " in problem for problem in error.problems)
    else:
        # What was left out has its default.
        assert codec.from_dict(codec.to_dict(found), preset.Preset) == found


@pytest.mark.parametrize(
    ("unit_range", "mean", "scale", "expected"),
    [
        (False, (0.0, 0.0, 0.0), 1.0, (0.0, 255.0)),
        (True, (0.5, 0.5, 0.5), 2.0, (-1.0, 1.0)),
        (False, (120.0, 110.0, 100.0), 1.0, (-120.0, 155.0)),
        (False, (0.0, 0.0, 0.0), -1.0, (-255.0, 0.0)),
    ],
)
def test_the_range_of_an_input(
    unit_range: bool,
    mean: tuple[float, float, float],
    scale: float,
    expected: tuple[float, float],
) -> None:
    preprocess = preset.Preprocess(
        size=(8, 8), resize="shorter_side", unit_range=unit_range, mean=mean, scale=scale
    )

    assert preprocess.value_range == expected


@given(
    st.booleans(),
    st.tuples(*[st.floats(0, 255)] * 3),
    st.floats(-3, 3),
    st.floats(0, 1),
    st.integers(0, 2),
)
def test_every_pixel_lies_in_the_range(
    unit_range: bool,
    mean: tuple[float, float, float],
    scale: float,
    brightness: float,
    channel: int,
) -> None:
    preprocess = preset.Preprocess(
        size=(8, 8), resize="shorter_side", unit_range=unit_range, mean=mean, scale=scale
    )

    pixel = (brightness * (1 if unit_range else 255) - mean[channel]) * scale

    low, high = preprocess.value_range
    assert low - 1e-9 <= pixel <= high + 1e-9
