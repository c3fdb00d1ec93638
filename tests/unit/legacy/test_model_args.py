"""Extra model arguments: taken apart as a shell would, and given today's meaning."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy import model_args
from modelzoo_runner.values import presets


def translate(
    text: str, model: str = "resnet50", precision: str = "fp32", *, benchmark: bool = True
) -> tuple[dict[str, Any], tuple[str, ...]]:
    return model_args.translate(
        model_args.parse(text),
        model=model,
        precision=precision,
        preset=presets.find(model),
        benchmark=benchmark,
    )


def refusal(text: str, model: str = "resnet50", **given: Any) -> str:
    with pytest.raises(RequestError) as caught:
        translate(text, model, **given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("  ", {}),
        ("steps=100 warmup_steps=50", {"steps": "100", "warmup_steps": "50"}),
        ("steps=100\n\twarmup_steps=50 ", {"steps": "100", "warmup_steps": "50"}),
        ('split="accuracy_message"', {"split": "accuracy_message"}),
        ("split='two words' steps=1", {"split": "two words", "steps": "1"}),
        (r"config_file=a\ b.config", {"config_file": "a b.config"}),
        ("config_file=a=b==c", {"config_file": "a=b==c"}),
        ("config_file=", {"config_file": ""}),
        ("--warmup-steps=5", {"warmup_steps": "5"}),
        ("config_file=$(reboot);`id`|x", {"config_file": "$(reboot);`id`|x"}),
    ],
)
def test_pairs_are_taken_apart_as_a_shell_would(text: str, pairs: dict[str, str]) -> None:
    assert model_args.parse(text) == pairs


names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)


@given(st.dictionaries(names, st.text()))
def test_any_value_survives_quoting(pairs: dict[str, str]) -> None:
    text = " ".join(f"{name}={shlex.quote(value)}" for name, value in pairs.items())

    assert model_args.parse(text) == pairs
    assert model_args.parse(pairs) == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "split='open",
            "extra_model_args=\"split='open\": can't be split into name=value pairs: "
            "No closing quotation",
        ),
        ("steps 100", "extra_model_args: 'steps': should be name=value"),
        ("=100", "extra_model_args: '=100': should be name=value"),
        ("--=100", "extra_model_args: '--=100': should be name=value"),
        ("steps=1 steps=2", "extra_model_args: steps is given twice"),
    ],
)
def test_what_is_no_pair(text: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        model_args.parse(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("model", "precision", "text", "arguments"),
    [
        # The original counted warm-up among the steps of these ...
        ("resnet50", "int8", "warmup_steps=50 steps=500", {"warmup_steps": 50, "steps": 450}),
        ("resnet101", "int8", "warmup_steps=50 steps=500", {"warmup_steps": 50, "steps": 450}),
        ("inceptionv3", "fp32", "warmup_steps=50 steps=500", {"warmup_steps": 50, "steps": 450}),
        ("resnet50", "fp32", "steps=100", {"warmup_steps": 10, "steps": 90}),
        ("resnet101", "int8", "steps=100", {"warmup_steps": 40, "steps": 60}),
        ("faster_rcnn", "int8", "number_of_steps=1000", {"warmup_steps": 21, "steps": 979}),
        ("faster_rcnn", "fp32", "steps=5000", {"warmup_steps": 21, "steps": 4979}),
        ("resnet50", "fp32", "steps=5 warmup_steps=0", {"warmup_steps": 0, "steps": 5}),
        # ... and not among those of these.
        ("inceptionv3", "int8", "warmup_steps=50 steps=500", {"warmup_steps": 50, "steps": 500}),
        ("inceptionv4", "fp32", "warmup_steps=50 steps=500", {"warmup_steps": 50, "steps": 500}),
        ("mobilenet_v1", "fp32", "warmup_steps=10 steps=50", {"warmup_steps": 10, "steps": 50}),
        ("rfcn", "int8", "number_of_steps=500", {"steps": 500}),
        # Warm-up alone says nothing of the steps.
        ("resnet50", "fp32", "warmup_steps=5", {"warmup_steps": 5}),
        # Models that took none of these take them now.
        ("inception_resnet_v2", "fp32", "steps=5", {"steps": 5}),
        ("ssd-mobilenet", "int8", "steps=5", {"steps": 5}),
    ],
)
def test_steps_are_measured_steps(
    model: str, precision: str, text: str, arguments: dict[str, int]
) -> None:
    assert translate(text, model, precision)[0] == arguments


@pytest.mark.parametrize(
    "key",
    [
        (found.name, precision)
        for found in presets.every()
        for precision in found.precisions
        if found.run[precision]["throughput"].steps is not None
    ],
)
def test_the_presets_count_steps_in_the_same_way(key: tuple[str, str]) -> None:
    model, precision = key
    run = presets.find(model).run[precision]["throughput"]
    assert run.steps is not None
    inside = model_args.WARMUP_INSIDE.get(key) and run.warmup_steps
    said = f"steps={run.steps + (inside or 0)}"
    if run.warmup_steps is not None:
        said += f" warmup_steps={run.warmup_steps}"

    arguments, _ = translate(said, model, precision)

    assert arguments.get("warmup_steps") == run.warmup_steps
    assert arguments["steps"] == run.steps


def test_what_became_of_steps_is_said() -> None:
    (note,) = translate("steps=500 warmup_steps=50")[1]
    assert (note.was, note.now) == ("steps=500", "warmup_steps=50 steps=450")
    (note,) = translate("number_of_steps=500", "rfcn", "int8")[1]
    assert (note.was, note.now) == ("number_of_steps=500", "steps=500")
    assert translate("steps=500 warmup_steps=50", "inceptionv4")[1] == ()


def test_steps_mean_nothing_to_an_accuracy_run() -> None:
    arguments, notes = translate("steps=500 warmup_steps=50", benchmark=False)

    assert arguments == {}
    assert [note.was for note in notes] == ["steps=500", "warmup_steps=50"]


def test_a_block_time_is_a_variable() -> None:
    assert translate("kmp_blocktime=0")[0] == {"env": {"KMP_BLOCKTIME": "0"}}


@pytest.mark.parametrize("weights", ["random", "pretrained", "my/graph.pb"])
@pytest.mark.parametrize("model", presets.names())
def test_every_model_takes_weights(model: str, weights: str) -> None:
    assert translate(f"weights={weights}", model)[0] == {"weights": weights}


@pytest.mark.parametrize(
    ("model", "text"),
    [("faster_rcnn", "config_file=pipeline.config"), ("rfcn", "split=accuracy_message")],
)
def test_what_means_nothing_any_more_is_accepted_and_named(model: str, text: str) -> None:
    arguments, (note,) = translate(text, model)
    assert arguments == {} and (note.was, note.now) == (text, "of no effect")


def test_every_meaningless_name_is_known_to_some_model() -> None:
    known = {name for names in model_args.BY_MODEL.values() for name in names}

    assert set(model_args.MEANINGLESS) <= {*known, *model_args.LAUNCHER}


def test_layers_are_tensors() -> None:
    text = "input_layer=input output_layer=InceptionV4/Logits/Predictions:1"

    assert translate(text, "inceptionv4")[0] == {
        "input": "input:0",
        "outputs": {"scores": "InceptionV4/Logits/Predictions:1"},
    }


def test_the_size_that_the_model_takes_need_not_be_given() -> None:
    assert translate("input_height=299 input_width=299", "inceptionv4") == ({}, ())


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        (
            "stepz=5",
            {},
            "extra_model_args: stepz=5: resnet50 has no such argument. Did you mean 'steps'?",
        ),
        (
            "x=5",
            {},
            "extra_model_args: x=5: resnet50 has no such argument. It has: steps, warmup_steps, "
            "weights, kmp_blocktime, calibration_only, calibrate",
        ),
        (
            "config_file=x",
            {"model": "ssd-mobilenet"},
            "extra_model_args: config_file=x: ssd-mobilenet has no such argument. It has: steps, "
            "warmup_steps, weights",
        ),
        (
            "number_of_steps=5",
            {"model": "inceptionv3"},
            "extra_model_args: number_of_steps=5: inceptionv3 has no such argument. It has: "
            "steps, warmup_steps, weights, kmp_blocktime, calibration_only",
        ),
        (
            "steps=ten",
            {},
            "extra_model_args: steps='ten': should be a whole number of at least 1",
        ),
        ("steps=0", {}, "extra_model_args: steps='0': should be a whole number of at least 1"),
        (
            "warmup_steps=-1",
            {},
            "extra_model_args: warmup_steps='-1': should be a whole number of at least 0",
        ),
        (
            "steps=ten",
            {"benchmark": False},
            "extra_model_args: steps='ten': should be a whole number of at least 1",
        ),
        (
            "kmp_blocktime=infinite",
            {},
            "extra_model_args: kmp_blocktime='infinite': should be a whole number of at least 0",
        ),
        (
            "steps=50 warmup_steps=50",
            {},
            "extra_model_args: steps=50: the original counted 50 warm-up steps among these, so "
            "none would be measured; give more than 50, or warmup_steps=0",
        ),
        (
            "number_of_steps=5",
            {"model": "faster_rcnn"},
            "extra_model_args: number_of_steps=5: the original counted 21 warm-up steps among "
            "these, so none would be measured; give more than 21, or warmup_steps=0",
        ),
        (
            "steps=5 number_of_steps=5",
            {"model": "rfcn"},
            "extra_model_args: steps and number_of_steps mean the same; give one",
        ),
        (
            "calibration_only=True",
            {},
            "extra_model_args: calibration_only=True: calibrating is no part of a run here; "
            "modelzoo_runner.quantize makes int8 graphs",
        ),
        (
            "input_width=224",
            {"model": "inceptionv4"},
            "extra_model_args: input_width=224: inceptionv4 takes 299; for another size give a "
            "preset of your own (.toml)",
        ),
    ],
)
def test_a_bad_argument_is_named_with_its_value_and_what_is_allowed(
    text: str, given: dict[str, Any], message: str
) -> None:
    assert refusal(text, **given) == message


def test_not_to_calibrate_is_what_happens() -> None:
    assert translate("calibration_only=False calibrate=false") == ({}, ())


def test_a_model_given_by_its_path_knows_what_every_model_knows() -> None:
    arguments, notes = model_args.translate(
        {"steps": "5"}, model="my.pb", precision="fp32", preset=None, benchmark=True
    )

    assert (arguments, notes) == ({"steps": 5}, ())
