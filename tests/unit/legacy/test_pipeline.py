"""The original pipeline's parameters, and every example its README gives for them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import DataRequired, RequestError, UnknownModel
from modelzoo_runner.legacy import model_args, pipeline
from modelzoo_runner.legacy.pipeline import DEFAULTS, run
from modelzoo_runner.planning import resolve
from modelzoo_runner.planning.recommended import best_known
from modelzoo_runner.planning.request import Request
from modelzoo_runner.planning.validation import check
from modelzoo_runner.values import presets
from modelzoo_runner.values.plan import Placement, Plan

README = Path(__file__).parents[4] / "shared" / "reference" / "pipeline-readme.md"


@dataclass(frozen=True)
class Block:
    """One example of the README: its title, and its parameters as a pipeline passes them."""

    title: str
    commented_out: bool
    parameters: dict[str, str]
    may_be_blank: bool

    def __str__(self) -> str:
        return f"{self.parameters['model_name']} {self.title}"


def read_blocks() -> list[Block]:
    if not README.is_file():
        return []
    text = README.read_text(encoding="utf-8")
    hidden = [match.span() for match in re.finditer(r"<!--.*?-->", text, re.DOTALL)]
    blocks = []
    for match in re.finditer(r"^(.+):\n((?:\* [\w-]+: .*\n)+)", text, re.MULTILINE):
        lines = re.findall(r"^\* ([\w-]+): `([^`]*)`(.*)$", match[2], re.MULTILINE)
        blocks.append(
            Block(
                title=match[1].removeprefix("<!-- "),
                commented_out=any(start < match.start() < end for start, end in hidden),
                parameters={name.replace("-", "_"): value for name, value, _ in lines},
                may_be_blank=any("leave it blank" in rest for _, _, rest in lines),
            )
        )
    return blocks


BLOCKS = read_blocks()


@pytest.fixture(autouse=True, scope="module")
def _readme_is_there_where_it_should_be() -> None:
    if README.parent.is_dir():
        assert BLOCKS


needs_readme = pytest.mark.skipif(
    not BLOCKS, reason=f"no README of the original here: {README} is not a file"
)


def translate(**given: Any) -> pipeline.Call:
    return pipeline.translate(**given)


def planned(call: pipeline.Call) -> Plan:
    """The plan that a call comes to, on a machine of 28 cores."""
    found = presets.find(call.model)
    request = check(Request(kind=call.verb, **call.arguments), found)
    return resolve.resolve(found, request, Placement(inter_threads=1, intra_threads=28))


# What the README's extra arguments come to. (A frozen graph is run, which has no configuration.)
EXTRAS: dict[tuple[str, str, str], dict[str, Any]] = {
    ("faster_rcnn", "int8", "number_of_steps=1000"): {"warmup_steps": 21, "steps": 979},
    ("rfcn", "int8", "number_of_steps=1000"): {"steps": 1000},
    ("faster_rcnn", "fp32", "config_file=pipeline.config"): {},
    ("rfcn", "fp32", "config_file=rfcn_pipeline.config"): {},
    ("rfcn", "fp32", 'split="accuracy_message"'): {},
}


@needs_readme
def test_the_readme_has_all_its_blocks() -> None:
    assert sum(not block.commented_out for block in BLOCKS) == 40
    assert [str(block) for block in BLOCKS if block.commented_out] == [
        "inception_resnet_v2 FP32 performance benchmarking for throughput",
        "inception_resnet_v2 FP32 performance benchmarking for latency",
    ]
    asked = {
        (block.parameters["model_name"], block.parameters.get("extra_model_args"))
        for block in BLOCKS
    }
    assert {(model, extra) for model, _, extra in EXTRAS} == {
        (model, extra) for model, extra in asked if extra
    }


@needs_readme
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_block_of_the_readme_becomes_its_plan(block: Block) -> None:
    said = block.parameters
    model, precision = said["model_name"], said["precision"]

    call = translate(**said)
    plan = planned(call)

    is_benchmark = said["benchmark_or_accuracy"] == "benchmark"
    batch = None if said["batch_size"] == "-1" else int(said["batch_size"])
    extra = said.get("extra_model_args", "")
    expected = {
        "precision": precision,
        "data_location": said["data_location"],
        "socket_id": 0,
        **({"batch_size": batch} if batch else {}),
        **({"goal": "latency"} if is_benchmark and batch == 1 else {}),
        **(EXTRAS[model, precision, extra] if extra else {}),
    }
    assert call.verb == said["benchmark_or_accuracy"]
    assert call.model == model
    assert call.arguments == expected
    assert call.verbose

    assert plan.kind == said["benchmark_or_accuracy"]
    assert plan.model == model
    assert plan.precision == precision
    assert plan.data_location == said["data_location"]
    assert plan.batch_size == (batch or 1)
    assert plan.graph.source == "pretrained"


@needs_readme
@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.may_be_blank or block.commented_out], ids=str
)
def test_a_block_whose_data_may_be_blank(block: Block) -> None:
    call = translate(**{**block.parameters, "data_location": ""})

    assert "data_location" not in call.arguments
    assert planned(call).data_location is None
    assert call.notes[0].was == "data_location is empty" and "synthetic" in call.notes[0].now


@needs_readme
def test_the_recommended_runs_are_those_of_the_readme() -> None:
    goals = {"throughput": "throughput", "latency": "latency"}
    said = {
        (
            block.parameters["model_name"],
            block.parameters["precision"],
            "accuracy"
            if "accuracy" in block.title
            else goals.get(block.title.rsplit(" ", 1)[1], "throughput"),
            1 if block.parameters["batch_size"] == "-1" else int(block.parameters["batch_size"]),
        )
        for block in BLOCKS
    }
    known = {
        (known.model, known.precision, known.goal, known.run.batch_size)
        for known in best_known()
        if known.model != "mobilenet_v1"  # in the pipeline's code, not in its README
    }

    assert known == said


@pytest.mark.parametrize("known", best_known(), ids=str)
def test_a_recommended_run_can_be_asked_for_with_the_ten_parameters(known: Any) -> None:
    call = translate(**known.parameters, data_location="/data")
    plan = planned(call)

    assert (plan.model, plan.precision) == (known.model, known.precision)
    assert plan.batch_size == known.run.batch_size
    if known.goal != "accuracy" and known.run.steps is not None:
        assert plan.steps == known.run.steps


def test_the_defaults_are_the_original_ones() -> None:
    call = translate()

    assert call == pipeline.Call(
        verb="benchmark",
        model="resnet50",
        arguments={"precision": "int8", "socket_id": 0},
        verbose=True,
        notes=call.notes,
    )
    assert planned(call).batch_size == 128


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"precision": "fp32"}, {"batch_size": None, "warmup_steps": "10", "steps": "40"}),
        ({"precision": "int8"}, {"allocator": "system", "steps": "40", "warmup_steps": "10"}),
        ({"model_name": "inceptionv3", "precision": "int8"}, {"steps": "50", "batch_size": "32"}),
        ({"model_name": "rfcn", "precision": "fp32"}, {"steps": "as many images"}),
        ({"extra_model_args": "steps=50", "precision": "fp32"}, {"steps": None}),
        ({"model_name": "my.pb"}, {"steps": None}),
    ],
)
def test_what_the_original_took_where_nothing_is_given_is_said(
    given: dict[str, str], why: dict[str, str | None]
) -> None:
    said = {note.was: note.why for note in translate(**given).notes}
    for name, value in why.items():
        note = said.get(f"{name} isn't given")
        assert note is None if value is None else value in (note or "")


def test_a_call_is_shown_as_python() -> None:
    call = translate(
        model_name="resnet50",
        batch_size="1",
        data_location='gs://bucket/a "b"',
        extra_model_args="kmp_blocktime=0",
    )

    assert str(call) == (
        'benchmark("resnet50", precision="int8", goal="latency", '
        'data_location="gs://bucket/a \\"b\\"", batch_size=1, socket_id=0, '
        'env={"KMP_BLOCKTIME": "0"})'
    )


@given(st.text(), st.sampled_from([None, 1, 64]), st.dictionaries(st.text(), st.text()))
def test_the_python_that_is_shown_is_the_call(
    location: str, batch_size: int | None, env: dict[str, str]
) -> None:
    arguments = {"data_location": location, "batch_size": batch_size, "env": env}
    call = pipeline.Call(verb="accuracy", model="resnet50", arguments=arguments)

    def accuracy(model: str, **given: Any) -> tuple[str, dict[str, Any]]:
        return model, given

    assert eval(str(call), {"accuracy": accuracy}) == ("resnet50", arguments)


@pytest.mark.parametrize("value", ["", None, "  "])
def test_no_data_is_synthetic_input(value: str | None) -> None:
    assert "data_location" not in translate(data_location=value).arguments


@pytest.mark.parametrize("value", ["gs://bucket/a/b", "/data", Path("/data")])
def test_data_is_taken_as_it_is(value: str | Path) -> None:
    assert translate(data_location=value).arguments["data_location"] == str(value)


@pytest.mark.parametrize(("value", "batch"), [("64", 64), (64, 64), (" 64 ", 64), ("+8", 8)])
def test_a_batch_size(value: str | int, batch: int) -> None:
    assert translate(batch_size=value).arguments["batch_size"] == batch


@pytest.mark.parametrize("value", ["-1", -1, "", None])
def test_no_batch_size_is_the_models_own(value: str | int | None) -> None:
    assert "batch_size" not in translate(batch_size=value).arguments


@pytest.mark.parametrize(("value", "socket"), [("0", 0), ("1", 1), (3, 3)])
def test_a_socket(value: str | int, socket: int) -> None:
    assert translate(socket_id=value).arguments["socket_id"] == socket


@pytest.mark.parametrize("value", ["-1", -1, "", None])
def test_no_socket_is_the_whole_machine(value: str | int | None) -> None:
    assert "socket_id" not in translate(socket_id=value).arguments


@pytest.mark.parametrize(
    ("value", "verbose"),
    [("true", True), ("False", False), (True, True), (False, False), ("TRUE", True)],
)
def test_verbose(value: str | bool, verbose: bool) -> None:
    assert translate(verbose=value).verbose is verbose


@pytest.mark.parametrize("value", ["accuracy", "Accuracy"])
def test_an_accuracy_run(value: str) -> None:
    call = translate(benchmark_or_accuracy=value, data_location="/data", batch_size="1")

    assert call.verb == "accuracy"
    assert "goal" not in call.arguments


def test_an_accuracy_run_without_data_is_refused_before_anything_is_fetched() -> None:
    call = translate(benchmark_or_accuracy="accuracy")

    with pytest.raises(DataRequired, match=r"^data_location: "):
        planned(call)


@pytest.mark.parametrize("model", ["my/graph.pb", "graph.pb", Path("mine.toml"), "./mine.toml"])
def test_a_model_can_be_a_path(model: str | Path) -> None:
    assert translate(model_name=model).model == str(model)


def test_bfloat16_is_a_precision() -> None:
    assert planned(translate(precision="bfloat16")).precision == "bfloat16"


def test_an_image_of_your_own() -> None:
    image = "registry.example.org:5000/team/modelzoo-runner@sha256:abc"

    assert translate(docker_image=image).arguments["docker_image"] == image


@pytest.mark.parametrize(
    "image",
    [
        "registry.example.org/team/intel-tf-image-recognition:latest",
        "intel-tf-object-detection",
        "registry.example.org:5000/tf-cpu.1-14",
        "some/intel-optimized-tensorflow:latest-devel-mkl",
    ],
)
def test_an_image_of_the_original_is_left_out_and_it_says_so(image: str) -> None:
    call = translate(docker_image=image)

    assert "docker_image" not in call.arguments
    (note,) = (each for each in call.notes if each.was == f"docker_image={image}")
    assert "not run in it" in note.now and "not this library" in note.why


def test_the_batch_size_of_ssd_mobilenet_is_ignored_as_it_was_and_it_says_so() -> None:
    call = translate(model_name="ssd-mobilenet", batch_size="64")

    assert call.arguments["batch_size"] == 1
    assert any(note.was == "batch_size=64" and "1.5.0" in note.why for note in call.notes)


@pytest.mark.parametrize(
    ("given", "was", "why"),
    [
        ({"model_name": "inception_resnet_v2"}, "data_location is empty", "fed zeros"),
        ({"model_name": "mobilenet_v1"}, "data_location is empty", "dummy data"),
        ({"model_name": "rfcn"}, "data_location is empty", "needed images"),
        ({"model_name": "inceptionv4", "data_location": "/data"}, "data_location", "ignored"),
        ({"model_name": "resnet50", "data_location": "/data"}, "data_location", "wait for data"),
        (
            {"model_name": "rfcn", "data_location": "/data", "benchmark_or_accuracy": "accuracy"},
            "COCO scores",
            "legacy_scores",
        ),
    ],
)
def test_a_changed_meaning_is_said(given: dict[str, str], was: str, why: str) -> None:
    (note,) = pipeline.from_parameters(**given).notes
    assert note.was == was and why in note.why
    assert str(note).startswith(f"{was}: {note.now}; ")


def test_the_accuracy_of_a_classifier_means_what_it_did() -> None:
    call = translate(benchmark_or_accuracy="accuracy", data_location="/data", precision="fp32")

    assert [note.was for note in call.notes] == ["batch_size isn't given"]


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (
            "data_location",
            5,
            "data_location=5: should be a path or a gs:// address, or empty",
        ),
        (
            "model_name",
            "resnet_50",
            "Did you mean 'resnet50' or 'resnet101'?",
        ),
        (
            "model_name",
            None,
            "Models: faster_rcnn, inception_resnet_v2",
        ),
        ("precision", "fp16", "precision='fp16': should be fp32 or int8 or bfloat16"),
        ("mode", "training", "mode='training': should be inference"),
        (
            "batch_size",
            "ten",
            "batch_size='ten': should be a whole number of at least 1, or -1 for the model's own",
        ),
        (
            "batch_size",
            "0",
            "batch_size='0': should be a whole number of at least 1, or -1 for the model's own",
        ),
        (
            "batch_size",
            1.5,
            "batch_size=1.5: should be a whole number of at least 1, or -1 for the model's own",
        ),
        (
            "batch_size",
            True,
            "batch_size=True: should be a whole number of at least 1, or -1 for the model's own",
        ),
        (
            "socket_id",
            "-2",
            "socket_id='-2': should be a whole number of at least 0, or -1 for the whole machine",
        ),
        (
            "socket_id",
            "0,1",
            "socket_id='0,1': should be a whole number of at least 0, or -1 for the whole machine",
        ),
        ("verbose", "yes", "verbose='yes': should be true or false"),
        (
            "benchmark_or_accuracy",
            "both",
            "benchmark_or_accuracy='both': should be benchmark or accuracy",
        ),
        (
            "extra_model_args",
            5,
            "extra_model_args=5: should be text such as 'steps=100 warmup_steps=50', or a mapping",
        ),
        (
            "extra_model_args",
            "stepz=5",
            "extra_model_args: stepz=5: resnet50 has no such argument. Did you mean 'steps'?",
        ),
        (
            "docker_image",
            "an image",
            "docker_image='an image': should be the name of an image, such as "
            "registry.example.org/modelzoo-runner:1",
        ),
        (
            "docker_image",
            "--privileged",
            "docker_image='--privileged': should be the name of an image, such as "
            "registry.example.org/modelzoo-runner:1",
        ),
    ],
)
def test_a_bad_parameter_is_named_with_its_value_and_what_is_allowed(
    parameter: str, value: Any, message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        translate(**{parameter: value})
    assert str(caught.value).startswith(parameter) and message in str(caught.value)


def test_an_unknown_model_is_an_unknown_model() -> None:
    with pytest.raises(UnknownModel):
        translate(model_name="bert")


@pytest.mark.parametrize("model", ["rfcn", "faster_rcnn"])
def test_a_detector_takes_one_image_at_a_time(model: str) -> None:
    with pytest.raises(RequestError) as caught:
        translate(model_name=model, batch_size="128")

    assert str(caught.value) == (
        f"batch_size='128': {model} takes one image at a time: 1, or -1 for the model's own"
    )


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "data_location": st.text(),
            "model_name": st.sampled_from(presets.names()) | st.text(),
            "precision": st.sampled_from(["fp32", "int8"]) | st.text(),
            "batch_size": st.integers().map(str) | st.text() | st.integers(),
            "socket_id": st.integers().map(str) | st.text() | st.integers(),
            "verbose": st.sampled_from(["true", "false"]) | st.text(),
            "benchmark_or_accuracy": st.sampled_from(["benchmark", "accuracy"]) | st.text(),
            "extra_model_args": st.sampled_from(["steps=5", "number_of_steps=50"]) | st.text(),
            "docker_image": st.text(),
        },
    )
)
def test_whatever_is_passed_is_translated_or_refused_in_words(given: dict[str, Any]) -> None:
    try:
        call = translate(**given)
    except RequestError as error:
        assert any(name in str(error) for name in (*given, "extra_model_args"))
    else:
        assert set(call.arguments) <= {
            *("precision", "goal", "data_location", "batch_size", "socket_id"),
            *("warmup_steps", "steps", "weights", "env", "input", "outputs", "docker_image"),
        }


def test_known_arguments_belong_to_known_models() -> None:
    assert set(model_args.BY_MODEL) <= set(presets.names())


def test_run_takes_the_ten_parameters_with_their_defaults() -> None:
    taken = inspect.signature(run).parameters

    assert {name: each.default for name, each in taken.items()} == DEFAULTS
    assert len(DEFAULTS) == 10
