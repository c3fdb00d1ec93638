"""Translate the original's extra model arguments (`steps=100 warmup_steps=50`).

Each model of the zoo had some of its own. They become arguments of `benchmark` and `accuracy`; one
without a meaning here is accepted with a note; an unknown one is an error. Nothing is passed to a
shell or set in the environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.values import validate
from modelzoo_runner.values.preset import Preset


@dataclass(frozen=True)
class Note:
    """What was asked for, what it is here, and why; `str()` is a sentence of all three."""

    was: str
    now: str
    why: str

    def __str__(self) -> str:
        return f"{self.was}: {self.now}; {self.why}."


EVERY_MODEL = ("steps", "warmup_steps", "weights")
"""Known for every model; `weights` is new: `pretrained`, `random` or the path of a graph."""

LAUNCHER = ("NOINSTALL",)
"""Read by the original's start.sh, whatever the model."""

BY_MODEL: Mapping[str, tuple[str, ...]] = {
    "resnet50": ("kmp_blocktime", "calibration_only", "calibrate"),
    "resnet101": ("kmp_blocktime", "calibration_only"),
    "inceptionv3": ("kmp_blocktime", "calibration_only"),
    "inceptionv4": ("input_height", "input_width", "input_layer", "output_layer"),
    "mobilenet_v1": (
        *("input_height", "input_width", "input_layer", "output_layer"),
        "calibration_only",
    ),
    "faster_rcnn": ("number_of_steps", "config_file", "split"),
    "rfcn": (
        *("number_of_steps", "config_file", "split"),
        *("visualize", "timeline", "evaluate_tensor", "print_accuracy"),
    ),
}

WARMUP_INSIDE: Mapping[tuple[str, str], int] = {
    ("resnet50", "fp32"): 10,
    ("resnet50", "int8"): 10,
    ("resnet101", "fp32"): 10,
    ("resnet101", "int8"): 40,
    ("inceptionv3", "fp32"): 10,
    ("faster_rcnn", "fp32"): 21,
    ("faster_rcnn", "int8"): 21,
}
"""Where the original counted warm-up among `steps`: how many steps it left out by default."""

MEANINGLESS: Mapping[str, str] = {
    "NOINSTALL": "nothing is installed",
    "config_file": "a frozen graph is run, which needs no configuration",
    "split": "it named a file of the original's only",
    "visualize": "the original drew boxes into images",
    "timeline": "the original wrote a trace",
    "evaluate_tensor": "the original printed a tensor",
    "print_accuracy": "an accuracy run always gives its scores",
}


def parse(given: str | Mapping[str, Any]) -> dict[str, str]:
    """`name=value` pairs by name, from one line that quotes as a shell does, or from a mapping.

    A value holds everything after the first `=`. Dashes in a name are read as underscores.

    Raises:
        RequestError: a quote is left open, or a piece isn't `name=value`.

    >>> parse('steps=100 split="a message" x=a=b')
    {'steps': '100', 'split': 'a message', 'x': 'a=b'}
    """
    if isinstance(given, Mapping):
        return pairs(f"{name}={value}" for name, value in given.items())
    if not isinstance(given, str):
        raise RequestError(
            f"extra_model_args={given!r}: should be text such as 'steps=100 warmup_steps=50', or a "
            "mapping"
        )
    try:
        pieces = shlex.split(given)
    except ValueError as error:
        raise RequestError(
            f"extra_model_args={given!r}: can't be split into name=value pairs: {error}"
        ) from None
    return pairs(pieces)


def pairs(pieces: Iterable[str]) -> dict[str, str]:
    """The same from pieces that are split already."""
    found: dict[str, str] = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if not name or not equals:
            raise RequestError(f"extra_model_args: {piece!r}: should be name=value")
        if name in found:
            raise RequestError(f"extra_model_args: {name} is given twice")
        found[name] = value
    return found


