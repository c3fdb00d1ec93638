"""What a runtime has to offer to be measured, and which runtimes there are.

A runtime is a module that has what `Backend` lists. One more is one more module and its line in
`BACKENDS`; one of another distribution is found by its entry point in the group `GROUP`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.values.plan import Placement

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, Any]

Shape: TypeAlias = tuple[int | None, ...]
Timed: TypeAlias = Callable[[str], AbstractContextManager[None]]

DEFAULT = "tensorflow"

ENCODED = "object"
"""The `input_dtype` of a model that takes encoded images: an array of bytes."""

BACKENDS: dict[str, str] = {
    DEFAULT: "modelzoo_runner.backends.tensorflow.backend",
    "onnxruntime": "modelzoo_runner.backends.onnxruntime",
    "openvino": "modelzoo_runner.backends.openvino",
}
"""The module of each runtime. It is imported when it is first asked for."""

GROUP = "modelzoo_runner.backends"


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """What a model's input takes.

    `input_dtype` is a numpy type's name, as `float32`. `input_shape` has `None` for a size that is
    free, and is `None` where even the rank is open.
    """

    input_dtype: str
    input_shape: Shape | None


class Step(Protocol):
    """A compiled model: a batch in, a list of arrays out; see `TensorSpec` for its input."""

    @property
    def input_dtype(self) -> str: ...

    @property
    def input_shape(self) -> Shape | None: ...

    def __call__(self, batch: Array) -> list[Array]:
        """The outputs for this batch, in the order that they were asked for.

        Raises:
            RequestError: the batch isn't what the model takes.
            GraphError: the runtime can't run the model.
        """

    def close(self) -> None:
        """Free the memory."""


class Model(Protocol):
    """A model that was read and checked, and isn't compiled yet."""

    @property
    def int8_layers(self) -> int:
        """How many convolutions and matrix products compute in int8."""

    def guess_tensors(
        self, outputs: Mapping[str, str] | None = None
    ) -> tuple[str, Mapping[str, str]]:
        """The input and the outputs (role: tensor) of a model without a description.

        `outputs` are those that are known.

        Raises:
            GraphError: there are no candidates, or several.
        """

    def present_outputs(self, outputs: Mapping[str, str]) -> dict[str, str]:
        """Those of the outputs (role: tensor) that the model has."""

    def check_tensors(self, input: str, outputs: Mapping[str, str]) -> None:
        """Nothing, if the model can be fed and fetched there.

        Raises:
            GraphError: a tensor that isn't there, with near names.
        """

    def with_feeds(self, feeds: Mapping[str, Any]) -> Model:
        """The model with constants (tensor: value) in place of these inputs.

        Raises:
            GraphError: a tensor that isn't there, or doesn't take the value.
        """

    def input_spec(self, input: str) -> TensorSpec:
        """What the tensor takes."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A step, and what became of the model on the way.

    `card` has `int8_layers`, and in bfloat16 `bfloat16_layers` of `layers`: how many convolutions
    and matrix products compute in it. TensorFlow's also has `nodes`, `nodes_run` and `changes`. Its
    `notes`, if any, become warnings of the result.
    """

    step: Step
    card: Mapping[str, Any]


class Backend(Protocol):
    """A runtime, as a module.

    `NAME` is what `Plan.runtime` says, `SUFFIXES` are those of its model files.
    """

    NAME: str
    SUFFIXES: tuple[str, ...]

    def blocker(self, placement: Placement) -> str | None:
        """Why this process can't honor the placement any more, in words; `None` if it can.

        For example thread pools of other sizes, or variables that the runtime has read already.
        """

    def import_runtime(self) -> None:
        """Load the runtime's library. Its time is a part of the cold start."""

    def set_threads(self, placement: Placement) -> Mapping[str, Any]:
        """Set the threads of this process, where that is done before a model is compiled.

        Returns:
            `inter_threads` and `intra_threads` as asked for, and `inter_found` and `intra_found` as
            counted. A runtime that knows its threads only per model gives the placement's.
        """

    def load(self, path: str, *, allow_unsafe_ops: bool) -> Model:
        """The model in a file.

        Raises:
            GraphError: it can't be read, is something else, or has operations that aren't allowed.
        """

    def compile(
        self,
        model: Any,
        *,
        input: str,
        outputs: Sequence[str],
        placement: Placement,
        precision: str,
        optimize: bool,
        timed: Timed,
    ) -> Compiled:
        """The model ready to run, with the placement's threads.

        `optimize` allows changes of the model that keep its results up to rounding. Parts that take
        time are in a block `with timed(name)`.

        Raises:
            GraphError: this runtime can't run the model.
            RequestError: it can't compute in this precision here.
        """

    def facts(self) -> Mapping[str, Any]:
        """What a result records as `machine.software.runtime`: `name` and `version` at least."""


