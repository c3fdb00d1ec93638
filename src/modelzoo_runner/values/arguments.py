"""What the arguments mean that public functions share, said once.

`documented` composes the docstring of each function that has them, so that `help()` and the
command's `--help` say it in full.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

MODEL = (
    "a model's name (see `models()`), a path, or a `Preset`. A path is a frozen graph's (`.pb`), "
    "a SavedModel's folder, a Keras model's (`.keras`, `.h5`), or a preset's of your own (`.toml`)."
)

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Data": {
        "data_location": "a folder of TFRecords or images, here or in a store (gs://, s3://, "
        "...); `None`: synthetic input.",
        "annotations": "for detectors: the `instances_*.json`, where it isn't beside the images.",
        "label_map": "for detectors: the names of the graph's classes: a `.pbtxt`, a file or list "
        "of names (the first is class 0), or class -> name. `None`: told from the ground truth.",
        "label_offset": "what is added to a label (1 to 1000, or a category's id) to get its place "
        "among the scores, or its class. `None`: the preset's, or told from the ground truth.",
        "category_names": "for detectors: other names for categories of the annotations, by name "
        "or id, where the label map has others.",
        "box_format": "for detectors: how boxes are given. `None`: told from the ground truth.",
        "stream": "read data in a store (gs://, s3://, ...) while it is used, without a copy on "
        "the disk (see `docs/data.md`).",
        "allow_partial": "accept a data set with missing shards.",
        "synthetic": "make random examples in the model's input range: for where only speed "
        "counts.",
        "examples": "how many examples, the first ones of the data.",
        "limit": "stop after so many examples; the result says that it is of a part of the set.",
        "seed": "of synthetic input, of random weights and of `arrivals`.",
        "predictions": "a file to write, here or in a store: a CSV line for each example, or "
        "detections as COCO has them.",
        "images": "how many images to look at, from all over the data.",
        "doctor": "look at a few images first, as `doctor` does: an error found there ends the run "
        "before it begins, doubts are warnings of the result.",
        "offline": "never use the network.",
    },
    "Graph": {
        "precision": '`"fp32"` or `"int8"`, as far as the model has them; `"bfloat16"` runs the '
        "fp32 graph with TensorFlow's automatic mixed precision.",
        "runtime": 'what runs the graph: `"tensorflow"`, `"openvino"` or `"onnxruntime"` (see '
        "`docs/runtimes.md`); `None`: by the file's suffix, TensorFlow for a frozen graph.",
        "goal": 'which of the preset\'s recommended runs: `"throughput"` (a large batch) or '
        '`"latency"` (batch 1).',
        "weights": '`"pretrained"` fetches the published graph, `"random"` builds the same network '
        "here with seeded weights, and anything else is the path of a graph, here or in a store.",
        "input": "the input tensor; `None`: the preset's, or found in the graph.",
        "outputs": "role -> output tensor; `None`: the preset's, or found in the graph.",
        "preprocess_graph": "for detectors: a graph that makes this one's input of an image, where "
        "that is a graph of its own.",
        "feeds": 'constants for other inputs of the graph, by tensor, as `{"keep_prob:0": 1.0, '
        '"is_training:0": False}`: numbers, truth values, text, or lists of them.',
        "signature": "of a SavedModel: which of its signatures to run; `None`: `serving_default`, "
        "or the only one.",
        "input_shape": "of one example, where the graph leaves it open.",
        "optimize": "prepare the graph for inference at load time (see `docs/graphs.md`).",
        "allow_unsafe_ops": "accept a graph with operations outside the allow-list. Such a graph "
        "can read and write files: trust it like a program.",
        "fp32": "the float32 graph of the same model, with the same tensors, to compare with.",
    },
    "Gates": {
        "min_scores": 'the lowest score allowed by name, such as `{"top1": 0.74}`; `result.gates` '
        "says whether it holds.",
        "max_drop": "how far below the published scores they may be; a gate for each of them.",
        "stop_when": '`"decided"` ends a classifier\'s run as soon as every gate is decided for '
        'all of the data with 95 % confidence (see `docs/comparing.md`); `"end"` scores all of it.',
    },
    "Measurement": {
        "batch_size": "examples in a step.",
        "warmup_steps": "steps before the measured ones; kept in the result, apart.",
        "steps": "measured steps.",
        "min_seconds": "measure on after `steps` until it took this long.",
        "arrivals": 'when queries of one batch come: `"poisson"` at random times, `"constant"` at '
        "equal distances. Latency then counts from when a query was due (see `docs/load.md`). "
        "`None`: each comes when the one before is done.",
        "rate": "with `arrivals`: how many queries come in a second.",
    },
    "CPUs": {
        "socket_id": "use the CPUs and the memory of one socket.",
        "numa_node": "use the CPUs and the memory of one NUMA node.",
        "cpus": 'choose from these CPUs, as `"0-3,8"` or ids.',
        "num_cores": "use so many physical cores, of all instances together.",
        "instances": 'run so many processes at once, or one for each `"socket"`, `"node"` or '
        '`"core"`, on physical cores of their own; what counts is the time in which all of them '
        "run.",
        "cores_per_instance": "physical cores of each instance.",
        "num_inter_threads": "TensorFlow's inter-op threads.",
        "num_intra_threads": "TensorFlow's intra-op threads.",
        "allocator": "the malloc to preload; it makes the run a child process.",
        "binding": "how the run is bound to its CPUs.",
        "strict": "an error, not a warning, where an argument can't be honored.",
    },
    "Host": {
        "processes": "measure in so many fresh processes, one after the other, and keep each. The "
        "interval is then over processes, and holds between runs: use it for every number that is "
        "to be compared later (see `docs/comparing.md`).",
        "isolation": '`"auto"` runs in this process where it can honor the plan and the graph is '
        'known (see `docs/graphs.md`), else in a child; `"child"` always in a child; `"none"` '
        "never, which trusts the graph.",
        "docker_image": "run in a container of this image (see `docs/containers.md`).",
        "env": "environment variables for the run; they overrule the preset's and the process's "
        "own.",
        "timeout": "seconds after which the run is ended; it makes the run a child process.",
        "client": "a `distributed.Client`, or the address of a Dask scheduler, whose workers do "
        "the run in parts (see `docs/scaling.md`).",
        "checkpoint": "a folder, new or of this run, that keeps the parts that are done: another "
        "call does what is missing.",
    },
}
"""By the panels of a help page: the name of each argument, and what it means."""

_SHARED = {
    "model": MODEL,
    **{name: said for group in GROUPS.values() for name, said in group.items()},
    "progress": "`True` for bars, `False` for none, or a function, called with (what, done, total "
    "or None). `None`: bars in a notebook and in a terminal.",
}

_SECTIONS = re.compile(r"^(?:(?:Returns|Raises|Example):$|>>>)", re.MULTILINE)
_WIDTH = 96


def documented(**own: str) -> Callable[[F], F]:
    """A decorator: describe all arguments of a function in its docstring's `Args` section.

    Args:
        own: what arguments mean that the function doesn't share, or that mean something else here.

    >>> @documented(model="which one.")
    ... def step(model: str, batch_size: int) -> None:
    ...     '''Do a step.'''
    >>> print(step.__doc__)
    Do a step.
    <BLANKLINE>
    Args:
        model: which one.
        batch_size: examples in a step.
    """

    def decorate(function: F) -> F:
        if function.__doc__ is None:  # with python -OO
            return function
        said = _SHARED | own
        entries = (
            textwrap.fill(
                f"{name}: {said[name]}", _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8
            )
            for name in inspect.signature(function).parameters
        )
        doc = inspect.cleandoc(function.__doc__)
        next_section = _SECTIONS.search(doc)
        at = next_section.start() if next_section else len(doc)
        parts = (doc[:at].rstrip(), "\n".join(("Args:", *entries)), doc[at:])
        function.__doc__ = "\n\n".join(part for part in parts if part)
        return function

    return decorate
