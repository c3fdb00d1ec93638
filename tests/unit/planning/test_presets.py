"""Every preset file says what the releases it was taken from say."""

from __future__ import annotations

import re
from itertools import chain
from urllib.parse import urlsplit

import pytest

from modelzoo_runner.values import preset, presets

NAMES = (
    "faster_rcnn",
    "inception_resnet_v2",
    "inceptionv3",
    "inceptionv4",
    "mobilenet_v1",
    "resnet101",
    "resnet50",
    "rfcn",
    "ssd-mobilenet",
)

# (throughput, latency, accuracy) as (batch_size, warmup_steps, steps); `steps` are measured steps.
ONE_IMAGE = ((1, None, None),) * 3
RUNS = {
    ("inception_resnet_v2", "fp32"): ((128, None, None), (1, None, None), (100, None, None)),
    ("inception_resnet_v2", "int8"): ((128, None, None), (1, None, None), (100, None, None)),
    ("inceptionv3", "fp32"): ((128, None, None), (1, None, None), (100, None, None)),
    ("inceptionv3", "int8"): ((128, 50, 500), (1, 50, 500), (100, None, None)),
    ("inceptionv4", "fp32"): ((240, None, None), (1, None, None), (100, None, None)),
    ("inceptionv4", "int8"): ((240, None, None), (1, None, None), (100, None, None)),
    ("resnet50", "fp32"): ((128, None, None), (1, None, None), (100, None, None)),
    ("resnet50", "int8"): ((128, 50, 450), (1, 50, 450), (100, None, None)),
    ("resnet101", "fp32"): ((128, None, None), (1, None, None), (100, None, None)),
    ("resnet101", "int8"): ((128, 50, 450), (1, 50, 450), (100, None, None)),
    ("mobilenet_v1", "fp32"): ((100, 10, 50), (1, 10, 50), (100, None, None)),
    ("mobilenet_v1", "int8"): ((240, 10, 50), (1, 10, 50), (100, None, None)),
    ("faster_rcnn", "fp32"): ONE_IMAGE,
    ("faster_rcnn", "int8"): ((1, 21, 979), (1, 21, 979), (1, None, None)),
    ("rfcn", "fp32"): ONE_IMAGE,
    ("rfcn", "int8"): ((1, None, 1000), (1, None, 1000), (1, None, None)),
    ("ssd-mobilenet", "fp32"): ONE_IMAGE,
    ("ssd-mobilenet", "int8"): ONE_IMAGE,
}

SCORES = {
    "resnet50": "predict:0",
    "resnet101": "resnet_v1_101/predictions/Reshape_1:0",
    "inceptionv3": "predict:0",
    "inceptionv4": "InceptionV4/Logits/Predictions:0",
    "inception_resnet_v2": "InceptionResnetV2/Logits/Predictions:0",
    "mobilenet_v1": "MobilenetV1/Predictions/Reshape_1:0",
}

TOPOLOGIES = {
    "resnet50": "resnet_v1_50",
    "resnet101": "resnet_v1_101",
    "inceptionv3": "inception_v3",
    "inceptionv4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
    "mobilenet_v1": "mobilenet_v1",
    "ssd-mobilenet": "ssd_mobilenet_v1",
    "faster_rcnn": "faster_rcnn_resnet50",
    "rfcn": "rfcn_resnet101",
}

# (top1, top5) or (AP, AP50, AP75, AR1, AR10, AR100).
PUBLISHED = {
    ("resnet50", "fp32"): (0.7430, 0.9188),
    ("resnet50", "int8"): (0.7360, 0.9154),
    ("resnet101", "fp32"): (0.7640, 0.9289),
    ("resnet101", "int8"): (0.7691, 0.9305),
    ("inceptionv3", "fp32"): (0.7675, 0.9342),
    ("inceptionv3", "int8"): (0.7666, 0.9333),
    ("inceptionv4", "fp32"): (0.8018, 0.9519),
    ("inceptionv4", "int8"): (0.7984, 0.9504),
    ("inception_resnet_v2", "fp32"): (0.8037, 0.9525),
    ("inception_resnet_v2", "int8"): (0.8022, 0.9520),
    ("mobilenet_v1", "fp32"): (0.7102, 0.8999),
    ("mobilenet_v1", "int8"): (0.7014, 0.8934),
    ("ssd-mobilenet", "fp32"): (0.231, 0.349, 0.254, 0.209, 0.264, 0.264),
    ("ssd-mobilenet", "int8"): (0.172, 0.271, 0.183, 0.171, 0.212, 0.212),
    ("faster_rcnn", "fp32"): (0.316, 0.489, 0.355, 0.271, 0.380, 0.383),
    ("faster_rcnn", "int8"): (0.310, 0.479, 0.351, 0.267, 0.372, 0.375),
    ("rfcn", "fp32"): (0.347, 0.532, 0.389, 0.282, 0.396, 0.400),
    ("rfcn", "int8"): (0.327, 0.506, 0.365, 0.271, 0.376, 0.380),
}