def translate(
    given: Mapping[str, str], *, model: str, precision: str, preset: Preset | None, benchmark: bool
) -> tuple[dict[str, Any], tuple[Note, ...]]:
    """Arguments of `benchmark` or `accuracy`, and notes on what changed its meaning.

    Args:
        given: names and values, as `parse` returns them.
        model: the model's name.
        precision: of the run.
        preset: the model's; `None` where the model is a path.
        benchmark: whether it is a benchmark and not an accuracy run.

    Raises:
        RequestError: a name that the model doesn't know, or a value that can't be.
    """
    known = (*EVERY_MODEL, *BY_MODEL.get(model, ()))
    for name, value in given.items():
        if name not in (*known, *LAUNCHER):
            raise RequestError(
                f"extra_model_args: {name}={value}: {model} has no such argument. "
                + did_you_mean(name, known, otherwise="It has")
            )
    arguments, notes = _steps(given, model, precision, benchmark)
    if "weights" in given:
        arguments["weights"] = given["weights"]
    if "input_layer" in given:
        arguments["input"] = _tensor(given["input_layer"])
    if "output_layer" in given:
        arguments["outputs"] = {"scores": _tensor(given["output_layer"])}
    if "kmp_blocktime" in given:
        arguments["env"] = {"KMP_BLOCKTIME": str(_whole("kmp_blocktime", given, 0))}
    for name in ("calibration_only", "calibrate"):
        if given.get(name, "false").lower() != "false":
            raise RequestError(
                f"extra_model_args: {name}={given[name]}: calibrating is no part of a run here; "
                "modelzoo_runner.quantize makes int8 graphs"
            )
    if preset is not None:
        _check_size(given, model, preset)
    notes += [
        Note(f"{name}={value}", "of no effect", MEANINGLESS[name])
        for name, value in given.items()
        if name in MEANINGLESS
    ]
    return arguments, tuple(notes)


def _steps(
    given: Mapping[str, str], model: str, precision: str, benchmark: bool
) -> tuple[dict[str, Any], list[Note]]:
    if "steps" in given and "number_of_steps" in given:
        raise RequestError("extra_model_args: steps and number_of_steps mean the same; give one")
    name = "number_of_steps" if "number_of_steps" in given else "steps"
    steps = _whole(name, given, 1)
    warmup = _whole("warmup_steps", given, 0)
    if not benchmark:
        asked = [each for each in (name, "warmup_steps") if each in given]
        return {}, [
            Note(f"{each}={given[each]}", "of no effect", "an accuracy run takes every image")
            for each in asked
        ]
    notes = []
    inside = WARMUP_INSIDE.get((model, precision))
    if steps is not None and inside is not None and warmup != 0:
        warmup = warmup or inside
        if steps <= warmup:
            raise RequestError(
                f"extra_model_args: {name}={steps}: the original counted {warmup} warm-up steps "
                f"among these, so none would be measured; give more than {warmup}, or "
                "warmup_steps=0"
            )
        why = f"the original counted {warmup} warm-up steps among its steps; here they come before"
        now = f"warmup_steps={warmup} steps={steps - warmup}"
        notes.append(Note(f"{name}={steps}", now, why))
        steps -= warmup
    elif steps is not None and warmup is None and (model == "rfcn" or name != "steps"):
        why = "the original averaged its first, slow steps in; here warm-up steps come before"
        notes.append(Note(f"{name}={steps}", f"steps={steps}", why))
    decided = {"warmup_steps": warmup, "steps": steps}
    return {each: value for each, value in decided.items() if value is not None}, notes


def _check_size(given: Mapping[str, str], model: str, preset: Preset) -> None:
    # Without [preprocess] the images keep the size that they have.
    size = preset.preprocess.size if preset.preprocess else ()
    for name, side in zip(("input_height", "input_width"), size, strict=False):
        if name in given and _whole(name, given, 1) != side:
            raise RequestError(
                f"extra_model_args: {name}={given[name]}: {model} takes {side}; for another size "
                "give a preset of your own (.toml)"
            )


def _tensor(layer: str) -> str:
    return layer if ":" in layer else f"{layer}:0"


def _whole(name: str, given: Mapping[str, str], least: int) -> int | None:
    if name not in given:
        return None
    return validate.count(f"extra_model_args: {name}", given[name], least, from_text=True)
