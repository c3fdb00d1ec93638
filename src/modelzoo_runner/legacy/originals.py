"""What the original ran where a command line gave no batch size and no steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.errors import RequestError
from modelzoo_runner.planning.resolve import STEPS, WARMUP_STEPS
from modelzoo_runner.values import presets
from modelzoo_runner.values.options import Kind
from modelzoo_runner.values.preset import Preset

NEWEST = "1.5.0"


@dataclass(frozen=True)
class Defaults:
    """Of a classifier's benchmark. `batch_size` is None where the launcher's -1 was passed on.

    Of an accuracy run without a batch size, only that of fp32 is known.
    """

    batch_size: int | None
    warmup_steps: int
    steps: int
    is_warmup_inside: bool = False

    def measured(self, warmup: int) -> int:
        """The measured steps with so many warm-up steps."""
        total = self.warmup_steps + self.steps
        return total - warmup if self.is_warmup_inside else self.steps


# From each model's model_init.py and scripts, releases 1.3.1 to 1.5.0. Those of 1.6 to 2.4 have the
# same defaults for classifiers.
CLASSIFIERS: Mapping[tuple[str, str], Defaults] = {
    ("resnet50", "fp32"): Defaults(128, 10, 40, True),
    ("resnet50", "int8"): Defaults(None, 10, 40, True),
    ("resnet101", "fp32"): Defaults(128, 10, 40, True),
    ("resnet101", "int8"): Defaults(None, 40, 60, True),
    ("inceptionv3", "fp32"): Defaults(128, 10, 40, True),
    ("inceptionv3", "int8"): Defaults(32, 10, 50),
    ("inceptionv4", "fp32"): Defaults(32, 10, 50),
    ("inceptionv4", "int8"): Defaults(32, 10, 50),
    ("inception_resnet_v2", "fp32"): Defaults(128, 10, 30, True),
    ("inception_resnet_v2", "int8"): Defaults(128, 10, 30, True),
    ("mobilenet_v1", "fp32"): Defaults(128, 10, 50),
    ("mobilenet_v1", "int8"): Defaults(32, 10, 50),
}

# How many images a detector's benchmark ran, which depended on the data.
DETECTORS: Mapping[tuple[str, str], str] = {
    ("faster_rcnn", "fp32"): "as many images as its configuration said",
    ("faster_rcnn", "int8"): "all images, and left the first 21 out of its average",
    ("rfcn", "fp32"): "as many images as its configuration said",
    ("rfcn", "int8"): "up to 5000 images",
    ("ssd-mobilenet", "fp32"): "all images",
    ("ssd-mobilenet", "int8"): "5000 images, and left the first 21 out of its average",
}
SSD_SINCE_1_6 = Defaults(1, 200, 800, True)

STEPS_DROPPED = {
    ("inception_resnet_v2", "fp32"),
    ("inception_resnet_v2", "int8"),
    ("mobilenet_v1", "fp32"),
    ("ssd-mobilenet", "fp32"),
    ("ssd-mobilenet", "int8"),
}
"""Where the original's start.sh didn't pass `steps` on."""


def release_of(release: str) -> tuple[int, int]:
    """The release's first two numbers.

    Raises:
        RequestError: not one of 1.3 to 3.1.
    """
    match = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)*", str(release))
    found = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (1, 3) <= found <= (3, 1):
        raise RequestError(f"release={release!r}: should be a release from 1.3 to 3.1, as 1.5.0")
    return found


def fill(
    verb: Kind, model: str, given: Mapping[str, Any], release: str
) -> tuple[dict[str, Any], list[str]]:
    """Arguments that the original decided otherwise than `benchmark` and `accuracy`, and notes.

    Args:
        verb: of the call.
        model: the model's name, or a path, of which nothing is known.
        given: the arguments of the call so far.
        release: whose defaults are taken.
    """
    since = release_of(release)
    preset = next((each for each in presets.every() if each.name == model), None)
    key = (model, given["precision"])
    if preset is None or given["precision"] not in preset.run:
        return {}, []
    if verb == "accuracy":
        return _accuracy(preset, CLASSIFIERS.get(key), given)
    arguments: dict[str, Any] = {}
    notes: list[str] = []
    if key in STEPS_DROPPED and "steps" in given:
        notes.append(
            f"steps={given['steps']}: the original's start.sh didn't pass it on to {model}; here "
            "it counts."
        )
    defaults = CLASSIFIERS.get(key)
    if model == "ssd-mobilenet" and since >= (1, 6):
        defaults = SSD_SINCE_1_6
        if since >= (1, 8) and "num_inter_threads" not in given:
            arguments["num_inter_threads"] = 1
    if defaults is None:
        if "steps" not in given:
            notes.append(
                f"steps isn't given: the original ran {DETECTORS[key]}; here it is a fixed number."
            )
        return arguments, notes
    _batch_size(preset, defaults, given, arguments, notes)
    if "steps" not in given:
        _steps(preset, defaults, given, arguments, notes)
    return arguments, notes


def _accuracy(
    preset: Preset, defaults: Defaults | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    if "batch_size" in given or defaults is None:
        return {}, []
    if given["precision"] == "fp32" and defaults.batch_size == 128:
        return {"batch_size": 128}, [
            "batch_size isn't given: the original took 128 and left the last, short batch out "
            "(it scored 49,920 of 50,000 images). Here every image counts."
        ]
    own = preset.run[given["precision"]]["accuracy"].batch_size
    return {}, [f"batch_size isn't given: it is {own}; the score doesn't depend on it."]


def _batch_size(
    preset: Preset,
    defaults: Defaults,
    given: Mapping[str, Any],
    arguments: dict[str, Any],
    notes: list[str],
) -> None:
    own = preset.run[given["precision"]]["throughput"].batch_size
    if "batch_size" in given or own == defaults.batch_size:
        return
    if defaults.batch_size is None:
        notes.append(
            f"batch_size isn't given: the original failed then; here it is the recommended {own}."
        )
    else:
        arguments["batch_size"] = defaults.batch_size
        notes.append(
            f"batch_size isn't given: it is the original's default, {defaults.batch_size}; "
            f"{own} is recommended."
        )


def _steps(
    preset: Preset,
    defaults: Defaults,
    given: Mapping[str, Any],
    arguments: dict[str, Any],
    notes: list[str],
) -> None:
    goal = "latency" if given.get("goal") == "latency" else "throughput"
    own = preset.run[given["precision"]][goal]
    here = (
        WARMUP_STEPS if own.warmup_steps is None else own.warmup_steps,
        STEPS if own.steps is None else own.steps,
    )
    warmup = given.get("warmup_steps", defaults.warmup_steps)
    steps = defaults.measured(warmup)
    if steps < 1:
        raise RequestError(
            f"extra_model_args: warmup_steps={warmup}: the original counted it among its "
            f"{defaults.warmup_steps + defaults.steps} steps, so none would be measured; give "
            "steps, too"
        )
    if (warmup, steps) != here:
        arguments |= {"warmup_steps": warmup, "steps": steps}
        notes.append(
            f"steps isn't given: the original did {warmup} warm-up steps and measured {steps}, "
            f"and so does this call; {here[0]} and {here[1]} are the default here."
        )