SCORE_NAMES = {
    "classification": ["top1", "top5"],
    "detection": ["AP", "AP50", "AP75", "AR1", "AR10", "AR100"],
}

DEFAULT = preset.Threads()
INT8 = preset.Threads(allocator="tcmalloc")
THREADS = {
    ("resnet50", "fp32"): DEFAULT,
    ("resnet50", "int8"): INT8,
    ("resnet101", "fp32"): DEFAULT,
    ("resnet101", "int8"): preset.Threads(omp_from="cores", allocator="tcmalloc"),
    ("inceptionv3", "fp32"): DEFAULT,
    ("inceptionv3", "int8"): INT8,
    ("inceptionv4", "fp32"): preset.Threads(
        inter_threads_from="threads_per_core",
        intra_threads_from="cores_per_socket",
        omp_from="cores",
    ),
    ("inceptionv4", "int8"): preset.Threads(
        inter_threads_from="threads_per_core",
        intra_threads_from="cores_per_socket",
        omp_from="cores",
        allocator="tcmalloc",
    ),
    ("inception_resnet_v2", "fp32"): preset.Threads(inter_threads=2),
    ("inception_resnet_v2", "int8"): INT8,
    ("mobilenet_v1", "fp32"): preset.Threads(inter_threads=2),
    ("mobilenet_v1", "int8"): INT8,
    ("faster_rcnn", "fp32"): DEFAULT,
    ("faster_rcnn", "int8"): preset.Threads(inter_threads=2, allocator="tcmalloc"),
    ("rfcn", "fp32"): DEFAULT,
    ("rfcn", "int8"): INT8,
    ("ssd-mobilenet", "fp32"): preset.Threads(inter_threads=2),
    ("ssd-mobilenet", "int8"): preset.Threads(
        inter_threads=2, omp_from_accuracy="logical_cpus", allocator="tcmalloc"
    ),
}

AFFINITY = "granularity=fine,verbose,compact,1,0"
BLOCKTIMES = {  # KMP_BLOCKTIME as (fp32, int8)
    "resnet50": ("1", "1"),
    "resnet101": ("1", "0"),
    "inceptionv3": ("1", "1"),
    "inceptionv4": ("0", "0"),
    "inception_resnet_v2": ("1", "1"),
    "mobilenet_v1": ("1", "1"),
    "faster_rcnn": ("1", "0"),
    "rfcn": ("0", "0"),
    "ssd-mobilenet": ("0", "1"),
}

PAIRS = [(name, precision) for name in NAMES for precision in ("fp32", "int8")]


def test_these_are_all_the_models() -> None:
    assert presets.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_reads_with_both_precisions_and_a_topology(name: str) -> None:
    found = presets.find(name)

    assert found.name == name
    assert found.precisions == ("fp32", "int8")
    assert found.topology == TOPOLOGIES[name]
    assert found.description
    assert set(found.run) == set(found.env) == {"fp32", "int8"}


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_tensors(name: str, precision: str) -> None:
    found = presets.find(name)
    graph = found.graph[precision]

    if found.task == "classification":
        assert graph.input == "input:0"
        assert graph.outputs == {"scores": SCORES[name]}
    else:
        assert graph.input == "image_tensor:0"
        assert graph.outputs == {role: f"{role}:0" for role in preset.ROLES["detection"]}


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_recommended_runs(name: str, precision: str) -> None:
    runs = presets.find(name).run[precision]

    assert list(runs) == ["throughput", "latency", "accuracy"]
    assert RUNS[name, precision] == tuple(
        (run.batch_size, run.warmup_steps, run.steps) for run in runs.values()
    )


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_published_scores_and_where_they_stand(name: str, precision: str) -> None:
    found = presets.find(name)
    graph = found.graph[precision]

    assert list(graph.published) == SCORE_NAMES[found.task]
    assert tuple(graph.published.values()) == PUBLISHED[name, precision]
    assert graph.release


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_threads(name: str, precision: str) -> None:
    assert presets.find(name).threads.get(precision, DEFAULT) == THREADS[name, precision]


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_environment(name: str, precision: str) -> None:
    env = dict(presets.find(name).env[precision])

    assert env.pop("KMP_BLOCKTIME") == BLOCKTIMES[name][precision == "int8"]
    affinity = env.pop("KMP_AFFINITY", None)
    expected = None if (name, precision) == ("rfcn", "fp32") else AFFINITY
    assert affinity == expected
    assert env == ({} if (name, precision) == ("mobilenet_v1", "fp32") else {"KMP_SETTINGS": "1"})


