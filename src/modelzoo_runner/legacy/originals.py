"""What each release of the original ran where a command didn't say, in tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelzoo_runner.errors import RequestError
from modelzoo_runner.legacy.model_args import Note
from modelzoo_runner.planning.request import graph_precision
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

NEVER = (0, 0)

FROM_CHECKPOINT: Mapping[tuple[str, str], tuple[int, int]] = {
    ("inception_resnet_v2", "fp32"): (1, 4),
    ("mobilenet_v1", "fp32"): (2, 0),
}
"""Benchmarks that ran from a checkpoint, and the release from which on they surely didn't."""

ABSENT: Mapping[str, tuple[tuple[tuple[int, int], tuple[int, int]], ...]] = {
    "inception_resnet_v2": (((1, 6), (4, 0)),),
    "faster_rcnn": (((1, 6), (2, 0)),),
}
"""The releases, from and up to, that didn't have a model."""

INTER_BY_RULE: Mapping[tuple[str, str], tuple[tuple[int, int], tuple[int, int]]] = {
    ("faster_rcnn", "int8"): ((1, 5), (1, 6)),
    ("ssd-mobilenet", "fp32"): ((1, 8), (4, 0)),
    ("ssd-mobilenet", "int8"): ((1, 8), (4, 0)),
}
"""Releases that took the launcher's rule for inter-op threads where the preset has 2."""

BLOCKTIME_1_3: Mapping[tuple[str, str], str | None] = {
    ("ssd-mobilenet", "int8"): "0",
    ("rfcn", "int8"): None,
}
"""KMP_BLOCKTIME of release 1.3 where it isn't the preset's; `None` for unset."""

OMP_FROM_CORES = {("rfcn", "int8"), ("faster_rcnn", "int8")}
"""Whose OMP_NUM_THREADS was the physical cores of one socket in releases other than 1.5."""

OVERWRITTEN = (
    ({("resnet50", "int8"), ("inceptionv3", "int8")}, "OMP_NUM_THREADS", "its intra-op threads"),
    (
        {
            *(("resnet50", "fp32"), ("resnet50", "int8"), ("resnet101", "fp32")),
            *(("inceptionv3", "fp32"), ("inceptionv3", "int8")),
        },
        "KMP_BLOCKTIME",
        "that of kmp_blocktime=, by default 1",
    ),
)
"""Models whose scripts overwrote a variable that the user had set, and with what."""


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
    verb: Kind,
    model: str,
    given: Mapping[str, Any],
    release: str,
    variables: Mapping[str, str],
) -> tuple[dict[str, Any], list[Note]]:
    """Arguments that the original decided otherwise than `benchmark` and `accuracy`, and notes.

    Args:
        verb: of the call.
        model: the model's name, or a path, of which nothing is known.
        given: the arguments of the call so far.
        release: whose defaults are taken.
        variables: those set before the command that nothing in it overrules.
    """
    since = release_of(release)
    key = (model, graph_precision(given["precision"]))
    if key not in CLASSIFIERS and key not in DETECTORS:
        return {}, []
    preset = presets.find(model)
    found, notes = _threads(key, given, since)
    for first, end in ABSENT.get(model, ()):
        if first <= since < end:
            why = "the defaults are those of the nearest release that had it"
            notes.append(Note(f"release={release}", f"it had no {model}", why))
    for overwritten, name, by in OVERWRITTEN:
        if key in overwritten and name in variables and since >= (1, 4):
            why = f"the original's script overwrote it with {by}"
            notes.append(Note(f"{name}={variables[name]}", "is kept", why))
    if verb == "accuracy":
        more, said = _accuracy(preset, key, given)
    else:
        more, said = _benchmark(preset, key, given, since)
    return {**found, **more}, [*notes, *said]


def left_to_preset(verb: Kind, model: str, given: Mapping[str, Any]) -> list[Note]:
    """What the original pipeline, of release 1.3, decided otherwise where the preset decides here.

    Args:
        verb: of the call.
        model: the model's name, or a path, of which nothing is known.
        given: the arguments of the call.
    """
    found, notes = fill(verb, model, given, "1.3", {})
    taken = ("num_inter_threads isn't given", "batch_size isn't given", "steps isn't given")
    return [
        Note(f"{name} isn't given", "as recommended for the model", f"the original took {value}")
        for name, value in found.items()
    ] + [note for note in notes if not (found and note.was in taken)]


