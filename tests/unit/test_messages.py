"""The whole sentences of error messages about arguments, as a file to read and to compare with.

Other tests assert the class, the argument and a key phrase. After rewording a message, write the
file anew, and read the difference: `MESSAGES=write python -m pytest tests/unit/test_messages.py`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import modelzoo_runner
from modelzoo_runner import accuracy, benchmark, best_known, sweep
from modelzoo_runner.errors import RunnerError
from modelzoo_runner.machine import allocator, processor, selection, splitting
from modelzoo_runner.machine.cpulist import parse_cpu_list

GOLDEN = Path(__file__).with_name("messages.txt")

DATA = {"data_location": "/nowhere"}
CALLS: tuple[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]], ...] = (
    (benchmark, (None,), {}),
    (benchmark, ("resnet5",), {}),
    (benchmark, ("nothing like it",), {}),
    (benchmark, ("graph.pb",), {"weights": "other.pb"}),
    (benchmark, ("none.toml",), {}),
    *(
        (benchmark, ("resnet50",), {name: value})
        for name, value in (
            ("precision", "int4"),
            ("precision", "double"),
            ("goal", "speed"),
            ("weights", None),
            ("data_location", 5),
            ("batch_size", 0),
            ("warmup_steps", -1),
            ("steps", "10"),
            ("steps", True),
            ("min_seconds", 0),
            ("seed", -1),
            ("timeout", "1m"),
            ("socket_id", "first"),
            ("num_cores", 0),
            ("num_cores", "all"),
            ("num_inter_threads", 2.5),
            ("instances", "thread"),
            ("cores_per_instance", 0),
            ("cpus", 5),
            ("cpus", []),
            ("cpus", "3-1"),
            ("allocator", "mimalloc"),
            ("binding", "taskset"),
            ("isolation", "process"),
            ("docker_image", "--privileged"),
            ("env", "A=1"),
            ("env", {"A=B": "1"}),
            ("optimize", "no"),
            ("allow_unsafe_ops", 1),
            ("strict", None),
            ("offline", "no"),
            ("progress", 5),
            ("input", 5),
            ("input_shape", "224,224,3"),
            ("outputs", ["a"]),
            ("outputs", {"score": "predict:0"}),
            ("preprocess_graph", "small.pb"),
            ("stream", True),
        )
    ),
    (benchmark, ("resnet50",), {"timeout": 5, "isolation": "none"}),
    (benchmark, ("resnet50",), {"docker_image": "mine:1", "isolation": "none"}),
    (benchmark, ("resnet50",), {"instances": 2, "isolation": "none"}),
    (benchmark, ("resnet50",), {"cores_per_instance": 1, "binding": "none"}),
    (benchmark, ("resnet50",), {"stream": True, **DATA}),
    (benchmark, ("resnet50",), {"stream": True, "data_location": "gs://b", "docker_image": "m"}),
    (accuracy, ("resnet50",), {}),
    (accuracy, ("rfcn",), {}),
    (accuracy, ("resnet50",), {"limit": 0, **DATA}),
    (accuracy, ("resnet50",), {"annotations": "a.json", **DATA}),
    (accuracy, ("resnet50",), {"predictions": "/nowhere/p.csv", **DATA}),
    (accuracy, ("resnet50",), {"checkpoint": "c", "stream": True, "data_location": "gs://b/d"}),
    (best_known, ("resnet50", "int4"), {}),
    (sweep, ([],), {}),
    (sweep, ([5],), {}),
    (sweep, ([{"batch_size": 1}],), {}),
    (sweep, ([{"model": "resnet50", "verb": "train"}],), {}),
    (sweep, ([{"model": "resnet50", "batchsize": 1}],), {}),
    (modelzoo_runner.calibration_batches, ("resnet50",), {"examples": 0}),
    (modelzoo_runner.calibration_batches, ("resnet50",), {}),
    (modelzoo_runner.calibration_batches, ("resnet50", "/nowhere"), {"synthetic": True}),
    (modelzoo_runner.int8_report, ("int8.pb",), {"steps": 0}),
    (modelzoo_runner.int8_report, ("int8.pb",), {"batch": [1], "model": "resnet50"}),
    (modelzoo_runner.quantize, ("fp32.pb", []), {"ranges": "mean"}),
    (modelzoo_runner.load, ("/nowhere/result.json",), {}),
    (modelzoo_runner.run, (), {"mode": "training"}),
    (parse_cpu_list, ("0-",), {}),
    (parse_cpu_list, ("0-99999",), {}),
    (allocator.find, ("hoard",), {}),
    (processor.bfloat16_warnings, (("avx2",),), {}),
    (splitting.check, ("thread", None), {}),
    (selection.identifier, ("numa_node", -2), {}),
    (modelzoo_runner.run, (), {"batch_size": "many"}),
)


def messages() -> Iterator[str]:
    for function, arguments, options in CALLS:
        words = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())]
        try:
            function(*arguments, **options)
        except RunnerError as error:
            said = f"{type(error).__name__}: {error}"
        else:
            said = "no error"
        yield f"{function.__name__}({', '.join(words)})\n{said}\n"


def test_messages_are_those_of_the_file() -> None:
    found = "\n".join(messages())
    assert "no error" not in found
    if os.environ.get("MESSAGES") == "write":
        GOLDEN.write_text(found, encoding="utf-8")
    golden = GOLDEN.read_text(encoding="utf-8")
    difference = difflib.unified_diff(golden.splitlines(), found.splitlines(), "file", "found")
    assert golden == found, "\n".join(difference)