@pytest.mark.parametrize(("name", "precision"), PAIRS)
def test_files_can_be_fetched_safely(name: str, precision: str) -> None:
    files = presets.find(name).graph[precision].files

    assert files
    assert len({file.url for file in files}) == len(files)
    for file in files:
        url = urlsplit(file.url)
        # Without encryption only where the hash of the file is known.
        assert url.scheme == "https" or (url.scheme == "http" and file.sha256)
        assert (file.sha256 is None) == (file.size is None)
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        if url.path.endswith(".pb"):
            assert file.member is None
        else:
            assert url.path.endswith((".tgz", ".tar.gz"))
            assert file.member is not None
            assert file.member.endswith(".pb")


def test_one_hash_belongs_to_one_file() -> None:
    files = chain.from_iterable(
        graph.files for found in presets.every() for graph in found.graph.values()
    )
    names: dict[str, set[str]] = {}
    for file in files:
        if file.sha256:
            names.setdefault(file.sha256, set()).add(file.url.rsplit("/", 1)[1])
    assert names == {
        "2fadeabb9968ec6833bee903900dda6e61b3947200535874ce2fe42a8493abc0": {
            "mobilenet_v1_1.0_224.tgz"
        },
        "8788f89108519fd1102b8a5c2ac861cf6d86603571b6ce5bbd1c245b7fe005e3": {
            "ssd_mobilenet_v1_coco_2018_01_28.tar.gz"
        },
    }


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [
        ("resnet50", ("v1_8/", "v1_5/", "")),
        ("inception_resnet_v2", ("v1_5/", "")),
        ("rfcn", ("2_10_0/", "v1_8/", "v1_5/", "")),
    ],
)
def test_the_newest_place_comes_first(name: str, prefixes: tuple[str, ...]) -> None:
    bucket = "https://storage.googleapis.com/intel-optimized-tensorflow/models/"

    urls = [file.url for file in presets.find(name).graph["fp32"].files]

    assert tuple(re.sub("[^/]*$", "", url.removeprefix(bucket)) for url in urls) == prefixes


SHORTER_SIDE = preset.Preprocess(size=(224, 224), resize="shorter_side", resize_to=256)


def inception(side: int, *, fancy_upscaling: bool) -> preset.Preprocess:
    return preset.Preprocess(
        size=(side, side),
        resize="central_fraction",
        central_fraction=0.875,
        unit_range=True,
        mean=(0.5, 0.5, 0.5),
        scale=2.0,
        fancy_upscaling=fancy_upscaling,
    )


PREPROCESS = {
    "resnet50": (SHORTER_SIDE, 0, (0.0, 255.0)),
    "resnet101": (
        preset.Preprocess(
            size=(224, 224),
            resize="shorter_side",
            resize_to=256,
            rounding="nearest",
            mean=(123.68, 116.78, 103.94),
        ),
        -1,
        (-123.68, 255 - 103.94),
    ),
    "inceptionv3": (inception(299, fancy_upscaling=False), 0, (-1.0, 1.0)),
    "inceptionv4": (inception(299, fancy_upscaling=True), 0, (-1.0, 1.0)),
    "inception_resnet_v2": (inception(299, fancy_upscaling=True), 0, (-1.0, 1.0)),
    "mobilenet_v1": (inception(224, fancy_upscaling=True), 0, (-1.0, 1.0)),
}


@pytest.mark.parametrize("name", PREPROCESS)
def test_preprocessing_and_labels(name: str) -> None:
    preprocess, label_offset, value_range = PREPROCESS[name]

    found = presets.find(name)

    assert found.preprocess == preprocess
    assert found.preprocess.value_range == pytest.approx(value_range)
    assert found.label_offset == label_offset


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(PREPROCESS)))
def test_a_detector_preprocesses_in_its_graph(name: str) -> None:
    found = presets.find(name)

    assert found.task == "detection"
    assert found.preprocess is None
    assert found.label_offset is None