def _threads(
    key: tuple[str, str], given: Mapping[str, Any], since: tuple[int, int]
) -> tuple[dict[str, Any], list[Note]]:
    """Threads, variables and malloc, where the release's differ from the preset's."""
    found: dict[str, Any] = {}
    notes = []
    if key[1] == "int8" and since < (1, 4) and "allocator" not in given:
        found["allocator"] = "system"
        why = "tcmalloc is preloaded since release 1.4"
        notes.append(Note("disable_tcmalloc isn't given", "allocator=system", why))
    first, end = INTER_BY_RULE.get(key, (NEVER, NEVER))
    if first <= since < end and "num_inter_threads" not in given:
        why = "this release took one inter-op thread for each socket it ran on"
        now = "num_inter_threads=2"
        if "socket_id" in given:
            found["num_inter_threads"], now = 1, "num_inter_threads=1"
        notes.append(Note("num_inter_threads isn't given", now, why))
    env = given.get("env", {})
    if since < (1, 4) and key in BLOCKTIME_1_3 and "KMP_BLOCKTIME" not in env:
        value = BLOCKTIME_1_3[key]
        if value is not None:
            found["env"] = {**env, "KMP_BLOCKTIME": value}
        now = "unset there and 0 here" if value is None else value
        notes.append(Note("KMP_BLOCKTIME", now, "release 1.3 differed from those after it"))
    by_intra = since >= (1, 5) and not (key[0] == "faster_rcnn" and since >= (1, 6))
    one_socket = "socket_id" in given and "num_intra_threads" not in given
    if key in OMP_FROM_CORES and not by_intra and not one_socket and "OMP_NUM_THREADS" not in env:
        why = "this release took the physical cores of one socket (faster_rcnn when scoring only)"
        notes.append(Note("OMP_NUM_THREADS", "as many as intra-op threads", why))
    return found, notes


def _benchmark(
    preset: Preset, key: tuple[str, str], given: Mapping[str, Any], since: tuple[int, int]
) -> tuple[dict[str, Any], list[Note]]:
    found: dict[str, Any] = {}
    notes = []
    if key in STEPS_DROPPED and "steps" in given:
        why = "the original's start.sh didn't pass it on to this model"
        notes.append(Note(f"steps={given['steps']}", "it counts", why))
    if since < FROM_CHECKPOINT.get(key, NEVER):
        now = "its frozen graph, warm-up left out"
        why = "the original ran 100 batches from a checkpoint and averaged every tenth one's rate"
        notes.append(Note(f"steps of {key[0]} {key[1]}", now, why))
    defaults = CLASSIFIERS.get(key)
    if key[0] == "ssd-mobilenet" and since >= (1, 6):
        defaults = SSD_SINCE_1_6
    if defaults is None:
        if "steps" not in given:
            why = f"the original ran {DETECTORS[key]}"
            notes.append(Note("steps isn't given", "a fixed number", why))
        return found, notes
    own = preset.run[key[1]]["throughput"].batch_size
    if "batch_size" not in given and own != defaults.batch_size:
        now, why = f"the recommended {own}", "the original failed then"
        if defaults.batch_size is not None:
            found["batch_size"] = defaults.batch_size
            now, why = f"batch_size={defaults.batch_size}", f"the original's; {own} is recommended"
        notes.append(Note("batch_size isn't given", now, why))
    if "steps" not in given:
        more, said = _steps(preset, defaults, given)
        found |= more
        notes += said
    return found, notes


def _accuracy(
    preset: Preset, key: tuple[str, str], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Note]]:
    defaults = CLASSIFIERS.get(key)
    if defaults is None:
        why = "the original's scoring of detectors mostly ran unbound, with TensorFlow's own counts"
        now = "as in a benchmark; a score doesn't depend on them"
        return {}, [Note("socket, threads and OMP_NUM_THREADS", now, why)]
    if "batch_size" in given:
        return {}, []
    if key[1] == "fp32" and defaults.batch_size == 128:
        why = "the original left the last, short batch out: it scored 49,920 of 50,000 images"
        return {"batch_size": 128}, [
            Note("batch_size isn't given", "batch_size=128, and every image counts", why)
        ]
    own = preset.run[key[1]]["accuracy"].batch_size
    return {}, [Note("batch_size isn't given", str(own), "the score doesn't depend on it")]


def _steps(
    preset: Preset, defaults: Defaults, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Note]]:
    goal = "latency" if given.get("goal") == "latency" else "throughput"
    own = preset.run[graph_precision(given["precision"])][goal]
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
    if (warmup, steps) == here:
        return {}, []
    now = f"warmup_steps={warmup} steps={steps}"
    why = f"as the original did; {here[0]} and {here[1]} are the default here"
    return {"warmup_steps": warmup, "steps": steps}, [Note("steps isn't given", now, why)]
