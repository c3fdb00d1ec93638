"""A runtime for tests: a model is a JSON file, and a step sleeps. It starts in no time.

Children find it by the entry point in `fakes.dist-info` beside this file. A model says
`seconds` (of a step), `by_threads` (the same by the number of intra-op threads), `example` (more
seconds for each example), `stalls` (how long single steps take, by their number from 0), `opens_in`
(seconds), `batch` (the only batch size that it takes), `dies` (at which batch size the process
ends), `threads` (whether its threads can't be changed once they are set), and `outputs` (roles;
`scores` has ten classes). If it `sticks`, the step after the fifth is in C code for hours, where no
Python handler of a signal is run. On a single CPU its first step waits until such steps have begun
on so many as `meet` says, or a minute: each leaves a file beside the model.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelzoo_runner.backends.base import Compiled, Shape, TensorSpec, Timed
from modelzoo_runner.errors import GraphError, RequestError
from modelzoo_runner.machine import environment
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

NAME = "fake"
SUFFIXES = (".fake",)

_threads: tuple[int, int] | None = None


def write(path: Path, **said: Any) -> Path:
    """A model's file."""
    path.write_text(json.dumps(said))
    return path


def plan_for(path: Path, **said: Any) -> Plan:
    """The plan of a benchmark of a model that is written to the path."""
    return Plan(
        kind="benchmark",
        model="fake",
        task="classification",
        precision="fp32",
        goal="throughput",
        graph=GraphFile(source="path", path=str(write(path, **said))),
        batch_size=2,
        warmup_steps=1,
        placement=Placement(inter_threads=1, intra_threads=1),
        runtime="fake",
    )


def blocker(placement: Placement) -> str | None:
    read = environment.read_once(placement.env, os.environ, ("FAKE_",) if _threads else ())
    if read:
        return f"this process has read {', '.join(read)} already"
    asked = (placement.inter_threads, placement.intra_threads)
    if _threads not in (None, asked):
        return f"the fake has {_threads} threads here, not {asked}"
    return None


def import_runtime() -> None: ...


def set_threads(placement: Placement) -> Mapping[str, Any]:
    global _threads
    _threads = inter, intra = placement.inter_threads, placement.intra_threads
    return {
        "inter_threads": inter,
        "intra_threads": intra,
        "inter_found": inter,
        "intra_found": intra,
    }


@dataclass(frozen=True)
class Model:
    said: Mapping[str, Any]
    folder: Path
    int8_layers: int = 0

    @property
    def outputs(self) -> dict[str, str]:
        return {role: f"{role}:0" for role in self.said.get("outputs", ["scores"])}

    def guess_tensors(self, outputs: object = None) -> tuple[str, dict[str, str]]:
        return "input:0", self.outputs

    def present_outputs(self, outputs: Mapping[str, str]) -> dict[str, str]:
        return {role: each for role, each in outputs.items() if each in self.outputs.values()}

    def check_tensors(self, input: str, outputs: Mapping[str, str]) -> None:
        for tensor in outputs.values():
            if tensor not in self.outputs.values():
                raise GraphError(f"there is no tensor {tensor!r}")

    def input_spec(self, input: str) -> TensorSpec:
        return TensorSpec(input_dtype="float32", input_shape=(self.said.get("batch"), 4, 4, 3))


@dataclass
class Step:
    said: Mapping[str, Any]
    outputs: Sequence[str]
    folder: Path = Path()
    input_dtype: str = "float32"
    input_shape: Shape | None = field(default=(None, 4, 4, 3))
    called: int = 0

    def __call__(self, batch: Any) -> list[Any]:
        import numpy as np

        size = len(batch)
        if size != self.said.get("batch", size):
            raise RequestError(f"batch: made for a batch size of {self.said['batch']}")
        if size == self.said.get("dies"):
            os._exit(9)
        if self.called == 0 and "meet" in self.said:
            _meet(self.folder, self.said["meet"])
        threads = str((_threads or (1, 1))[1])
        seconds = self.said.get("by_threads", {}).get(threads, self.said.get("seconds", 0.001))
        seconds += size * self.said.get("example", 0.0)
        time.sleep(self.said.get("stalls", {}).get(str(self.called), seconds))
        if self.called == 5 and self.said.get("sticks"):
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        self.called += 1
        scores = np.tile(np.arange(10, dtype=np.float32), (size, 1))
        return [scores for _ in self.outputs]

    def close(self) -> None: ...


def _meet(folder: Path, count: int) -> None:
    cpus = os.sched_getaffinity(0)
    if len(cpus) > 1:
        return
    (folder / f"cpu{cpus.pop()}").touch()
    deadline = time.monotonic() + 60
    while len([*folder.glob("cpu*")]) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def load(path: str, *, allow_unsafe_ops: bool) -> Model:
    try:
        return Model(json.loads(Path(path).read_text()), Path(path).parent)
    except ValueError:
        raise GraphError(f"{path}: not a fake model") from None


def compile(
    model: Model,
    *,
    input: str,
    outputs: Sequence[str],
    placement: Placement,
    precision: str,
    optimize: bool,
    timed: Timed,
) -> Compiled:
    with timed("compile"):
        time.sleep(model.said.get("opens_in", 0))
        return Compiled(step=Step(model.said, outputs, model.folder), card={"int8_layers": 0})


def facts() -> Mapping[str, Any]:
    return {"name": NAME, "version": "1"}