class Converter(Protocol):
    """What a runtime has besides, if frozen graphs are converted for it.

    `READS` are the suffixes that need no conversion, `CONVERTED` is that of the file it makes,
    `PACKAGES` are needed to run it, and `CONVERTERS` to convert, by precision. `ABORTS_WITH` are
    the allocators with which a process of it dies.
    """

    READS: tuple[str, ...]
    CONVERTED: str
    PACKAGES: tuple[str, ...]
    CONVERTERS: Mapping[str, tuple[str, ...]]
    ABORTS_WITH: tuple[str, ...]

    def convert(
        self,
        graph_def: Any,
        out: Path,
        *,
        input: str,
        outputs: Sequence[str],
        calibration: Sequence[Array] | None,
    ) -> None:
        """Write the frozen graph in the runtime's format, in int8 if there is `calibration`.

        Raises:
            GraphError: it can't be converted.
        """


def converts(name: str) -> bool:
    """Whether frozen graphs are converted for the runtime of that name."""
    return hasattr(find(name), "convert")


def converter(name: str) -> Converter:
    """The runtime of that name, one for which `converts` holds."""
    return cast(Converter, find(name))


def find(name: str) -> Backend:
    """The runtime of that name.

    Raises:
        RequestError: there is none, with the near names.
    """
    return cast(Backend, find_module("runtime", name, BACKENDS, GROUP))


def find_module(argument: str, name: str, modules: Mapping[str, str], group: str) -> ModuleType:
    """The module of that name in a table, or else among the entry points of that group.

    Raises:
        RequestError: there is none; names the argument and the near names.
    """
    if isinstance(name, str):
        if name in modules:
            return importlib.import_module(modules[name])
        for entry in importlib.metadata.entry_points(group=group, name=name):
            return cast(ModuleType, entry.load())
    near = did_you_mean(str(name), list(modules), otherwise=f"{argument.capitalize()}s")
    raise RequestError(f"{argument}={name!r}: there is no such {argument}. {near}")


def name_for(path: str) -> str:
    """The name of the runtime for a model's file, by the file's suffix.

    The runtimes of this library come first, then those of other distributions. What isn't known by
    its suffix is TensorFlow's, which looks into the file and says what it is.
    """
    suffix = Path(path).suffix
    if not suffix:
        return DEFAULT
    # Looking for entry points reads the metadata of all that is installed: only where it has to be.
    for name in itertools.chain(BACKENDS, _others()):
        if suffix in find(name).SUFFIXES:
            return name
    return DEFAULT


def _others() -> Iterator[str]:
    """The names of other distributions' runtimes, looked for when the first is asked for."""
    yield from sorted(importlib.metadata.entry_points(group=GROUP).names)


def fits(shape: Sequence[int | None], given: Sequence[int]) -> bool:
    """Whether a tensor of the given shape goes where `shape` is taken, with `None` for any size.

    >>> fits((None, 3), (7, 3)), fits((None, 3), (7, 4)), fits((None, 3), (7,))
    (True, False, False)
    """
    return len(shape) == len(given) and all(
        size in (None, found) for size, found in zip(shape, given, strict=True)
    )


def show_shape(shape: Sequence[int | None]) -> str:
    """A shape as people write it.

    >>> show_shape((None, 224, 224, 3))
    '[?, 224, 224, 3]'
    """
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
